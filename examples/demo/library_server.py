"""A resource server for the demo: tells of the standard library's modules to whoever brings a good token.

    GET /modules/{module}/promises   scope library:read    what somebody who changes the module has to keep
    GET /modules/{module}/notes      scope library:notes   what its authors left to do

It knows nothing of runs and policies. It validates each token by itself, with the public keys of the issuer: signature,
issuer, time, that the token is for this server, and the scope. Which module a spawn was asked about is not in the
token: that bound the gateway keeps.

    runner issuer serve &
    python examples/demo/library_server.py

On stdout: one line of JSON with its URL, then one for each request that it answered. It ends with its stdin, so that it
never outlives who started it.

Not here: what is told (library).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvicorn
from library import notes, promises

from runner.agents import AgentError
from runner.credentials.verify import RequireToken, Verifier

PORT = 8650

App = Callable[..., Any]


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve what modules of the standard library promise.")
    parser.add_argument("--issuer", default="http://127.0.0.1:8640", help="who mints the tokens")
    parser.add_argument("--jwks", help="its public keys: URL, file, or - for a line of stdin; else the issuer's URL")
    asked = parser.parse_args()
    jwks = asked.jwks or f"{asked.issuer}/jwks.json"
    if jwks == "-":
        line = sys.stdin.readline()
        if not line:
            return  # Who started it is gone already.
        jwks = json.loads(line)
    listener = listening(PORT)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    verifier = Verifier(issuer=asked.issuer, audience=url, jwks=jwks)
    say({"url": url})
    serve(Logged(library(verifier)), listener)


# --- the application ---------------------------------------------------------------------------


def library(verifier: Verifier) -> App:
    """Return the ASGI application: each kind of question behind the scope that it needs."""
    doors = {
        "promises": RequireToken(telling(promises), verifier, scopes=["library:read"]),
        "notes": RequireToken(telling(notes), verifier, scopes=["library:notes"]),
    }

    async def app(scope: Any, receive: Any, send: Any) -> None:
        match scope["method"], scope["path"].split("/"):
            case "GET", ["", "modules", _, ("promises" | "notes") as kind]:
                await doors[kind](scope, receive, send)
            case _:
                await answer(send, 404, {"message": "GET /modules/{module}/promises or /modules/{module}/notes"})

    return app


def telling(tell: Callable[[str], dict[str, Any]]) -> App:
    """Return an application that tells one thing about the module in the path."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        claims = scope["runner.claims"]
        scope["library.asked_by"].update(token=claims.jti, agent=claims.agent, spawn=claims.spawn)
        try:
            found = await asyncio.to_thread(tell, scope["path"].split("/")[2])
        except AgentError as error:
            await answer(send, 404, {"message": str(error)})
        else:
            await answer(send, 200, found)

    return app


async def answer(send: Any, status: int, value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Logged:
    """Around the application: says on stdout what was asked, by whom, and how it was answered. Never a token."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        asked_by: dict[str, Any] = {"token": None, "agent": None, "spawn": None}

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                say({"method": scope["method"], "path": scope["path"], "status": message["status"], **asked_by})
            await send(message)

        await self._app({**scope, "library.asked_by": asked_by}, receive, sending)


# --- listening ---------------------------------------------------------------------------------


def listening(port: int) -> socket.socket:
    """Return a socket that listens on this port of this machine, or on a free one where it is taken."""
    for chosen in (port, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", chosen))
            listener.listen()
            return listener
        except OSError:
            listener.close()
            if not chosen:
                raise
    raise AssertionError("unreachable")


def serve(app: App, listener: socket.socket) -> None:
    """Serve until Ctrl-C, SIGTERM, or the end of stdin."""
    config = uvicorn.Config(
        app, access_log=False, log_level="warning", lifespan="off", ws="none", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)

    def watch() -> None:
        # os.read, not sys.stdin: a thread that holds its buffer cannot be left behind.
        with suppress(OSError):
            while os.read(0, 1024):
                pass
        server.should_exit = True

    threading.Thread(target=watch, daemon=True).start()
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def say(line: dict[str, Any]) -> None:
    """Write a line to stdout. Nobody there to read it is no error."""
    with suppress(BrokenPipeError):
        os.write(1, f"{json.dumps(line)}\n".encode())


if __name__ == "__main__":
    main()
