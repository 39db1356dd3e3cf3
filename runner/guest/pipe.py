"""The guest's end of the channel: frames out of fd 0 and into fd 1, blocking.

What is said is kept until `flush` or until 64 KiB are together. Reading happens only after a flush, so
neither side ever waits for the other to read.

Not here: what the frames say (wire), and when to flush (conversation).
"""

from __future__ import annotations

import os
from collections import deque
from typing import NoReturn

from runner.guest.exits import EXIT_DONE
from runner.guest.wire import FrameReader

BUFFER_BYTES = 64 * 1024
READ_BYTES = 128 * 1024
# The host is trusted: its frames may be as large as the run's limits let it make them.
_MAX_FRAME = 2**31 - 1


class Pipe:
    """fd 0 and fd 1 as frames. One thread, one reader."""

    __slots__ = ("_frames", "_heard", "_reader", "_size", "_source", "_target")

    def __init__(self, source: int = 0, target: int = 1) -> None:
        self._source = source
        self._target = target
        self._reader = FrameReader(_MAX_FRAME)
        self._heard: deque[bytes] = deque()
        self._frames: list[bytes] = []
        self._size = 0

    def say(self, frame: bytes) -> None:
        """Keep a frame to be sent with the next flush."""
        self._frames.append(frame)
        self._size += len(frame)
        if self._size >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send everything that is kept, frame by frame when there is no memory to join them."""
        frames = self._frames
        if not frames:
            return
        try:
            whole = [b"".join(frames)] if len(frames) > 1 else frames
        except MemoryError:
            whole = frames
        for data in whole:
            self._write(data)
        frames.clear()
        self._size = 0

    def _write(self, data: bytes) -> None:
        """Send all of it. A host that is gone ends the process: nobody is left to tell."""
        try:
            written = os.write(self._target, data)
            while written < len(data):
                written += os.write(self._target, memoryview(data)[written:])
        except OSError:
            leave(EXIT_DONE)

    def hear(self) -> bytes:
        """Return the next frame's payload. Ends the process when the host has closed the channel."""
        while not self._heard:
            data = os.read(self._source, READ_BYTES)
            if not data:
                leave(EXIT_DONE)
            self._heard.extend(self._reader.feed(data))
        return self._heard.popleft()


def leave(code: int) -> NoReturn:
    """End the process now: no finalizer, no atexit, nothing that asks the kernel for more."""
    os._exit(code)
