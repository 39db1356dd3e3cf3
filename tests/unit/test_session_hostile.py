"""A guest that speaks badly: the host says what was wrong, kills it, and nothing else happens."""

from __future__ import annotations

import asyncio

import pytest

from runner.clock import HeldClock
from runner.errors import GuestDied, GuestMisbehaved, LockNotVerified, StoreError
from runner.guest import wire
from runner.models import Limits, RunError, RunState, SandboxFacts
from runner.seams import Exit, Reply
from runner.session import Ending, Session

READY = wire.Ready(wire.PROTOCOL, "b" * 64, "3.11", 1)
START = wire.Start("", "s", {}, 1, 0.0, 10, 300.0, 4096, None, 1)


class BadGuest:
    """A channel to a guest that says exactly these bytes, whatever it is told. None ends its speech for good."""

    def __init__(self, *says: bytes | None, exit: Exit | None = None, locked: bool = True) -> None:
        self._says = list(says)
        self._exit = exit or Exit(0, "exit")
        self._locked = locked
        self.got = b""
        self.killed = False
        self.facts = SandboxFacts("fake", 1)

    async def verify_lock(self) -> None:
        if not self._locked:
            self.killed = True
            raise LockNotVerified("guest is not locked")

    def limit_cpu(self, seconds: float) -> None:
        pass

    def cpu_seconds(self) -> float:
        return 0.0

    async def send(self, data: bytes) -> None:
        self.got += data

    async def receive(self) -> bytes:
        if not self._says:
            return b""
        data = self._says.pop(0)
        if data is None:
            await asyncio.Event().wait()
        return data or b""

    async def kill(self) -> None:
        self.killed = True

    async def wait(self) -> Exit:
        return self._exit


class Recorder:
    """A responder that answers every wait at once with nothing, or never."""

    def __init__(self, *, answers: bool = True) -> None:
        self.asked: list[object] = []
        self.owes = 0
        """How many turns of the loop what was said last still takes."""
        self._answers = answers

    def spawned(self, spawn: wire.Spawn) -> None:
        self.asked.append(spawn)

    def derived(self, then: wire.Then) -> None:
        self.asked.append(then)

    def settled(self, settled: wire.Settled) -> None:
        self.asked.append(settled)

    def cancelled(self, handle: int) -> None:
        self.asked.append(handle)

    @property
    def busy(self) -> bool:
        return self.owes > 0

    async def idle(self) -> None:
        while self.owes:
            self.owes -= 1
            await asyncio.sleep(0)

    def printed(self, output: wire.Output) -> None:
        self.asked.append(output)

    async def wait(self, wait: wire.Wait) -> Reply:
        if not self._answers:
            await asyncio.Event().wait()
        return Reply([], "ready", 1.0)

    async def finished(self) -> None:
        pass


def said(*messages: wire.FromGuest) -> bytes:
    return b"".join(wire.encode_guest(message) for message in messages)


def spawn(n: int) -> wire.Spawn:
    return wire.Spawn(n, "a", {})


def wait(n: int, *handles: int) -> wire.Wait:
    return wire.Wait(n, 1, handles, len(handles))


def then(n: int, *of: int) -> wire.Then:
    return wire.Then(n, of)


def made_of(handle: int) -> tuple[wire.Fill, ...]:
    return (wire.Fill((), wire.Part(handle)),)


async def converse(*says: bytes | None, exit: Exit | None = None, answers: bool = True, **limits: object) -> Ending:
    guest = BadGuest(said(READY), *says, exit=exit)
    session = Session(guest, Recorder(answers=answers), limits=Limits(**limits), clock=HeldClock())
    await session.greet()
    ending = await session.converse(START)
    await session.gone()

    assert guest.killed
    return ending


DONE = wire.Finished(ok=True, result=1)


@pytest.mark.parametrize(
    ("says", "word"),
    [
        (b"\x00\x00\x00\x02[]", "no object"),
        (b"\xff\xff\xff\xff", "a frame of 4294967295 bytes"),
        (b"GET / HTTP/1.1\r\n\r\n", "a frame of"),
        (b"\x00\x00\x00\x04\xff\xff\xff\xff", "no UTF-8"),
        (said(READY), 'said "ready" again'),
        (said(spawn(2)), "handle 2 follows handle 0"),
        (said(spawn(1), spawn(1)), "handle 1 follows handle 1"),
        (said(*(spawn(n) for n in range(1, 12))), "beyond its limit of 10"),
        (said(wire.Cancel(1)), "cancel names handle 1, which was never told"),
        (said(wait(1, 1)), "wait names handle 1, which was never told"),
        (said(spawn(1), then(3, 1)), "handle 3 follows handle 1"),
        (said(spawn(1), then(1, 1)), "handle 1 follows handle 1"),
        (said(then(1, 1)), "then names handle 1, which was never told"),
        (said(spawn(1), then(2, 3)), "then names handle 3, which was never told"),
        (said(wire.Spawn(1, "a", None, fills=made_of(1))), "spawn names handle 1, which was never told"),
        (said(spawn(1), wire.Spawn(2, "a", None, fills=made_of(3))), "spawn names handle 3, which was never told"),
        (said(wire.Settled(1, 1)), "settled names handle 1, which was never told"),
        (said(spawn(1), then(2, 1), wire.Settled(2, None, made_of(3))), "settled names handle 3, which was never told"),
        (
            said(spawn(1), then(2, 1), wire.Settled(2, kind="failed", message="x", cause=3)),
            "settled names handle 3, which was never told",
        ),
        (said(spawn(1), *(then(n, 1) for n in range(2, 1_043))), "more thens than it may"),
        (said(wait(2)), "wait 2 follows wait 0"),
        (said(wait(1), wait(2)), 'went on after "wait"'),
        (said(wait(1), spawn(1)), 'went on after "wait"'),
        (said(wait(1)) + b"\x00", 'went on after "wait"'),
        (said(DONE, DONE), 'went on after "finished"'),
        (said(DONE, spawn(1)), 'went on after "finished"'),
        (said(wait(1), wire.Settled(1, 1)), 'went on after "wait"'),
    ],
)
async def test_a_guest_that_breaks_the_conversation_is_killed_and_named(says, word):
    ending = await converse(says, spawns=10)

    assert ending.state is RunState.CRASHED
    assert ending.error is not None and ending.error.kind == "misbehaved"
    assert word in ending.error.message


async def test_as_many_thens_as_are_allowed_are_told():
    ending = await converse(said(spawn(1), *(then(n, 1) for n in range(2, 1_042)), DONE), spawns=10)

    assert ending == Ending(RunState.DONE, 1, by="script")


async def test_the_next_message_is_told_once_the_last_has_been_worked_out():
    told: list[tuple[object, int]] = []

    class Slow(Recorder):
        def spawned(self, spawn: wire.Spawn) -> None:
            told.append((spawn.n, self.owes))
            self.owes = 3

    guest = BadGuest(said(READY), said(spawn(1), spawn(2), DONE))
    session = Session(guest, responder := Slow(), limits=Limits(), clock=HeldClock())
    await session.greet()
    ending = await session.converse(START)
    await session.gone()

    assert (told, responder.owes, ending.state) == ([(1, 0), (2, 0)], 0, RunState.DONE)


async def test_a_guest_that_speaks_while_it_waits_is_killed():
    ending = await converse(said(spawn(1), wait(1, 1)), said(spawn(2)), answers=False)

    assert ending.error == RunError("misbehaved", "the guest spoke while it was waiting for an answer")


@pytest.mark.parametrize(
    ("reason", "state", "kind"),
    [
        ("exit", RunState.CRASHED, "died"),
        ("killed", RunState.CRASHED, "died"),
        ("lock", RunState.CRASHED, "lock"),
        ("memory", RunState.LIMIT, "memory"),
        ("cpu", RunState.LIMIT, "cpu"),
    ],
)
@pytest.mark.parametrize("last", [b"", said(spawn(1), wait(1, 1)), b"\x00\x00"], ids=["silent", "waiting", "half"])
async def test_a_guest_that_dies_ends_the_run_by_the_way_it_died(reason, state, kind, last):
    ending = await converse(last, b"", exit=Exit(1, reason), answers=False)

    assert ending.state is state
    assert ending.error is not None and ending.error.kind == kind


@pytest.mark.parametrize(
    ("says", "limits", "kind"),
    [
        (said(wire.Output("x" * 600), wire.Output("x" * 600)), {"log_bytes": 1_000}, "logged"),
        (said(wire.Output("", {"x": "x" * 1_100})), {"log_bytes": 1_000}, "logged"),
        (said(wire.Output("x" * 6_000)), {"bytes_in": 5_000}, "bytes_in"),
        (said(wait(1)), {"bytes_out": 200}, "bytes_out"),
        (said(wire.Finished(ok=False, limit="memory")), {}, "memory"),
        (said(wire.Finished(ok=False, limit="recursion")), {}, "recursion"),
        (said(wire.Finished(ok=False, limit="spawns")), {}, "spawns"),
        (said(wire.Finished(ok=False, limit="result")), {}, "result"),
    ],
)
async def test_what_a_run_may_use_is_bounded(says, limits, kind):
    ending = await converse(says, None, **limits)

    assert ending.state is RunState.LIMIT
    assert ending.error is not None and ending.error.kind == kind and ending.error.hint


async def test_a_run_ends_at_its_wall_limit_whatever_the_guest_does():
    clock = HeldClock()
    guest = BadGuest(said(READY), None)
    session = Session(guest, Recorder(), limits=Limits(wall_seconds=5), clock=clock)
    await session.greet()
    talk = asyncio.ensure_future(session.converse(START))
    await asyncio.sleep(0)
    clock.advance(5)
    ending = await talk
    await session.gone()

    assert ending.state is RunState.LIMIT
    assert ending.error is not None and ending.error.kind == "wall"
    assert guest.killed


@pytest.mark.parametrize(
    ("says", "error"),
    [
        (said(spawn(1)), GuestMisbehaved),
        (said(READY, READY), GuestMisbehaved),
        (b"garbage!", GuestMisbehaved),
        (b"", GuestDied),
    ],
)
async def test_a_guest_that_does_not_begin_with_ready_gets_no_script(says, error):
    guest = BadGuest(says)

    with pytest.raises(error):
        await Session(guest, Recorder(), limits=Limits(), clock=HeldClock()).greet()
    assert guest.killed and guest.got == b""


async def test_a_guest_whose_lock_is_not_seen_gets_no_script():
    guest = BadGuest(said(READY), locked=False)

    with pytest.raises(LockNotVerified):
        await Session(guest, Recorder(), limits=Limits(), clock=HeldClock()).greet()
    assert guest.killed and guest.got == b""


async def test_a_store_that_fails_ends_the_conversation_with_its_error():
    guest = BadGuest(said(READY), None)
    session = Session(guest, Recorder(), limits=Limits(), clock=HeldClock())
    await session.greet()
    talk = asyncio.ensure_future(session.converse(START))
    await asyncio.sleep(0)
    session.interrupt(StoreError("disk full"))

    with pytest.raises(StoreError, match="disk full"):
        await talk
    await session.gone()
    assert guest.killed


async def test_the_first_interruption_counts():
    guest = BadGuest(said(READY), None)
    session = Session(guest, Recorder(), limits=Limits(), clock=HeldClock())
    await session.greet()
    stopped = Ending(RunState.STOPPED, error=RunError("stopped", "stopped by test"))
    session.interrupt(stopped)
    session.interrupt(StoreError("later"))

    assert await session.converse(START) == stopped
    await session.gone()
    assert guest.killed


class DeafGuest(BadGuest):
    """Waits, and then never reads: the host's answer does not go through."""

    async def send(self, data: bytes) -> None:
        await super().send(data)
        if b'"answer"' in data:
            await asyncio.Event().wait()


async def test_a_guest_that_never_reads_its_answer_is_ended_by_the_wall_limit():
    clock = HeldClock()
    guest = DeafGuest(said(READY), said(wait(1)), None)
    session = Session(guest, Recorder(), limits=Limits(wall_seconds=5), clock=clock)
    await session.greet()
    talk = asyncio.ensure_future(session.converse(START))
    for _ in range(20):
        await asyncio.sleep(0)
    assert b'"answer"' in guest.got
    clock.advance(5)
    ending = await talk
    await session.gone()

    assert ending.state is RunState.LIMIT
    assert ending.error is not None and ending.error.kind == "wall"
    assert guest.killed


class LingeringGuest(BadGuest):
    """Closes its pipe and lives on until it is killed."""

    async def wait(self) -> Exit:
        while not self.killed:
            await asyncio.sleep(0.001)
        return Exit(-9, "killed")


async def test_a_guest_that_closes_its_pipe_and_lives_on_is_killed(monkeypatch):
    monkeypatch.setattr("runner.session.DEATH_SECONDS", 0.01)
    guest = LingeringGuest(said(READY), b"")
    session = Session(guest, Recorder(), limits=Limits(), clock=HeldClock())
    await session.greet()
    ending = await session.converse(START)

    assert ending.state is RunState.CRASHED
    assert ending.error is not None and ending.error.kind == "died"
    assert guest.killed
