"""A resource server that records every request and answers as a test says. On 127.0.0.1, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Said:
    """What is answered."""

    status: int = 200
    body: bytes = b'{"ok": true}'
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None
    """The answer waits for it."""


class ResourceServer:
    """`received` is what arrived, in order. `answer` says what is answered."""

    def __init__(self, answer: Callable[[Received], Said] = lambda received: Said()) -> None:
        self.received: list[Received] = []
        self.answer = answer
        self.arrived = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                got = Received(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                outer.received.append(got)
                outer.arrived.set()
                said = outer.answer(got)
                if said.hold is not None:
                    said.hold.wait(60)
                try:
                    self.send_response(said.status)
                    for name, value in said.headers.items():
                        self.send_header(name, value)
                    if "Content-Length" not in said.headers:
                        self.send_header("Content-Length", str(len(said.body)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(said.body)
                except OSError:
                    self.close_connection = True

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = handle_any

            def log_message(self, *told: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            # Five, unless written: twenty attempts at once would be reset.
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> ResourceServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
