"""What a run's journal says of its beginning and its end: all that is needed to begin the same run again.

Not here: what was said in between (past), whether the record is whole (journal.verify).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from runner.errors import RecordBroken, UsageError
from runner.events import Event, EventKind
from runner.guest.wire import Start, compact
from runner.models import Json, RunError, RunState, Script
from runner.policy.archived import archived_policy
from runner.policy.model import Policy
from runner.replay.legible import legible, require_legible
from runner.session import start_of

Read = Callable[[str, int], Iterator[Event]]
"""Run and a seq → the run's events after that."""

# What may stand between the submission and the start: the verdict, the sandbox, hosts that went on, agents.
_MOST_BEFORE_START = 10_000


@dataclass(frozen=True, slots=True)
class Record:
    """One archived run: how it began, and how it ended as far as it did."""

    run: str
    script: Script
    policy: Policy
    inputs: Json
    submitted: dict[str, Any]
    """The body of the first event: digests and versions."""
    seed: int = 0
    now: float = 0.0
    dialect: int = 0
    sandbox: dict[str, Any] | None = None
    """Facts of the guest that the script was sent to; None where there was none."""
    started_seq: int = 0
    """The event that says that the script was sent; 0 where it never was."""

    @property
    def python(self) -> str:
        """The minor version of the Python that ran the script, such as "3.11"; of the host where no guest was."""
        told = str((self.sandbox or {}).get("python") or self.submitted.get("python", ""))
        return ".".join(told.split(".")[:2])

    def start(self) -> Start:
        """Return what the guest was sent. Raises UsageError: it was never sent anything."""
        self.require_started()
        return start_of(self.script, self.policy, self.inputs, seed=self.seed, now=self.now, dialect=self.dialect)

    def require_started(self) -> None:
        """Raises UsageError: no guest was ever sent the script, so there is nothing to replay."""
        if not self.started_seq:
            why = "its script was rejected, or its host ended it before"
            raise UsageError(
                f'run "{self.run}" has nothing to replay: no guest was sent its script ({why})',
                hint=f"runner show {self.run}",
            )


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended, as its last event tells it."""

    run: str
    seq: int
    state: RunState
    by: str
    """"script" where the guest said its last word, "host" where it was ended."""
    result: Json = None
    error: RunError | None = None
    erased: bool = False
    """Whether what it ended with was erased from the record."""


def read_record(run: str, read: Read) -> Record:
    """Return the beginning of an archived run.

    Raises RecordBroken: it cannot be read; UsageError: its script, policy or inputs were erased.
    """
    events = read(run, 0)
    first = next(events, None)
    if first is None or first.kind is not EventKind.RUN_SUBMITTED:
        raise RecordBroken(f'run "{run}" does not begin with its submission', hint="runner verify tells more")
    content = _content(first)
    with legible(first):
        name = str(first.body["script"])
        script = Script(name, str(content["script"]).encode("utf-8", "surrogatepass"))
        policy = archived_policy(
            content["policy"], name=str(first.body["policy"]), folder=str(content.get("folder", "")),
            file=str(content.get("policy_file", "")),
        )  # fmt: skip
        inputs = content["inputs"]
    sandbox: dict[str, Any] | None = None
    for place, event in enumerate(events):
        if event.kind is EventKind.SANDBOX_STARTED:
            sandbox = event.body
        if event.kind is EventKind.RUN_STARTED:
            body = require_legible(event).body
            return Record(
                run, script, policy, inputs, first.body, body["seed"], body["now"], body["dialect"],
                sandbox, event.seq,
            )  # fmt: skip
        if place >= _MOST_BEFORE_START:
            break
    return Record(run, script, policy, inputs, first.body, sandbox=sandbox)


def _content(first: Event) -> dict[str, Any]:
    if first.value is None:
        raise UsageError(
            f'the script, policy and inputs of run "{first.run}" were erased from its record',
            hint=f"runner show {first.run} tells what is left",
        )
    with legible(first) as value:
        found: dict[str, Any] = json.loads(value)
    return found


def end_of(event: Event) -> End:
    """Return how a run ended by its last event."""
    body = event.body
    with legible(event):
        content = event.content()
        state = RunState(body["state"])
        error = None
        if state is not RunState.DONE:
            trace = tuple((line, name) for line, name in content.get("trace", ()))
            error = RunError(body["kind"], content.get("message", ""), body["line"], content.get("hint", ""), trace)
        by = body.get("by") or _ended_by(state, body)
        return End(event.run, event.seq, state, by, content.get("result"), error, erased=event.value is None)


# Which limits a guest says itself. Records from before `by` was written tell no more than this.
_OF_SCRIPT = ("recursion", "spawns", "result")


def _ended_by(state: RunState, body: dict[str, Any]) -> str:
    said = state in (RunState.DONE, RunState.FAILED) or (state is RunState.LIMIT and body["kind"] in _OF_SCRIPT)
    return "script" if said else "host"


def same_result(one: Json, other: Json) -> bool:
    """Say whether two results are the same JSON, keys in the same order: a reader sees that order."""
    return compact(one) == compact(other)
