"""A call of an async function from code that is not: libraries that have a sync way as well use it.

Not here: what is called (core).
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from runner.errors import UsageError
from runner.integrations.core import Caller

T = TypeVar("T")


def blocking(begin: Callable[[], Coroutine[Any, Any, T]], caller: Caller) -> T:
    """Return what a coroutine returns, run in a loop of its own. Whoever interrupts the wait cancels it.

    In a thread whose loop is running it is run in another thread; that loop stands still meanwhile, as it does for any
    sync call.

    Raises UsageError: the caller's Runner was given, so it belongs to another loop.
    """
    if caller.shared:
        message = "a Runner that was entered in an event loop cannot be used from code that is not async"
        raise UsageError(message, hint="call it by its async form, or give no runner")
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(begin())
    return _in_a_thread(begin)


def _in_a_thread(begin: Callable[[], Coroutine[Any, Any, T]]) -> T:
    ended, context, cancelling = Future[T](), contextvars.copy_context(), _Cancelling()

    async def known() -> T:
        cancelling.begun()
        return await begin()

    def serve() -> None:
        try:
            ended.set_result(context.run(asyncio.run, known()))
        except BaseException as error:
            ended.set_exception(error)

    thread = threading.Thread(target=serve, name="runner-blocking-call", daemon=True)
    try:
        # It waits for the thread, and can be interrupted in that as well.
        thread.start()
        return ended.result()
    except BaseException:
        cancelling.ask()
        raise
    finally:
        if thread.ident is not None:
            thread.join()


class _Cancelling:
    """Cancels a task of another thread, whether it has begun, will begin or has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = False
        self._task: asyncio.Task[Any] | None = None

    def begun(self) -> None:
        """Called by the task itself."""
        with self._lock:
            self._task = asyncio.current_task()
            if self._asked and self._task is not None:
                self._task.cancel()

    def ask(self) -> None:
        with self._lock:
            self._asked = True
            if self._task is not None:
                # It may have ended by itself, and its loop with it.
                with suppress(RuntimeError):
                    self._task.get_loop().call_soon_threadsafe(self._task.cancel)
