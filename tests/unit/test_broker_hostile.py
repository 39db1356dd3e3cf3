"""What a hostile guest or script tried against the broker, each once as it was found."""

from __future__ import annotations

import difflib
from array import array
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runner.broker.cycles import STEPS, Levels
from runner.broker.handle import LiveHandle, Needs
from runner.broker.schema import InputSchema
from runner.guest.wire import Settled, Then
from tests.unit.broker_by_hand import Stage, told


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path / "store")
    yield made
    await made.close()


async def test_what_the_guest_made_itself_wakes_no_wait_and_is_not_answered_again(stage: Stage) -> None:
    await stage.spawn(1, 2)
    await stage.end(1, {"n": 1})
    assert await stage.told(1) == [(1, "ok")]
    stage.broker.derived(Then(3, (1,)))
    stage.broker.derived(Then(4, (3,)))
    stage.broker.settled(Settled(3, {"made": 1}))
    waiting = stage.wait(2)
    await stage.quiet()
    assert not waiting.done()
    await stage.end(2, {"n": 2})
    reply = await waiting

    assert (reply.ended, told(reply)) == ("ready", [(2, "ok", {"n": 2})])


class Counted(dict[int, LiveHandle]):
    """Handles by number, and how often one was looked up."""

    looks = 0

    def __getitem__(self, n: int) -> LiveHandle:
        self.looks += 1
        return super().__getitem__(n)


def test_a_value_that_needs_many_that_need_the_same_is_looked_through_once() -> None:
    """Thousands of handles over one chain, each with the whole chain below it, held the host up for seconds."""
    lives = Counted()
    levels = Levels(lives)
    chain = STEPS - 2
    for n in range(1, chain + 2_000):
        lives[n] = LiveHandle(n)
        lives[n].needs = Needs(array("i", [min(n - 1, chain)] if n > 1 else []))
        levels.add(lives[n])
    lives.looks = 0
    then = LiveHandle(chain + 2_000)
    then.needs = Needs(array("i", [1]))

    assert not levels.closes_circle(then, range(chain + 1, chain + 2_000))
    assert lives.looks < 3 * (chain + 2_000)


def test_a_name_of_megabytes_is_refused_without_being_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    class Watched(difflib.SequenceMatcher[str]):
        def set_seq2(self, b: str) -> None:  # type: ignore[override]
            compared.append(len(b))
            super().set_seq2(b)

    monkeypatch.setattr(difflib, "SequenceMatcher", Watched)
    schema = InputSchema({"type": "object", "properties": {"topic": {"type": "string"}}})

    refusal = schema.check({"k" * 1_000_000: 1})

    assert refusal is not None and len(refusal) < 300
    assert max(compared) < 1_000
