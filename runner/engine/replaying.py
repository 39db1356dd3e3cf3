"""Run an archived script against its journal, in the sandbox that it had: what a replay says of a run.

There is no agent and no issuer in here: whatever the guest asks is answered by the record, or the replay ends.

Not here: holding the guest to the record (replay), runs that go another way on purpose (what_if).
"""

from __future__ import annotations

import difflib
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace

from runner.clock import Clock
from runner.errors import UsageError
from runner.events import Event
from runner.guest.dialect import VERSION as DIALECT
from runner.journal import SqliteJournal
from runner.models import MIB, Json, Limits, RunError, RunState, Script
from runner.replay import Diverged, Divergence, Past, Record, Replayer, read_record
from runner.replay.past import NEEDED
from runner.seams import Channel
from runner.session import Ending, Session

# What a guest computes twice takes not always the same time, and its bytes come in other pieces: limits that the host
# keeps must not be reached before the place at which the record says that they were.
MORE_TIME = 2.0
MORE_SECONDS = 10.0
MORE_BYTES = MIB

ANYWAY = "--anyway replays it all the same; what differs may be the version's doing"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay. It is identical exactly where nothing diverged."""

    run: str
    script: str
    state: RunState
    """How the run ends: as recorded where it is identical; `interrupted` where the record has no end."""
    result: Json = None
    error: RunError | None = None
    divergence: Divergence | None = None
    notes: tuple[str, ...] = ()
    """What differs and does not matter: texts that were printed, versions."""
    frames: int = 0
    spawns: int = 0
    sandbox: str = ""

    @property
    def identical(self) -> bool:
        return self.divergence is None


def require_same_versions(record: Record, *, anyway: bool, hint: str = ANYWAY) -> list[str]:
    """Return how this runner differs from the one that made the record, as notes.

    Raises UsageError: in a way that can change what a script does, and nobody said `anyway`.
    """
    differs = []
    python = ".".join(platform.python_version_tuple()[:2])
    if record.python != python:
        differs.append(f"Python {record.python} in the record, {python} here")
    if record.dialect and record.dialect != DIALECT:
        differs.append(f"dialect {record.dialect} in the record, {DIALECT} here")
    if differs and not anyway:
        raise UsageError(
            f'run "{record.run}" was made by another version: {"; ".join(differs)}',
            hint=hint,
        )
    return differs


def read_past(store: SqliteJournal, record: Record, on_event: Callable[[Event], object] | None = None) -> Past:
    """Return the conversation of a record."""
    events = store.read(record.run, after=record.started_seq, kinds=NEEDED)
    return Past(events, lambda seq: store.value(record.run, seq), on_event=on_event)


def read_whole_record(store: SqliteJournal, run: str) -> Record:
    """Return the record of a run that verifies. Raises RecordBroken, RunNotFound, UsageError."""
    store.verify(run)
    return read_record(run, lambda name, after: store.read(name, after=after))


class _RecordOver(Exception):
    """The record knows nothing more that the guest said: the host ended it there, or died."""


class Replay:
    """One replay. `run` once, then `gone`, whatever came of it."""

    def __init__(self, store: SqliteJournal, record: Record, *, clock: Clock, script: Script | None = None) -> None:
        """`script` stands in for the recorded one: a mutation, held to the record frame by frame."""
        self._store = store
        self._record = record
        self._clock = clock
        self._script = script or record.script
        self._channel: Channel | None = None
        self._session: Session | None = None
        self._ending = Ending(RunState.INTERRUPTED)

    async def run(self, channel: Channel, notes: list[str]) -> Replayed:
        """Replay it in a guest that was just started. Raises SandboxError, RecordBroken, StoreError."""
        record = self._record
        self._channel = channel
        past = read_past(self._store, record)
        replayer = Replayer(past, ended=_record_over, cause=lambda line: self._cause(notes))
        session = self._session = Session(channel, replayer, limits=_limits(record.policy.limits), clock=self._clock)
        ready = await session.greet()
        start = replace(record.start(), script=self._script.text, dialect=ready.dialect)
        divergence = None
        try:
            replayer.begin()
            self._ending = await session.converse(start)
            replayer.end(self._ending.state, self._ending.result, self._ending.error)
        except _RecordOver:
            pass
        except Diverged as diverged:
            divergence = diverged.divergence
        end, ending = past.end, self._ending
        state, result, error = (ending.state, ending.result, ending.error)
        if divergence is None and end is not None:
            state, result, error = end.state, end.result, end.error
        return Replayed(
            record.run, record.script.name, state, result, error, divergence, (*notes, *replayer.notes),
            replayer.frames, replayer.spawns, channel.facts.kind,
        )  # fmt: skip

    async def gone(self) -> None:
        """Kill the guest; return once it is dead."""
        if self._channel is not None:
            await self._channel.kill()
        if self._session is not None:
            await self._session.gone()

    def _cause(self, notes: list[str]) -> str:
        if self._ending.by == "host" and self._ending.state is RunState.CRASHED:
            return "the guest of the replay failed where that of the run did not; runner doctor tests the sandbox"
        if self._script.source != self._record.script.source:
            changed = first_changed_line(self._record.script.text, self._script.text)
            return f"the script was changed, first at line {changed}"
        if notes:
            return f"another version ran it: {'; '.join(notes)}"
        return "the same script said something else to the same answers: a defect of runner, worth a report"


def first_changed_line(old: str, new: str) -> int:
    """Return the first line of the new text that is not in the old one, or behind which something is missing."""
    matcher = difflib.SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False)
    changed = next((block for block in matcher.get_opcodes() if block[0] != "equal"), None)
    return 1 + changed[3] if changed is not None else 0


def _record_over() -> None:
    raise _RecordOver


def _limits(limits: Limits) -> Limits:
    return replace(
        limits, cpu_seconds=limits.cpu_seconds * MORE_TIME + MORE_SECONDS,
        wall_seconds=limits.wall_seconds * MORE_TIME + MORE_SECONDS, bytes_in=limits.bytes_in + MORE_BYTES,
    )  # fmt: skip

