"""Headless Chromium for tests that look at a page: Debian's, or any that is on the PATH; Playwright drives it.

Skips the test where there is none (`pytest_terminal_summary` counts those); in CI that is a failure. `.ci/run` installs it.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome-headless-shell")
SKIPPED = "no browser:"


def chromium() -> str:
    """Return the path of a Chromium; RUNNER_CHROMIUM names another one."""
    found = os.environ.get("RUNNER_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        if os.environ.get("CI") == "true":
            raise FileNotFoundError("no Chromium is on the PATH")
        pytest.skip(f"{SKIPPED} none of {', '.join(NAMES)} is on the PATH")
    return found


@contextmanager
def browser() -> Iterator[Any]:
    """Yield a browser of Playwright. While it is open no event loop can be started in this thread."""
    program = chromium()
    sync_api = pytest.importorskip("playwright.sync_api", reason=f"{SKIPPED} Playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        # Chromium's own sandbox does not start as root, and the page is ours.
        opened = playwright.chromium.launch(executable_path=program, chromium_sandbox=os.geteuid() != 0)
        try:
            yield opened
        finally:
            opened.close()


@dataclass
class Served:
    """A page on this machine, and which paths were asked for."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def served(page: str) -> Iterator[Served]:
    """Serve one document at /; anything else is 404 and is written down."""
    body = page.encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            self.send_response(200 if self.path == "/" else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body) if self.path == "/" else 0))
            self.end_headers()
            if self.path == "/":
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Served(f"http://127.0.0.1:{server.server_address[1]}/")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
