"""A socket that listens on an address, or one clear error.

Not here: what is served on it (cli.issuer, mcp_server.http).
"""

from __future__ import annotations

import socket
from ipaddress import ip_address

from runner.errors import UsageError


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises UsageError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        # The protocol is named: where it is 0, asyncio leaves Nagle's algorithm on, which costs 40 ms a request.
        listener = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise UsageError(
            f'cannot listen on "{host}" port {port}: {error.strerror or error}', hint="--host and --port choose others"
        ) from error
    return listener


def is_loopback(listener: socket.socket) -> bool:
    """Say whether a socket can be reached from this machine alone."""
    return ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def shown_address(listener: socket.socket) -> str:
    """Return where it listens, as it stands in a URL."""
    address, port = listener.getsockname()[:2]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
