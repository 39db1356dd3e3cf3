"""End a run at once when something happens that a script must never observe.

Running out of memory or of stack is not deterministic, and the exceptions by which the guest ends a run are no business
of the script. So no handler, `finally`, `with` or `__exit__` of a script sees them: the rewrite puts `except _Fatal_`
first into each of them and `_end_()` at the start of what may run while an exception passes.

A generator that is dropped before its end runs nothing more of the script either: CPython would run its `finally` while
a fatal exception passes, or when the garbage collector comes by, and would discard what goes wrong in there. Only
`close()` of the script itself is heard.

When even calling `_end_` fails, for want of stack or memory, that failure is fatal too and passes on outwards, before
any statement of the script: at a shallower frame the next `_end_` succeeds.

Not here: how the process ends (the caller's `fatal`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from types import FrameType, FunctionType, GeneratorType, TracebackType
from typing import Any, NoReturn


class EndOfRun(BaseException):
    """The base of what the guest raises through a script to end the run."""


FATAL = (MemoryError, RecursionError, EndOfRun, SystemExit, KeyboardInterrupt)

# Frames that the end of the run may use above the limit that the script has reached.
_HEADROOM = 200


class Close(BaseException):
    """What `close()` of a script throws into a generator; GeneratorExit itself is the interpreter's."""


Close.__name__ = Close.__qualname__ = "GeneratorExit"

# What the rewrite answers before any handler of the script is looked at.
UNSEEN = (*FATAL, GeneratorExit)


def is_fatal(error: BaseException) -> bool:
    """Whether a script must not observe this exception.

    `BaseException` itself is what a script can raise by that name; a class below it that is no `Exception` is
    never its own. An exception that was made out of a fatal one, as CPython does around `__set_name__`, is one too.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(meaning_of(cause), FATAL):
            return True
        cause = cause.__cause__ if type(cause) is RuntimeError else None
    return not isinstance(error, (Exception, GeneratorExit, Close)) and type(error) is not BaseException


def meaning_of(error: BaseException) -> BaseException:
    """Return the MemoryError that a SystemError stands for, or the exception itself.

    Parts of CPython in C (`deque(...)`, for one) lose the MemoryError; the interpreter then says that a call failed
    "without setting an exception".
    """
    if type(error) is SystemError and "without setting an exception" in str(error):
        return MemoryError().with_traceback(error.__traceback__)
    return error


def untraced(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments of an `__exit__` without the traceback, whose frames are no business of a script."""
    return tuple(None if isinstance(one, TracebackType) else one for one in arguments)


def end_hook(fatal: Callable[[BaseException], NoReturn]) -> Callable[[], None]:
    """Return `_end_`: it calls `fatal` if the exception being handled is one that a script must not observe.

    In a generator that was dropped it raises GeneratorExit again, so that the statements after it do not run.
    """

    def end() -> None:
        error = sys.exception()
        if error is None:
            return
        if isinstance(error, GeneratorExit):
            if _thrown_into(sys._getframe(1), error):
                raise error
        elif is_fatal(error):
            if isinstance(error, RecursionError):
                sys.setrecursionlimit(sys.getrecursionlimit() + _HEADROOM)
            fatal(meaning_of(error))

    return end


def is_unseen(error: BaseException) -> bool:
    """Whether nothing of the script may run for this: it is fatal, or a generator was dropped."""
    return isinstance(error, GeneratorExit) or is_fatal(error)


def _thrown_into(frame: FrameType, error: BaseException) -> bool:
    """Whether the exception passes through this frame, or stands in the one that calls this `__exit__`."""
    callers = (frame, frame.f_back) if frame.f_code.co_name == "__exit__" else (frame,)
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame in callers:
            return True
        trace = trace.tb_next
    return False


def close(generator: Generator[Any, Any, Any]) -> None:
    """Do what `generator.close()` does for a script; what the generator delegates to is closed first, as ever."""
    try:
        generator.throw(Close())
    except (Close, StopIteration):
        return
    raise RuntimeError("generator ignored GeneratorExit")


def delegate(iterable: Any) -> Iterator[Any]:
    """Return what `yield from` delegates to: a generator, or one that stands before an iterator of another kind.

    The interpreter would call a `close` of the iterator itself when the generator is dropped.
    """
    if type(iterable) is GeneratorType:
        return iterable
    return iter(iterable) if type(iterable) in (list, tuple, range) else _items(iter(iterable))


def _items(iterator: Iterator[Any]) -> Generator[Any, None, Any]:
    while True:
        try:
            item = next(iterator)
        except StopIteration as stop:
            return stop.value
        yield item


def require_own_exit(method: Any) -> Any:
    """Return a decorated `__exit__` that still begins as the rewrite made it. Raises TypeError for any other."""
    inner = method.__func__ if isinstance(method, classmethod) else method
    if type(inner) is not FunctionType or inner.__code__.co_name != "__exit__":
        raise TypeError("a decorator cannot put something else in the place of `__exit__`")
    return method
