"""Frames: a length before each payload, and the reader that cuts a stream into payloads again."""

from __future__ import annotations

from collections.abc import Iterator

from runner.guest.wire.messages import MAX_FRAME_BYTES, WireError

HEADER_BYTES = 4


def frame(payload: bytes) -> bytes:
    """Put the length before a payload."""
    return len(payload).to_bytes(HEADER_BYTES, "big") + payload


class FrameReader:
    """Cut a byte stream into payloads. Keeps at most one frame of `limit` bytes."""

    __slots__ = ("_buffer", "limit", "total")

    def __init__(self, limit: int = MAX_FRAME_BYTES) -> None:
        self._buffer = bytearray()
        self.limit = limit
        self.total = 0

    @property
    def midway(self) -> bool:
        """True when the stream stands inside a frame: an end of file now is a half frame."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the payloads that `data` completes. Raises WireError at an oversized or empty frame."""
        return list(self.each(data))

    def each(self, data: bytes) -> Iterator[bytes]:
        """As `feed`, one by one: what came before a bad frame is given out before WireError is raised."""
        self._buffer += data
        self.total += len(data)
        buffer, position, end = self._buffer, 0, len(self._buffer)
        try:
            while end - position >= HEADER_BYTES:
                size = int.from_bytes(buffer[position : position + HEADER_BYTES], "big")
                if not 0 < size <= self.limit:
                    raise WireError(f"a frame of {size} bytes; between 1 and {self.limit} are allowed")
                if end - position - HEADER_BYTES < size:
                    break
                position += HEADER_BYTES + size
                yield bytes(buffer[position - size : position])
        finally:
            del buffer[:position]


def payload_bytes(framed: bytes) -> int:
    """Return how many bytes of a whole frame count against a frame limit."""
    return len(framed) - HEADER_BYTES
