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
    begun: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]] = []
    ended, context = Future[T](), contextvars.copy_context()

    async def known() -> T:
        begun.append((asyncio.get_running_loop(), asyncio.current_task()))
        return await begin()

    def serve() -> None:
        try:
            ended.set_result(context.run(asyncio.run, known()))
        except BaseException as error:
            ended.set_exception(error)

    thread = threading.Thread(target=serve, name="runner-blocking-call", daemon=True)
    thread.start()
    try:
        return ended.result()
    except BaseException:
        if not ended.done():
            _cancel(begun)
        raise
    finally:
        thread.join()


def _cancel(begun: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]]) -> None:
    for loop, task in begun:
        # It may end by itself in this moment, and its loop with it.
        with suppress(RuntimeError):
            if task is not None:
                loop.call_soon_threadsafe(task.cancel)
