"""Put the mocks of one rehearsal together: files, values and functions first, then a record, then schemas.

An agent that a file answers for is answered by files alone: that none of their answers fits would else go unnoticed.

Not here: what each source answers (rehearsal).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Union

from runner.engine.rehearsing import SEED
from runner.errors import UsageError
from runner.events import Event
from runner.guest.wire import canonical
from runner.journal import SqliteJournal
from runner.policy.model import AgentEntry, Policy
from runner.rehearsal.fixtures import Fixtures, fixtures_of, read_fixtures
from runner.rehearsal.functions import FunctionMocks
from runner.rehearsal.mocks import FirstOf, Mocked, Mocks
from runner.rehearsal.recorded import KINDS, RecordedMocks
from runner.rehearsal.schemas import SchemaMocks
from runner.replay.keys import key_of
from runner.seams import Call

Source = Union[str, Path, Mapping[str, Any], Callable[[str, Any], Any], Mocks]
"""A file; answers by agent, which are lists as in a file or functions of the inputs; a function of agent and inputs; or
mocks.
"""


class MockSet:
    """Where the answers of one rehearsal come from. One object for one rehearsal."""

    def __init__(
        self,
        policy: Policy,
        sources: Sequence[Source] = (),
        *,
        recorded: RecordedMocks | None = None,
        seed: int = SEED,
        edge: bool = False,
    ) -> None:
        """Raises UsageError, PolicyError: a file cannot be used, or is not of this policy."""
        read = [mocks for source in sources for mocks in _read(source, seed)]
        fixtures = [mocks for mocks in read if isinstance(mocks, Fixtures)]
        for one in fixtures:
            one.check_against(policy)
        self._functions = [mocks for mocks in read if isinstance(mocks, FunctionMocks)]
        self._schemas = SchemaMocks(seed, edge=edge, besides=frozenset().union(*(one.names for one in fixtures)))
        self._all = FirstOf([*read, *([recorded] if recorded is not None else []), self._schemas])

    def begin(self, events: Sequence[Event]) -> None:
        self._all.begin(events)

    def answer(self, entry: AgentEntry, call: Call) -> Mocked | None:
        return self._all.answer(entry, call)

    def require(self, policy: Policy, agents: Iterable[str]) -> None:
        """Raise UsageError where one of these agents could not be answered for."""
        self._schemas.require(policy, agents)

    def require_sound(self) -> None:
        """Raise UsageError where a mock said what the agent that it stands for never says."""
        problems = [problem for one in self._functions for problem in one.problems] + self._schemas.problems
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise UsageError(problems[0] + more, hint="docs/rehearse.md: mocks keep the promises of their agents")


def _read(source: Source, seed: int) -> list[Mocks]:
    if isinstance(source, (str, Path)):
        return [read_fixtures(Path(source))]
    if isinstance(source, Mapping):
        functions = {agent: one for agent, one in source.items() if callable(one)}
        answers = {agent: one for agent, one in source.items() if agent not in functions}
        found: list[Mocks] = [fixtures_of(answers)] if answers else []
        return [*found, FunctionMocks(functions, seed=seed)] if functions else found
    if hasattr(source, "answer"):
        return [source]
    return [FunctionMocks(source, seed=seed)]


def request_key(request: Event, inputs_digest: str) -> str:
    """Return the key of a spawn by its request and the digest of its inputs."""
    accept = ""
    if request.value is not None and request.value.startswith('{"accept":'):
        accept = canonical(json.loads(request.value)["accept"])
    return key_of(request.body["agent"], request.body["scopes"], accept, inputs_digest)


def recorded_mocks(store: SqliteJournal, run: str) -> Callable[[], RecordedMocks]:
    """Return what makes the answers of a run of the store, anew for each rehearsal. Raises RecordBroken, RunNotFound.
    """
    store.verify(run)
    events = tuple(store.read(run, kinds=KINDS))
    return lambda: RecordedMocks(events, request_key)
