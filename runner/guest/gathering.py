"""`gather` and `first_ok`: wait for many handles, judge how many succeeded, return the shape that was given.

Two goals cover all modes: a number of successes, which ends the wait when it is reached or cannot be any more, and
everything settled. The host counts where it can; among parts and texts the guest looks at each answer itself. What is
unfinished when the goal is decided is cancelled; what a timeout finds unfinished, the host has stopped.

Not here: shapes (shapes), the asking (waiting).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from runner.guest.completing import handles_in
from runner.guest.conversation import Conversation, Delivered, current
from runner.guest.errors import TooFewResults
from runner.guest.handles import Handle
from runner.guest.options import seconds, share
from runner.guest.outcomes import bases, known
from runner.guest.shapes import leaves, listed, rebuilt
from runner.guest.waiting import Watch, wait
from runner.guest.wire import Json

_ON_ERROR = ("raise", "none", "return")


def gather(
    *things: Any,
    on_error: str = "raise",
    return_exceptions: bool = False,
    min_ok: float | None = None,
    enough: float | None = None,
    timeout: float | None = None,
    **others: object,
) -> Any:
    if others:
        name, value = next(iter(others.items()))
        more = f': write gather({{"{name}": ...}})' if isinstance(value, Handle) else ""
        raise TypeError(f"gather() has no option {name}={more}")
    if on_error not in _ON_ERROR:
        raise ValueError(f'on_error= is "raise", "none" or "return", not {on_error!r}')
    if type(return_exceptions) is not bool:
        raise TypeError("return_exceptions= is True or False")
    if min_ok is not None and enough is not None:
        raise ValueError("gather() takes min_ok= (wait for all) or enough= (return as soon as possible), not both")
    on_error = "return" if return_exceptions else on_error
    allowed = None if timeout is None else seconds(timeout, "timeout")
    shape = listed(things)
    found = Gathering(leaves(shape))
    total = len(found.handles)
    if enough is not None:
        wanted = share(enough, total, "enough")
        found.until_succeeded(wanted, allowed)
    elif min_ok is not None:
        wanted = share(min_ok, total, "min_ok")
        found.until_settled(allowed)
    elif on_error == "raise":
        wanted = 0
        found.until_succeeded(total, allowed)
        found.raise_first_failure()
    else:
        wanted = 0
        found.until_settled(allowed)
    if found.succeeded < wanted:
        raise found.too_few(wanted, rebuilt(shape, found.value_or_none))
    return rebuilt(shape, found.value_or_error if on_error == "return" else found.value_or_none)


def first_ok(handles: Iterable[Handle], *more: object) -> Any:
    if more:
        raise TypeError("first_ok() takes one list of handles: write first_ok([a, b])")
    given = handles_in(handles, "first_ok()")
    found = Gathering(given)
    found.until_succeeded(1, None)
    if found.first_success is None:
        raise found.too_few(1, [None] * len(given))
    return found.first_success.value


class Gathering:
    """The handles of one call, each once, and how many of them succeeded and failed so far."""

    def __init__(self, handles: Iterable[Handle]) -> None:
        self.handles = list({id(handle): handle for handle in handles}.values())
        self.succeeded = self.failed = 0
        self.first_success: Delivered | None = None
        self.first_failure: Delivered | None = None
        self._conversation: Conversation = current()
        self._watch = Watch()
        for handle in self.handles:
            self._watch.add(handle)

    def until_settled(self, timeout: float | None) -> None:
        """Wait for the outcome of each, or until the time is over."""
        self._wait(lambda: self._look() or len(self.handles) - self.succeeded - self.failed, "settled", timeout)

    def until_succeeded(self, wanted: int, timeout: float | None) -> None:
        """Wait until so many have succeeded, or cannot any more; then cancel what is unfinished."""

        def missing() -> int:
            self._look()
            possible = len(self.handles) - self.failed
            return wanted - self.succeeded if self.succeeded < wanted <= possible else 0

        self._wait(missing, "ok", timeout)
        for handle in self.handles:
            if known(self._conversation, handle) is None:
                for n in bases(handle):
                    self._conversation.cancel(n)
        self._look()

    def _wait(self, missing: Callable[[], int], of: str, timeout: float | None) -> None:
        until = None if timeout is None else self._conversation.now + timeout
        if self._watch.plain:
            wait(self._watch, missing, of=of, until=until, rest="stop")
        else:
            wait(self._watch, lambda: min(1, missing()), until=until, rest="keep" if until is None else "expire")
        self._look()

    def _look(self) -> int:
        """Count what became known; return 0."""
        for handle in self._watch.news():
            told = known(self._conversation, handle)
            assert told is not None
            if told.error is None:
                self.succeeded += 1
                self.first_success = self.first_success or told
            else:
                self.failed += 1
                self.first_failure = self.first_failure or told
        return 0

    def raise_first_failure(self) -> None:
        """Raise the failure that was delivered first, if there is one."""
        if self.first_failure is not None and self.first_failure.error is not None:
            # Without this the trace would begin with that of the last time it was raised.
            raise self.first_failure.error.with_traceback(None)

    def too_few(self, wanted: int, results: Any) -> TooFewResults:
        message = f"{self.succeeded} of {len(self.handles)} succeeded, and {wanted} had to"
        cause = self.first_failure.error if self.first_failure else None
        if cause is not None:
            message += f"; the first failure: {cause.message}"
        return TooFewResults(message, results=results, cause=cause)

    def value_or_none(self, handle: Handle) -> Json:
        return self._told(handle).value

    def value_or_error(self, handle: Handle) -> Any:
        told = self._told(handle)
        return told.value if told.error is None else told.error

    def _told(self, handle: Handle) -> Delivered:
        told = known(self._conversation, handle)
        assert told is not None
        return told
