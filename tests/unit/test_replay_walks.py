"""Whatever a guest says, in whatever order: what was recorded of it replays, if it says the same again.

The hostile guests of the session's walks, with the same seeds, against the records that they left.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.clock import HeldClock
from runner.events import Event, EventKind
from runner.guest import wire
from runner.models import RunState
from runner.replay import Past, Replayer
from runner.session import Ending, Session
from tests.unit.hostile_guest import HostileGuest
from tests.unit.test_session_walks import LIMITS, walked

SAID = {
    EventKind.SPAWN_REQUESTED, EventKind.THEN_REQUESTED, EventKind.THEN_RETURNED, EventKind.OUTPUT_WRITTEN,
    EventKind.WAIT_OPENED,
}  # fmt: skip


NO_LINE = "the script ended at line 1, in the record at line 0"
"""The walks write no line of an error down."""


class Over(Exception):
    """The record knows nothing more."""


def over() -> None:
    raise Over


def words(events: list[Event]) -> int:
    return sum(event.kind in SAID or (event.kind is EventKind.SPAWN_CANCELLED and event.body["by"] == "script") for event in events)


class Spoken(Replayer):
    """Hears no cancel of a handle whose outcome the guest has: it says nothing, and no guest of ours says it."""

    def __init__(self, past: Past, guest: HostileGuest) -> None:
        super().__init__(past, ended=over, cause=lambda line: "")
        self._guest = guest
        self._closed: set[int] = set()

    def settled(self, settled: wire.Settled) -> Event:
        if not settled.fills:
            self._closed.add(settled.n)
        return super().settled(settled)

    def cancelled(self, handle: int) -> Event | None:  # type: ignore[override]
        if handle in self._guest.told or handle in self._closed:
            return None
        self._closed.add(handle)
        return super().cancelled(handle)


async def replayed(seed: int, events: list[Event]) -> tuple[Replayer, Ending]:
    """Let the guest of this seed talk to its record. Raises Diverged, RecordBroken."""
    begun = next(place for place, event in enumerate(events) if event.kind is EventKind.RUN_STARTED)
    values = {event.seq: event.value for event in events}
    past = Past(iter(events[begun + 1 :]), values.get)
    guest, clock = HostileGuest(seed), HeldClock()
    replayer = Spoken(past, guest)
    session = Session(guest, replayer, limits=LIMITS, clock=clock)
    ending = Ending(RunState.INTERRUPTED)
    await session.greet()
    try:
        replayer.begin()
        start = wire.Start("", "s", {}, 1, clock.now(), LIMITS.spawns, LIMITS.wall_seconds, 6_000, None, 1)
        ending = await session.converse(start)
        replayer.end(ending.state, ending.result, ending.error)
    except Over:
        pass
    await session.gone()
    assert not guest.twice
    return replayer, ending


@pytest.mark.parametrize(("first", "kept"), [(0, 0), (100, 0), (200, 32 * 2**20)])
async def test_a_hostile_guest_that_says_the_same_again_is_answered_the_same(tmp_path: Path, monkeypatch, first: int, kept: int):
    monkeypatch.setattr("runner.replay.past.KEPT_BYTES", kept)
    ended = []
    for one, ending, events in await walked(tmp_path, range(first, first + 100)):
        replayer, again = await replayed(one.seed, events)

        said = words(events) + (again.by == "script")
        assert replayer.frames == said, f"seed {one.seed}"
        assert [note for note in replayer.notes if note != NO_LINE] == [], f"seed {one.seed}"
        if again.by == "script":
            assert again == ending, f"seed {one.seed}"
            ended.append(one.seed)

    assert len(ended) > 30, "most guests say their last word again"
