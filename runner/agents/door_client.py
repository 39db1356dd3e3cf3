"""`call.http` in a worker: an httpx2 client whose every request goes through its attempt's socket to the gateway.

Plain HTTP on the socket, whatever the URL says: the gateway speaks TLS with the resource. An https URL is sent whole,
as the request's target, so that the gateway sees which one was meant.

Not here: which requests are let through (credentials.gateway).
"""

from __future__ import annotations

import httpx2

KEY_HEADER = "Runner-Key"


def client_through(path: str, key: str) -> httpx2.Client:
    """Return a client that reaches nothing but this socket. It has no timeout: its attempt has one."""
    return httpx2.Client(transport=_DoorTransport(path, key), trust_env=False, base_url="http://gateway", timeout=None)


class _DoorTransport(httpx2.BaseTransport):
    def __init__(self, path: str, key: str) -> None:
        # Nothing here speaks TLS; without `verify=False` the system's authorities are loaded, which takes 70 ms.
        self._inner = httpx2.HTTPTransport(uds=path, verify=False, trust_env=False)
        self._key = key

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        # The key is on this copy alone: `response.request` is the agent's to show.
        headers = [*request.headers.raw, (KEY_HEADER.encode(), self._key.encode())]
        extensions = dict(request.extensions)
        if request.url.scheme != "http":
            extensions["target"] = b"https://" + request.url.netloc + request.url.raw_path
        url = request.url.copy_with(scheme="http")
        return self._inner.handle_request(
            httpx2.Request(request.method, url, headers=headers, stream=request.stream, extensions=extensions)
        )

    def close(self) -> None:
        self._inner.close()
