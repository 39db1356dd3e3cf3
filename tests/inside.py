"""The guest's API in this process: over a pipe that is a list, called from a test or by a script of the dialect."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from runner.guest import api, conversation, dialect, wire
from tests.miniature import Answers
from tests.support import start_of


class ListPipe:
    """The guest's pipe without a host process: what is said is answered by `Answers`."""

    def __init__(self) -> None:
        self.answers = Answers()
        self.said: list[wire.FromGuest] = []
        self.flushes = 0
        self._frames: list[bytes] = []
        self._heard: deque[bytes] = deque()

    def say(self, frame: bytes) -> None:
        self._frames.append(frame)

    def flush(self) -> None:
        self.flushes += 1
        frames, self._frames = self._frames, []
        for frame in frames:
            message = wire.decode_guest(_payload(frame))
            self.said.append(message)
            self._heard.extend(map(_payload, self.answers.heard(message)))

    def hear(self) -> bytes:
        return self._heard.popleft()

    def of(self, kind: type) -> list[Any]:
        self.flush()
        return [message for message in self.said if isinstance(message, kind)]

    @property
    def printed(self) -> str:
        return "".join(message.text for message in self.of(wire.Output))

    @property
    def waited(self) -> list[tuple[tuple[int, ...], int, str, str]]:
        """(handles, need, of, rest) of each wait."""
        return [(wait.handles, wait.need, wait.of, wait.rest) for wait in self.of(wire.Wait)]


def _payload(frame: bytes) -> bytes:
    return frame[4:]


Begin = Callable[..., ListPipe]


@pytest.fixture
def begin() -> Begin:
    def begin(**start: object) -> ListPipe:
        pipe = ListPipe()
        conversation.begin(conversation.Conversation(pipe, start_of("", **start)))  # type: ignore[arg-type]
        return pipe

    return begin


@pytest.fixture
def pipe(begin: Begin) -> ListPipe:
    return begin()


def run(source: str, inputs: Any = None) -> dict[str, Any]:
    """Run a script of the dialect in the open conversation; return its names."""
    compiled = dialect.compile_script(source)
    assert compiled.code is not None, compiled.remarks

    def fatal(error: BaseException) -> Any:
        raise SystemExit from error

    names = dialect.namespace(
        api.names(inputs), clock=lambda: conversation.current().now, randomness=random.Random, fatal=fatal, emit=api.emit
    )
    exec(compiled.code, names)
    return names


def result(source: str, inputs: Any = None) -> Any:
    """Return what a script assigns to `result`."""
    return run(source, inputs)["result"]
