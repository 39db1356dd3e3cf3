"""HTTP/1.1 of a door, without I/O: bytes in, requests out; answers in, bytes out.

h11 keeps the grammar. On top of it a door takes only what has one reading: one length, one host, no upgrade, no tunnel,
the key exactly once. A refusal ends the connection: where the next request would begin is then unknown.

Not here: the socket (socket), what a request may do (the checks behind it).
"""

from __future__ import annotations

import hmac
import json
import re
from dataclasses import replace
from http import HTTPStatus

import h11

from runner.credentials.gateway.checks import MOST_BODY_BYTES
from runner.seams import DoorRequest, DoorResponse

KEY_HEADER = "Runner-Key"
# What servers of this kind allow: nginx 4 times 8 KiB.
MAX_HEAD_BYTES = 32 * 1024
MAX_BODY_BYTES = MOST_BODY_BYTES

# Of the connection, not of the request (RFC 9110 section 7.6.1), or told otherwise: by `host`, by the body's length.
_OF_THE_CONNECTION = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect",
        "host", "content-length",
    }
)  # fmt: skip
_OF_THE_ANSWER = frozenset({"connection", "keep-alive", "proxy-connection", "trailer", "transfer-encoding", "upgrade"})

_HOST = r"(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
_AUTHORITY = re.compile(_HOST)
_ABSOLUTE = re.compile(rf"(https?)://({_HOST})([/?].*)?", re.IGNORECASE)
_ONE_READING = "it is no HTTP/1.1 that has one reading"
_NO_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class Refused(Exception):
    """The door answers so by itself, and hangs up. The text is for the agent's author."""

    def __init__(self, status: HTTPStatus, error: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error


class Conversation:
    """The protocol of one connection: head, request, begin, part, end, goes_on, and again."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._request: DoorRequest | None = None
        self._body = bytearray()
        self._has_body = True

    @property
    def held_bytes(self) -> int:
        """How much of the current request's body is in memory."""
        return len(self._body) + (len(self._request.body) if self._request else 0)

    @property
    def ahead_bytes(self) -> int:
        """How much the peer has sent of what comes after the current request."""
        return len(self._h11.trailing_data[0])

    def feed(self, data: bytes) -> None:
        """Take what the peer sent."""
        self._h11.receive_data(data)

    def head(self) -> bytes | None:
        """Read on to the end of a request's head; None while it is not there.

        Return what is to be sent before the body comes: b"", or "100 Continue" where the peer waits for it.
        Raises Refused.
        """
        event = self._event()
        if event is h11.NEED_DATA:
            return None
        if not isinstance(event, h11.Request):
            raise _bad("a request was expected")
        self._request = _request(event, self._key)
        _refuse_too_long(int(dict(event.headers).get(b"content-length", b"0")))
        if self._h11.they_are_waiting_for_100_continue:
            return self._h11.send(h11.InformationalResponse(status_code=100, headers=[]))
        return b""

    def request(self) -> DoorRequest | None:
        """Read on to the end of a request whose head was read; None while it is not there. Raises Refused."""
        assert self._request is not None
        while not isinstance(event := self._event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                return None
            if isinstance(event, h11.Data):
                self._body += event.data
                _refuse_too_long(len(self._body))
        self._request = replace(self._request, body=bytes(self._body))
        self._body.clear()
        return self._request

    def begin(self, response: DoorResponse) -> bytes:
        """Return the head of an answer. Raises h11.LocalProtocolError: it cannot be sent so, and nothing was."""
        assert self._request is not None
        headers = [
            (name, value) for name, value in response.headers
            if name.lower() not in _OF_THE_ANSWER
            and not (name.lower() == "content-length" and response.status == HTTPStatus.NO_CONTENT)
        ]  # fmt: skip
        self._has_body = self._request.method != "HEAD" and response.status not in _NO_BODY
        return self._h11.send(h11.Response(status_code=response.status, headers=headers))

    @property
    def has_body(self) -> bool:
        """Whether the answer that was begun may have one: not to HEAD, nor with 204 or 304."""
        return self._has_body

    def part(self, data: bytes) -> bytes:
        """Return a piece of the answer's body, framed. Raises h11.LocalProtocolError: longer than it said."""
        return self._h11.send(h11.Data(data=data))

    def end(self) -> bytes:
        """Return what ends the answer. Raises h11.LocalProtocolError: shorter than it said."""
        return self._h11.send(h11.EndOfMessage())

    def goes_on(self) -> bool:
        """Turn to the next request; False where the connection ends with this answer."""
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        self._request = None
        return True

    def refusal(self, refused: Refused) -> bytes:
        """Return a whole answer after which the connection ends. Not by h11, which may have lost its way."""
        body = json.dumps({"error": refused.error, "message": str(refused)}).encode()
        head = (
            f"HTTP/1.1 {refused.status.value} {refused.status.phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        ).encode()
        return head if self._request is not None and self._request.method == "HEAD" else head + body

    def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            return self._h11.next_event()
        except h11.RemoteProtocolError as error:
            # Its text may repeat a header.
            too_long = error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise (_long_head() if too_long else _bad(_ONE_READING)) from None


def _request(event: h11.Request, key: bytes) -> DoorRequest:
    """Return what a head asks for, as yet without a body. Raises Refused."""
    if event.http_version not in (b"1.0", b"1.1"):
        raise _bad(_ONE_READING)
    raw = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers.raw_items()]
    if sum(len(name) + len(value) for name, value in raw) > MAX_HEAD_BYTES:
        raise _long_head()
    fields: dict[str, list[str]] = {}
    for name, value in raw:
        fields.setdefault(name.lower(), []).append(value)
    _require_key(fields.get(KEY_HEADER.lower(), []), key)
    if "transfer-encoding" in fields and ("content-length" in fields or event.http_version != b"1.1"):
        raise _bad("it has two lengths: Transfer-Encoding and another")
    if event.method == b"CONNECT" or "upgrade" in fields:
        raise _bad("the gateway makes no tunnel and no upgrade")
    scheme, host, target = _target(event.target.decode("ascii"), fields.get("host", []))
    dropped = _OF_THE_CONNECTION | {KEY_HEADER.lower()} | _named(fields.get("connection", []))
    kept = [(name, value) for name, value in raw if name.lower() not in dropped]
    return DoorRequest(event.method.decode("ascii"), host, target, kept, scheme=scheme)


def _require_key(shown: list[str], key: bytes) -> None:
    found = shown[0].encode("latin-1") if len(shown) == 1 else b""
    if not hmac.compare_digest(found, key):
        raise Refused(
            HTTPStatus.UNAUTHORIZED, "no_key", f"the header {KEY_HEADER} must be there once, with this attempt's key"
        )


def _target(target: str, hosts: list[str]) -> tuple[str, str, str]:
    """Return scheme, host and path of a request. Raises Refused."""
    if "#" in target:
        raise _bad("its target has a fragment")
    if target.startswith("/"):
        if len(hosts) != 1 or not _AUTHORITY.fullmatch(hosts[0]):
            raise _bad("its Host header names no resource")
        return "http", hosts[0], target
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        raise _bad("its target is neither a path nor a URL with http or https")
    # The Host header is ignored beside an absolute target (RFC 9112 section 3.2.2).
    path = found[3] or "/"
    return found[1].lower(), found[2], path if path.startswith("/") else f"/{path}"


def _named(connection: list[str]) -> set[str]:
    """Return the headers that a Connection header names as its own."""
    return {name.strip().lower() for value in connection for name in value.split(",")}


def _refuse_too_long(length: int) -> None:
    if length > MAX_BODY_BYTES:
        raise Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"a body may have {MAX_BODY_BYTES} bytes at most"
        )


def _long_head() -> Refused:
    return _bad(f"its head is longer than {MAX_HEAD_BYTES} bytes")


def _bad(why: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, "bad_request", why)
