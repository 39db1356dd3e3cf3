"""A small CRM and the post beside it, which answer for as long as one command of runner takes.

    GET    /crm/customers        scope crm:list     all customers
    GET    /crm/customers/{n}    scope crm:read     one customer
    DELETE /crm/customers/{n}    scope crm:write    forget one
    POST   /mail/letters/{n}     scope mail:send    send this customer a letter

    python server.py run summarise.py --policy policy.yaml --inputs @inputs.json

is `runner run summarise.py ...` while they answer. They are as careless as many APIs are: whoever may read one customer
may read each. They validate each token by themselves, with the public keys of the issuer: signature, issuer, time, that
the token is for this API, and the scope. Which customer a spawn was asked about is not in the token.

After the command stdout has what they were asked, by which run and agents, and which letters were sent. The exit code is
the command's. No token is written anywhere.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from runner import Runner
from runner.cli import call
from runner.clock import SystemClock
from runner.credentials.issuer import issuer_url
from runner.credentials.keys import Keys
from runner.credentials.require import RequireToken
from runner.credentials.verify import Verifier

HOST, PORT = "127.0.0.1", 8660

CUSTOMERS = {
    7: {"name": "Acme", "owes": 240, "phone": "555-0107"},
    8: {"name": "Brown", "owes": 1900, "phone": "555-0108"},
    9: {"name": "Eve", "owes": 15, "phone": "555-0109"},
}
NAMES = [customer["name"] for customer in CUSTOMERS.values()]

# What is asked, which scope it takes, and what is answered.
DOORS = [
    ("crm", "GET /crm/customers", "crm:list", lambda post, number, text: (200, NAMES)),
    ("crm", r"GET /crm/customers/(\d+)", "crm:read", lambda post, number, text: (200, CUSTOMERS[number])),
    ("crm", r"DELETE /crm/customers/(\d+)", "crm:write", lambda post, number, text: (204, None)),
    ("mail", r"POST /mail/letters/(\d+)", "mail:send", lambda post, number, text: (201, post.send(number, text))),
]  # fmt: skip

App = Callable[..., Any]


class Post:
    """The application, and its record: each request as it was answered, and each letter."""

    def __init__(self, url: str, keys: dict[str, Any]) -> None:
        self.answered: list[str] = []
        self.letters: list[str] = []
        self.run = "none"
        self._doors = []
        for api, asked, scope, tell in DOORS:
            verifier = Verifier(issuer=issuer_url(), audience=f"{url}/{api}", jwks=keys)
            self._doors.append((re.compile(asked), RequireToken(self._telling(tell), verifier, scopes=[scope])))

    def send(self, customer: int, text: str) -> dict[str, Any]:
        self.letters.append(f"to {CUSTOMERS[customer]['name']}: {text}")
        return {"sent": True}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        asked, by = f"{scope['method']} {scope['path']}", {"agent": "nobody it knows"}

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.answered.append(f"{asked}: {message['status']} to {by['agent']}")
            await send(message)

        for pattern, door in self._doors:
            if found := pattern.fullmatch(asked):
                number = int(found[1]) if found.groups() else 0
                await door({**scope, "injected.by": by, "injected.number": number}, receive, sending)
                return
        await answer(sending, 404, {"message": "there is nothing here"})

    def _telling(self, tell: Callable[..., tuple[int, Any]]) -> App:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["injected.by"]["agent"], self.run = scope["runner.claims"].agent, scope["runner.claims"].run
            if scope["injected.number"] not in (0, *CUSTOMERS):
                await answer(send, 404, {"message": "there is no such customer"})
                return
            await answer(send, *tell(self, scope["injected.number"], await text_of(receive)))

        return app


async def text_of(receive: Any) -> str:
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body.decode(errors="replace")


async def answer(send: Any, status: int, value: Any) -> None:
    body = b"" if value is None else json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# --- serving -----------------------------------------------------------------------------------


@contextmanager
def serving(keys: dict[str, Any], port: int = PORT) -> Iterator[Post]:
    """Within, the server answers, from a thread. Raises OSError where the port is taken."""
    listener = socket.create_server((HOST, port))
    post = Post(f"http://{HOST}:{listener.getsockname()[1]}", keys)
    server = uvicorn.Server(uvicorn.Config(post, access_log=False, log_level="warning", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        # The socket listens already: who comes before the server is ready waits.
        yield post
    finally:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        server.should_exit = True
        thread.join()


async def public_keys() -> dict[str, Any]:
    """Return what validates the tokens of this user's own issuer."""
    async with Runner() as runner:
        return Keys(runner.store.home, SystemClock()).jwks()


def main(words: list[str]) -> int:
    try:
        with serving(asyncio.run(public_keys())) as post:
            code = call(words)
    except OSError as error:
        sys.exit(f"{HOST}:{PORT}: {error.strerror}")
    # Agents ask side by side: in an order of their own each time.
    answered = sorted(Counter(post.answered).items())
    counted = [f"{line}, {times} times" if times > 1 else line for line, times in answered]
    print(f"The server answered run {post.run}:", *counted, sep="\n  ")
    print("It sent:", *(sorted(post.letters) or ["no letter"]), sep="\n  ")
    return code


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("say what runner is to do, such as: python server.py run summarise.py --policy policy.yaml")
    sys.exit(main(sys.argv[1:]))
