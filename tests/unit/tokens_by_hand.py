"""Orders, the tokens for them, and tokens that no issuer would write."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from runner.clock import Clock
from runner.credentials.issuer import EmbeddedIssuer
from runner.credentials.keys import Keys
from runner.seams import Issued, Order, Subject

URL = "http://127.0.0.1:8640"
CRM = "https://crm.example/api"
RUN = "20250615-150640-0a1b2c3d"
SUBJECT = Subject(RUN, 12, 2, "research", "d" * 64, parent="20250615-150639-00000000")
ORDER = Order("0123456789abcdef" * 2, "crm", CRM, ("crm:read", "crm:write"), None, 60.0, SUBJECT)
# The order of P-256's group: with (r, s) also (r, n - s) is a signature.
GROUP_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def order(**more: Any) -> Order:
    return replace(ORDER, **more)


def minted(home: Path, clock: Clock, **more: Any) -> Issued:
    """Return a token of this home's keys for the order, as it was changed."""
    issuing = EmbeddedIssuer(Keys(home, clock), url=URL, clock=clock).issue(order(**more))
    # It waits for nothing, so that it needs no event loop, and may be called within one.
    try:
        issuing.send(None)
    except StopIteration as done:
        issued: Issued = done.value
        return issued
    raise AssertionError("minting waited")


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims, read without a check."""
    header, claims, _ = token.split(".")
    return json.loads(decoded(header)), json.loads(decoded(claims))


def signed(header: dict[str, Any] | str, claims: dict[str, Any] | str, key: ECKey) -> str:
    """Return a token that says whatever is wanted, with a true ES256 signature of `key`."""
    texts = [part if isinstance(part, str) else json.dumps(part) for part in (header, claims)]
    body = ".".join(coded(text.encode()) for text in texts)
    return f"{body}.{coded(JWSRegistry.algorithms['ES256'].sign(body.encode(), key))}"


def malleated(token: str) -> str:
    """Return the same token in another text: its signature in the other form, which verifies too."""
    body, _, signature = token.rpartition(".")
    raw = decoded(signature)
    s = GROUP_ORDER - int.from_bytes(raw[32:], "big")
    return f"{body}.{coded(raw[:32] + s.to_bytes(32, 'big'))}"


def coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@contextlib.contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an application over a real socket; yields its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
