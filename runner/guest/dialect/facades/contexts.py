"""The facade over `contextlib`: context managers that do nothing of the script's while a run ends.

What is left out has no use here: standard streams, the working directory, and whatever is asynchronous.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable
from typing import Any

from runner.guest.dialect.fatal import close, is_unseen

Leave = Callable[[type[BaseException] | None, BaseException | None, None], Any]


class Suppress:
    """`contextlib.suppress` that never suppresses the end of a run."""

    __slots__ = ("_errors",)

    def __init__(self, *errors: type[BaseException]) -> None:
        self._errors = errors

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        return error is not None and not is_unseen(error) and isinstance(error, self._errors)


class Closing:
    """`contextlib.closing` that does not call `close` while a run ends."""

    __slots__ = ("_thing",)

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def __enter__(self) -> Any:
        return self._thing

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None and is_unseen(error):
            return
        if type(self._thing) is types.GeneratorType:
            close(self._thing)
        else:
            self._thing.close()


class ExitStack:
    """`contextlib.ExitStack` whose callbacks do not run while a run ends, and get no traceback."""

    __slots__ = ("_exits",)

    def __init__(self) -> None:
        self._exits: list[Leave] = []

    def enter_context(self, cm: Any) -> Any:
        kind: Any = type(cm)
        try:
            enter, leave = kind.__enter__, kind.__exit__
        except AttributeError:
            named = f"{kind.__module__}.{kind.__qualname__}"
            raise TypeError(f"'{named}' object does not support the context manager protocol") from None
        entered = enter(cm)
        self._exits.append(lambda *what: leave(cm, *what))
        return entered

    def push(self, exit: Any) -> Any:
        leave = getattr(type(exit), "__exit__", None)
        self._exits.append(exit if leave is None else lambda *what: leave(exit, *what))
        return exit

    def callback(self, callback: Callable[..., Any], /, *args: Any, **kwds: Any) -> Callable[..., Any]:
        self._exits.append(lambda *_: (callback(*args, **kwds), None)[1])
        return callback

    def pop_all(self) -> ExitStack:
        other = type(self)()
        other._exits, self._exits = self._exits, []
        return other

    def close(self) -> None:
        self.__exit__(None, None, None)

    def __enter__(self) -> ExitStack:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is not None and is_unseen(error):
            return False
        raised = self._leave(error)
        if raised is None or raised is error:
            return error is not None and raised is None
        context = raised.__context__
        try:
            raise raised
        except BaseException:
            # Raising has put `error` there.
            raised.__context__ = context
            raise

    def _leave(self, error: BaseException | None) -> BaseException | None:
        """Call what waits, the last first, and return what is then being raised."""
        while self._exits:
            leave = self._exits.pop()
            try:
                if leave(type(error) if error is not None else None, error, None):
                    error = None
            except BaseException as raised:
                if is_unseen(raised):
                    raise
                if error is not None and raised is not error:
                    raised.__context__ = error
                error = raised
        return error


def contextlib_module() -> dict[str, Any]:
    """Return the names of `contextlib`."""
    return {
        "contextmanager": contextlib.contextmanager,
        "nullcontext": contextlib.nullcontext,
        "ExitStack": ExitStack,
        "closing": Closing,
        "suppress": Suppress,
    }
