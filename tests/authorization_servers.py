"""Authorization servers for tests: an independent one that works, and one that answers whatever a test chooses.

`OidcServer` is oidc-provider in node (tests/oidc): its log is the record that runner's is held against. `ChosenServer` is
a few lines of Python: down, slow, hung, lying.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).parents[1]
SOURCE = Path(__file__).with_name("oidc")
CRM = "https://crm.example"
CLIENT, WORD = "runner", "p%+ w:x"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
INSTALL_SECONDS = 120


def oidc_modules() -> Path:
    """Return the folder in which oidc-provider is installed, installed now if it is not.

    Skips the test where there is no node or npm, or no package can be had; in CI that is a failure.
    """
    try:
        return _installed()
    except (FileNotFoundError, subprocess.SubprocessError) as error:
        if os.environ.get("CI") == "true":
            raise
        # Not above: `external_host` imports this module, and is started often.
        import pytest

        pytest.skip(f"no oidc-provider: {error}")


def _installed() -> Path:
    lock = (SOURCE / "package-lock.json").read_bytes()
    folder = ROOT / "build" / "oidc" / hashlib.sha256(lock).hexdigest()[:16]
    done = folder / "done"
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise FileNotFoundError(f"{program} is not on the PATH")
    folder.mkdir(parents=True, exist_ok=True)
    # Several processes run tests at once; one installs, the others wait.
    with open(folder / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not done.exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(SOURCE / name, folder / name)
            subprocess.run(
                ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
                cwd=folder, check=True, capture_output=True, timeout=INSTALL_SECONDS,
            )  # fmt: skip
            done.touch()
    return folder


class OidcServer:
    """oidc-provider, started; `events` is what it wrote down."""

    def __init__(self, folder: Path, *, clients: list[dict[str, Any]] | None = None, **settings: Any) -> None:
        modules = oidc_modules()
        folder.mkdir(exist_ok=True)
        self._log = folder / "events.jsonl"
        self._log.touch()
        chosen = {
            "clients": clients or [oidc_client()], "resources": {CRM: "crm:read crm:write"}, "log": str(self._log),
            "modules": str(modules), **settings,
        }  # fmt: skip
        with open(folder / "stderr", "wb") as errors:
            self._process = subprocess.Popen(
                ["node", str(SOURCE / "server.mjs"), json.dumps(chosen)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, (folder / "stderr").read_text()
        self.url = f"http://127.0.0.1:{json.loads(line)['port']}"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def tokens(self, event: str) -> list[str]:
        """Return the digests of the tokens of which it wrote this, in order; "" for a request ("asked")."""
        names = (event, f"client_credentials.{event}")
        return [found.get("token", "") for found in self.events if found["event"] in names]

    def wait(self, count: int, event: str, seconds: float = 60.0) -> list[str]:
        """Return the digests once there are so many, or after so long."""
        until = time.monotonic() + seconds
        while len(found := self.tokens(event)) < count and time.monotonic() < until:
            time.sleep(0.01)
        return found

    def stop(self) -> None:
        self._process.kill()
        # Reads what is left, closes its pipes, reaps it.
        self._process.communicate()


@contextmanager
def oidc_server(folder: Path, **settings: Any) -> Iterator[OidcServer]:
    server = OidcServer(folder, **settings)
    try:
        yield server
    finally:
        server.stop()


def oidc_client(**changes: Any) -> dict[str, Any]:
    """Return a client as oidc-provider is told of it."""
    return {
        "client_id": CLIENT, "client_secret": WORD, "grant_types": ["client_credentials", EXCHANGE],
        "redirect_uris": [], "response_types": [], "authorization_details_types": ["customer"], **changes,
    }  # fmt: skip


def digest(token: str) -> str:
    """Return how `OidcServer` names a token in its log."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]


# --- a server that lies ----------------------------------------------------------------------


@dataclass
class Asked:
    """One request that a `ChosenServer` got."""

    path: str
    headers: dict[str, str]
    form: dict[str, list[str]]

    @property
    def fields(self) -> dict[str, str]:
        """The form, each name once."""
        assert all(len(values) == 1 for values in self.form.values()), self.form
        return {name: values[0] for name, values in self.form.items()}


@dataclass
class Answer:
    """What it answers. `body`: bytes as they are, anything else as JSON."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    """How long it takes before it answers; `HANG` for ever, `DROP`: it ends the connection instead."""


HANG, DROP = -1.0, -2.0
Choice = Callable[[Asked], Answer] | Answer


class ChosenServer:
    """An authorization server that is right in everything but what a test chooses.

    `on[path]` is an answer, or a function of the request; without one it issues, introspects and revokes as it should.
    `changed` are fields of its metadata, None: left out.
    """

    def __init__(self, *, context: ssl.SSLContext | None = None, clock: Callable[[], float] = time.time) -> None:
        self.asked: list[Asked] = []
        self.on: dict[str, Choice] = {}
        self.changed: dict[str, Any] = {}
        self.tokens: dict[str, dict[str, Any]] = {}
        """Each token that it made → what its introspection says."""
        self.clock = clock
        self._ended = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body are two writes: the second would wait 40 ms for an acknowledgement.
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                server._serve(self, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                server._serve(self, parse_qs(body, keep_blank_values=True))

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.url = f"{'http' if context is None else 'https'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def paths(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    def metadata(self) -> dict[str, Any]:
        found = {
            "issuer": self.url, "token_endpoint": f"{self.url}/token", "revocation_endpoint": f"{self.url}/revoke",
            "introspection_endpoint": f"{self.url}/introspect", **self.changed,
        }  # fmt: skip
        return {name: value for name, value in found.items() if value is not None}

    def giving(self, **changes: Any) -> Callable[[Asked], Answer]:
        """Return a choice: a right answer of the token endpoint with these fields; None: left out."""

        def give(asked: Asked) -> Answer:
            made = self.issue(asked)
            whole = {**made, **changes}
            return Answer({name: value for name, value in whole.items() if value is not None})

        return give

    def saying(self, **changes: Any) -> Callable[[Asked], Answer]:
        """Return a choice: a right answer of the introspection endpoint with these fields; None: left out."""

        def say(asked: Asked) -> Answer:
            whole = {**self.introspect(asked), **changes}
            return Answer({name: value for name, value in whole.items() if value is not None})

        return say

    def issue(self, asked: Asked) -> dict[str, Any]:
        text, now = secrets.token_urlsafe(24), int(self.clock())
        form = asked.fields
        said = {
            "active": True, "scope": form["scope"], "aud": form.get("resource", form.get("audience")), "iat": now,
            "exp": now + 300,
        }  # fmt: skip
        self.tokens[text] = said
        given = {"access_token": text, "token_type": "Bearer", "expires_in": 300, "scope": form["scope"]}
        if details := form.get("authorization_details"):
            given["authorization_details"] = said["authorization_details"] = json.loads(details)
        if form["grant_type"] == EXCHANGE:
            given["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token"
        return given

    def introspect(self, asked: Asked) -> dict[str, Any]:
        return self.tokens.get(asked.fields["token"], {"active": False})

    def _right(self, asked: Asked) -> Answer:
        match asked.path:
            case "/.well-known/oauth-authorization-server":
                return Answer(self.metadata())
            case "/token":
                return Answer(self.issue(asked))
            case "/introspect":
                return Answer(self.introspect(asked))
            case "/revoke":
                self.tokens[asked.fields["token"]] = {"active": False}
                return Answer()
        return Answer({"error": "not_found"}, 404)

    def _serve(self, handler: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        asked = Asked(urlsplit(handler.path).path, dict(handler.headers), form)
        self.asked.append(asked)
        choice = self.on.get(asked.path, self._right)
        answer = choice(asked) if callable(choice) else choice
        if answer.seconds:
            self._ended.wait(3600 if answer.seconds == HANG else max(0.0, answer.seconds))
        if answer.seconds == DROP or self._ended.is_set():
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        handler.send_response(answer.status)
        for name, value in {"Content-Length": str(len(body)), **answer.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        try:
            handler.wfile.write(body)
        except OSError:
            handler.close_connection = True


@contextmanager
def chosen_server(**more: Any) -> Iterator[ChosenServer]:
    server = ChosenServer(**more)
    try:
        yield server
    finally:
        server.close()


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
