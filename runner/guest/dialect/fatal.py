"""End a run at once when something happens that a script must never observe.

Running out of memory or of stack is not deterministic, and the exceptions by which the guest ends a run are no business
of the script. So no handler, `finally`, `with` or `__exit__` of a script sees them: the rewrite puts `except _Fatal_`
first into each of them and `_end_()` at the start of what may run while an exception passes.

When even calling `_end_` fails, for want of stack or memory, that failure is fatal too and passes on outwards, before
any statement of the script: at a shallower frame the next `_end_` succeeds.

Not here: how the process ends (the caller's `fatal`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn


class EndOfRun(BaseException):
    """The base of what the guest raises through a script to end the run."""


FATAL = (MemoryError, RecursionError, EndOfRun, SystemExit, KeyboardInterrupt)

# Frames that the end of the run may use above the limit that the script has reached.
_HEADROOM = 200


def is_fatal(error: BaseException) -> bool:
    """Whether a script must not observe this exception.

    `BaseException` itself is what a script can raise by that name; a class below it that is no `Exception` is
    never its own.
    """
    if isinstance(error, FATAL):
        return True
    return not isinstance(error, (Exception, GeneratorExit)) and type(error) is not BaseException


def untraced(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments of an `__exit__` without the traceback, whose frames are no business of a script."""
    return tuple(None if isinstance(one, TracebackType) else one for one in arguments)


def end_hook(fatal: Callable[[BaseException], NoReturn]) -> Callable[[], None]:
    """Return `_end_`: it calls `fatal` if the exception being handled is one that a script must not observe."""

    def end() -> None:
        error = sys.exception()
        if error is None or not is_fatal(error):
            return
        if isinstance(error, RecursionError):
            sys.setrecursionlimit(sys.getrecursionlimit() + _HEADROOM)
        fatal(error)

    return end
