"""Every mutation of a script that changes a spawn is caught at that spawn.

Each mutant of the corpus is replayed against the record of the script that it was made from. What must come of it is
known from a run of the mutant by itself, under the same clock and seed: as far as both say the same, they are answered
the same; where the mutant first says something else, there the replay must diverge, and nowhere where it does not.

The short form of `make test-mutants`, which replays all of them (RUNNER_MUTANTS=all).
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import runner.check
from runner.events import Event, EventKind, comparable
from runner.guest.wire import compact
from runner.models import Script, Verdict
from tests.held import PATIENCE_SECONDS
from tests.scripts.cases import CASES, Case
from tests.scripts.mutations import CHANGES, Mutant, mutants
from tests.scripts.test_accepted import Stage

ALL = os.environ.get("RUNNER_MUTANTS") == "all"
OF_EACH = 4
"""Mutants of each kind of change in the short form."""

Word = tuple[str, dict[str, Any], dict[str, Any]]
Place = tuple[str, int]
"""What the guest said there ("spawn", "wait" ...) and of which handle."""


class MutantStage(Stage):
    """Keeps what each script and each mutant said."""

    async def words(self, case: Case) -> list[Word]:
        await self.first(case)
        return words(list(self.events(self._runs[case.name])))

    def forget(self, name: str) -> None:
        """Another mutant may have this name next."""
        del self._seen[name]

    async def where(self, case: Case, mutant: Mutant) -> Any:
        """Return where the replay of a mutant against the script's record diverges."""
        await self.first(case)
        async with asyncio.timeout(PATIENCE_SECONDS):
            found = await self.replay(self._runs[case.name], script=Script(case.name, mutant.source.encode()))
        return found.divergence


def words(events: list[Event]) -> list[Word]:
    """Return what a guest said, in order, but for lines and what it printed; its last word only if it was the guest's."""
    said: list[Word] = []
    for event in events:
        if not _is_said(event):
            continue
        ((kind, body, value),) = comparable([event])
        for gone in ("cause", "trace", "hint"):
            value.pop(gone, None)
        if event.kind is EventKind.RUN_FINISHED:
            value = {"text": compact(value)}  # Whoever reads a result sees the order of its keys.
        said.append((kind, {key: body[key] for key in body if key != "line"}, value))
    return said


def _is_said(event: Event) -> bool:
    if event.kind in (EventKind.SPAWN_CANCELLED, EventKind.RUN_FINISHED):
        return event.body["by"] == "script"
    return event.kind in PLACES


PLACES = {
    EventKind.SPAWN_REQUESTED: ("spawn", "spawn"), EventKind.THEN_REQUESTED: ("then", "handle"),
    EventKind.THEN_RETURNED: ("settled", "handle"), EventKind.SPAWN_CANCELLED: ("cancel", "spawn"),
    EventKind.WAIT_OPENED: ("wait", ""), EventKind.RUN_FINISHED: ("finished", ""),
}  # fmt: skip


def expected(recorded: list[Word], said: list[Word]) -> Place | None:
    """Return where a guest that says this leaves the record; None where it does not."""
    for place, word in enumerate(said):
        if place == len(recorded):
            return None  # The host had ended the run there.
        if word != recorded[place]:
            what, handle = PLACES[EventKind(word[0])]
            return what, word[1].get(handle, 0)
    return None


@functools.cache
def chosen() -> list[tuple[Case, Mutant]]:
    """Return the mutants to replay: all, or some of each kind, always the same."""
    every = [(case, mutant) for case in CASES if not case.open for mutant in mutants(case.source)]
    if ALL:
        return every
    chance = random.Random(5)
    of_kind = {what: [one for one in every if one[1].what == what] for what in CHANGES}
    return [one for some in of_kind.values() for one in chance.sample(some, min(OF_EACH, len(some)))]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> AsyncIterator[MutantStage]:
    home = tmp_path_factory.mktemp("mutants")
    home.chmod(0o700)
    (home / "cache").symlink_to(shared_cache)
    async with MutantStage(home, "process") as made:
        yield made


@pytest.fixture
def all_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant may ask for what the check refuses; its record must be had all the same."""
    check = runner.check.check

    def accepting(*asked: Any) -> Verdict:
        return dataclasses.replace(check(*asked), findings=())

    monkeypatch.setattr("runner.check.check", accepting)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("what", CHANGES)
async def test_a_mutant_diverges_where_it_first_says_something_else(what: str, stage: MutantStage, all_accepted: None):
    wrong = []
    seen: Counter[str] = Counter()
    for case, mutant in (one for one in chosen() if one[1].what == what):
        recorded = await stage.words(case)
        said = await stage.words(dataclasses.replace(case, name=f"{case.name}-mutant", source=mutant.source, error=""))
        stage.forget(f"{case.name}-mutant")
        at = expected(recorded, said)

        found = await stage.where(case, mutant)

        seen["identical" if at is None else at[0]] += 1
        if at != (None if found is None else (found.what, found.handle)):
            wrong.append((case.name, mutant.line, at, found, mutant.source))
        if found is not None and not found.cause.startswith("the script was changed, first at line "):
            wrong.append((case.name, mutant.line, "cause", found.cause, mutant.source))

    assert not wrong, f"{len(wrong)} of {seen.total()}: {wrong[0]}"
    assert seen.total() - seen["identical"] > 0
    print(f"{what}: {dict(seen)}")


def test_the_mutants_are_many_and_every_kind_of_change_is_among_them() -> None:
    kinds = Counter(mutant.what for case in CASES for mutant in mutants(case.source))

    assert kinds.total() > 2_000
    assert all(kinds[what] >= 5 for what in CHANGES), kinds
