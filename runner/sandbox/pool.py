"""Guests that are started before they are needed, over any sandbox.

A guest that waits has locked itself, or is about to, and has been told nothing. It is handed out once, serves one run
and dies; another is started in its place in the background. Guests are alike when the limits that shape a guest at its
start are equal; kind, image and hardening are those of the sandbox underneath, one pool has one.

Not here: verifying the lock; whoever takes a guest out does that, as for any other.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Coroutine

from runner.errors import SandboxError
from runner.models import Limits
from runner.seams import Channel, Sandbox

# Kinds of guests that wait at the same time. A host that serves more policies than that starts some guests afresh.
MAX_KEYS = 4

# Starting a guest takes as much processor as a short run does: where others wait still, the run goes first.
REFILL_SECONDS = 0.01

Key = int
"""`Limits.memory_bytes`: the only limit that a guest has before it hears its script."""


class Pool:
    """Keeps `size` guests waiting for each kind of guest that was asked for lately."""

    def __init__(self, sandbox: Sandbox, size: int) -> None:
        self._sandbox = sandbox
        self._size = size
        self._waiting: OrderedDict[Key, deque[Channel]] = OrderedDict()
        self._starting: dict[Key, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def kind(self) -> str:
        return self._sandbox.kind

    def waiting(self, limits: Limits) -> int:
        """Return how many guests wait for a run under such limits."""
        return len(self._waiting.get(_key(limits), ()))

    async def start(self, limits: Limits) -> Channel:
        """Hand out a waiting guest, or start one. Raises SandboxUnavailable."""
        key = _key(limits)
        waiting = self._waiting.setdefault(key, deque())
        self._waiting.move_to_end(key)
        channel = waiting.popleft() if waiting else await self._sandbox.start(limits)
        if waiting:
            asyncio.get_running_loop().call_later(REFILL_SECONDS, self._fill, key, limits)
        else:
            self._fill(key, limits)
        self._forget_oldest()
        return channel

    async def warm(self, limits: Limits) -> None:
        """Return once `size` guests wait for runs under such limits, or none could be started."""
        self._waiting.setdefault(_key(limits), deque())
        self._fill(_key(limits), limits)
        while self._starting.get(_key(limits)):
            await asyncio.wait([task for task in self._tasks if task.get_name() == "start"])

    async def close(self) -> None:
        """Kill every guest that waits or is being started, and close the sandbox underneath."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for waiting in self._waiting.values():
            await asyncio.gather(*(channel.kill() for channel in waiting))
        self._waiting.clear()
        await self._sandbox.close()

    def _fill(self, key: Key, limits: Limits) -> None:
        missing = self._size - len(self._waiting.get(key, ())) - self._starting.get(key, 0)
        for _ in range(missing if not self._closed else 0):
            self._starting[key] = self._starting.get(key, 0) + 1
            self._run(self._add(key, limits), "start")

    async def _add(self, key: Key, limits: Limits) -> None:
        try:
            channel = await self._sandbox.start(limits)
        except SandboxError:
            # The next run that asks starts its own and hears why; trying again from here could go on for ever.
            return
        finally:
            self._starting[key] -= 1
        if key not in self._waiting:
            await channel.kill()
            return
        self._waiting[key].append(channel)
        self._run(self._watch(key, channel, limits), "watch")

    async def _watch(self, key: Key, channel: Channel, limits: Limits) -> None:
        """Replace a guest that dies while it waits."""
        await channel.wait()
        waiting = self._waiting.get(key)
        if waiting is not None and channel in waiting:
            waiting.remove(channel)
            await channel.kill()
            self._fill(key, limits)

    def _forget_oldest(self) -> None:
        while len(self._waiting) > MAX_KEYS:
            _, unused = self._waiting.popitem(last=False)
            for channel in unused:
                self._run(channel.kill(), "kill")

    def _run(self, work: Coroutine[object, object, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _key(limits: Limits) -> Key:
    return limits.memory_bytes


__all__ = ["MAX_KEYS", "Pool"]
