"""Guests that wait before they are needed: handed out once, replaced, never left over."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from runner.errors import SandboxUnavailable
from runner.guest import wire
from runner.models import MIB, Limits
from runner.sandbox import proc
from runner.sandbox.bundle import bundle
from runner.sandbox.pool import MAX_KEYS, Pool
from runner.sandbox.process import ProcessSandbox
from runner.seams import Channel, Sandbox
from tests.support import converse

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.own_nursery]
LIMITS = Limits()


class Counted:
    """A process sandbox that remembers whom it started, and can be made to refuse."""

    kind = "process"

    def __init__(self, inner: Sandbox) -> None:
        self._inner = inner
        self.started: list[Channel] = []
        self.refuses = False

    async def start(self, limits: Limits) -> Channel:
        if self.refuses:
            raise SandboxUnavailable("no more")
        channel = await self._inner.start(limits)
        self.started.append(channel)
        return channel

    async def close(self) -> None:
        await asyncio.gather(*(channel.kill() for channel in self.started))

    @property
    def alive(self) -> set[int]:
        return {channel.facts.pid for channel in self.started if proc.status(channel.facts.pid)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ProcessSandbox]:
    sandbox = ProcessSandbox(files=bundle(tmp_path_factory.mktemp("bundle")))
    yield sandbox
    await sandbox.close()


@pytest_asyncio.fixture(loop_scope="module")
async def counted(process: ProcessSandbox) -> AsyncIterator[Counted]:
    counted = Counted(process)
    yield counted
    await counted.close()


async def test_a_guest_that_waited_runs_a_script_and_another_takes_its_place(counted):
    pool = Pool(counted, 2)
    await pool.warm(LIMITS)
    waiting = set(counted.alive)
    channel = await pool.start(LIMITS)
    assert channel.facts.pid in waiting
    await pool.warm(LIMITS)
    assert (pool.waiting(LIMITS), len(counted.started)) == (2, 3)

    assert (await converse(channel, "result = 1")).last == wire.Finished(ok=True, result=1)
    await pool.close()


async def test_no_guest_is_handed_out_twice(counted):
    pool = Pool(counted, 2)
    channels = await asyncio.gather(*(pool.start(LIMITS) for _ in range(10)))

    assert len({channel.facts.pid for channel in channels}) == 10
    await pool.close()


async def test_a_guest_is_only_for_runs_that_would_have_started_one_like_it(counted):
    pool = Pool(counted, 1)
    small = Limits(memory_bytes=128 * MIB)
    await pool.warm(LIMITS)
    channel = await pool.start(small)
    assert pool.waiting(LIMITS) == 1

    talk = await converse(channel, "x = bytes(150_000_000)")
    assert talk.last.limit == "memory"
    alike = await pool.start(Limits(cpu_seconds=1, spawns=5, wall_seconds=9))
    assert alike is counted.started[0]
    await pool.close()


async def test_a_guest_that_dies_while_it_waits_is_replaced(counted):
    pool = Pool(counted, 1)
    await pool.warm(LIMITS)
    [dead] = counted.started
    os.kill(dead.facts.pid, signal.SIGKILL)
    await dead.wait()
    await pool.warm(LIMITS)
    channel = await pool.start(LIMITS)

    assert channel is not dead
    assert (await converse(channel, "result = 2")).last.result == 2
    await pool.close()


async def test_closing_the_pool_kills_whoever_waits_or_is_being_started(counted):
    pool = Pool(counted, 3)
    await pool.start(LIMITS)
    await asyncio.sleep(0)
    await pool.close()
    await counted.started[0].kill()

    assert counted.alive == set()


async def test_a_sandbox_that_fails_in_the_background_is_heard_by_the_next_run(counted):
    pool = Pool(counted, 1)
    await pool.warm(LIMITS)
    counted.refuses = True
    await pool.start(LIMITS)
    await pool.warm(LIMITS)

    assert pool.waiting(LIMITS) == 0
    with pytest.raises(SandboxUnavailable, match="no more"):
        await pool.start(LIMITS)
    await pool.close()


async def test_limits_that_were_not_asked_for_lately_keep_no_guests(counted):
    pool = Pool(counted, 1)
    sizes = [Limits(memory_bytes=(100 + n) * MIB) for n in range(MAX_KEYS + 1)]
    for limits in sizes:
        await pool.warm(limits)
        await (await pool.start(limits)).kill()
        await pool.warm(limits)

    assert [pool.waiting(limits) for limits in sizes] == [0] + [1] * MAX_KEYS
    await pool.close()
    assert counted.alive == set()


async def test_a_pool_of_none_starts_each_guest_when_it_is_asked_for(counted):
    pool = Pool(counted, 0)
    await pool.start(LIMITS)

    assert (len(counted.started), pool.waiting(LIMITS), pool.kind) == (1, 0, "process")
    await pool.close()
