"""Every kind of event, what its body says, and what a journal means: the run-state table and the folds.

An event has a `body` of small facts (names, numbers, digests) that the chain covers, and at most one
`value`, a JSON object as text, which stands beside it: the chain covers the value's digest, so the
value can be erased and the chain still verifies. What a script or an agent wrote goes into the value,
never into the body, but for the agents' names, scopes and outcome kinds.

attempt_failed is of an attempt that another one follows; the last is told by spawn_settled, whose agent is the one
that was called last. cause is [handle, kind, message, attempts]: the failure that came first. then_returned is what
the guest made of its handles; then_settled follows where there were fills, or where the host settled the handle.

    kind                body                                                       value
    run_submitted       script, script_digest, policy, policy_digest,              script, policy, inputs
                        inputs_digest, runner, python, trace, span, sandbox
    script_checked      accepted, errors, warnings, dialect, python                findings, reach
    sandbox_started     the fields of models.SandboxFacts, lock ("verified")       -
    run_started         seed, now, dialect                                         -
    spawn_requested     spawn, agent, scopes, timeout, retry, fallback, line,     inputs, label [, fills] [, accept]
                        span
    spawn_denied        spawn, agent, rule                                         message
    attempt_started     spawn, attempt, agent, inputs_digest, timeout, span        -
    attempt_failed      spawn, attempt, agent, outcome, seconds,                   message [, detail]
                        next ("retry", "fallback"), backoff
    agent_lingered      spawn, attempt, agent                                      -
    spawn_cancelled     spawn (of a then: its handle), by ("script", "wait",       -
                        "end")
    spawn_settled       spawn, agent, outcome, attempts, seconds, bytes            output | message [, cause, detail,
                                                                                   dropped]
    then_requested      handle, of, line                                           -
    then_returned       handle, outcome                                            value [, fills] | message [, cause]
    then_settled        handle, outcome, bytes                                     output | message [, cause]
    wait_opened         wait, group, handles, need, of, until, rest, line          -
    answered            wait, handles (in order of delivery), ended, now           -
    output_written      line, bytes                                                text, fields
    stop_requested      by                                                         -
    run_finished        state, kind, line, spawns, usage                           result | message, hint, trace

No I/O here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from runner.guest.wire import GROUPS_KEPT, OK
from runner.models import Json, RunError, RunState, Usage


class EventKind(StrEnum):
    RUN_SUBMITTED = "run_submitted"
    SCRIPT_CHECKED = "script_checked"
    SANDBOX_STARTED = "sandbox_started"
    RUN_STARTED = "run_started"
    SPAWN_REQUESTED = "spawn_requested"
    SPAWN_DENIED = "spawn_denied"
    ATTEMPT_STARTED = "attempt_started"
    ATTEMPT_FAILED = "attempt_failed"
    AGENT_LINGERED = "agent_lingered"
    SPAWN_CANCELLED = "spawn_cancelled"
    SPAWN_SETTLED = "spawn_settled"
    THEN_REQUESTED = "then_requested"
    THEN_RETURNED = "then_returned"
    THEN_SETTLED = "then_settled"
    WAIT_OPENED = "wait_opened"
    ANSWERED = "answered"
    OUTPUT_WRITTEN = "output_written"
    STOP_REQUESTED = "stop_requested"
    RUN_FINISHED = "run_finished"


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a run's journal, as read back."""

    run: str
    seq: int
    """1, 2, 3 ... within the run."""
    kind: EventKind
    at_us: int
    """Wall time in microseconds since the epoch."""
    body: dict[str, Any]
    value: str | None
    """JSON object as text; None when there is none or it was erased (`value_digest` tells which)."""
    value_digest: str
    """sha256 of the value's text, or "" where there never was one."""
    digest: str
    """This event's link of the chain."""

    def content(self) -> dict[str, Json]:
        """The value, parsed; an empty dict when there is none."""
        found: dict[str, Json] = json.loads(self.value) if self.value is not None else {}
        return found


# Which states may follow which. A run that ended stays ended; "interrupted" is not an event but the
# absence of one: a run that has not ended and whose lease nobody holds.
STATE_TABLE: dict[RunState, frozenset[RunState]] = {
    RunState.WAITING: frozenset(
        {RunState.RUNNING, RunState.REJECTED, RunState.STOPPED, RunState.CRASHED, RunState.FAILED, RunState.LIMIT}
    ),
    RunState.RUNNING: frozenset(
        {RunState.DONE, RunState.FAILED, RunState.STOPPED, RunState.LIMIT, RunState.CRASHED}
    ),
}  # fmt: skip


@dataclass(slots=True)
class SpawnView:
    """One spawn, as the journal tells it. Times are epoch seconds, 0.0 when not yet."""

    n: int
    agent: str
    line: int
    scopes: tuple[str, ...]
    requested_at: float
    label: str | None = None
    started_at: float = 0.0
    settled_at: float = 0.0
    attempts: int = 0
    outcome: str = ""
    """"" while open, else "ok" or an OutcomeKind."""
    message: str = ""
    output_bytes: int = 0
    lingered: bool = False
    needs: tuple[int, ...] = ()
    """The handles whose outputs stand in its inputs."""
    called: str = ""
    """The agent of its last attempt."""
    pausing: bool = False
    """An attempt failed, and another follows."""

    @property
    def state(self) -> str:
        """"queued", "running", or the outcome."""
        return self.outcome or ("running" if self.attempts and not self.pausing else "queued")


@dataclass(slots=True)
class ThenView:
    """A handle that the script makes of others."""

    n: int
    of: tuple[int, ...]
    line: int
    requested_at: float
    settled_at: float = 0.0
    outcome: str = ""
    """"" while open, else "ok" or an OutcomeKind."""
    message: str = ""


@dataclass(slots=True)
class WaitView:
    """The wait that is open: for how many of which handles, since when, until when (None: no end)."""

    n: int
    handles: tuple[int, ...]
    """Those of its group that were in no answer when it was opened."""
    need: int
    line: int
    since: float
    until: float | None


@dataclass(slots=True)
class WaitsView:
    """The groups of handles that waits name; linear in what the journal says, however many waits there are."""

    groups: dict[int, dict[int, None]] = field(default_factory=dict)
    delivered: set[int] = field(default_factory=set)
    opened: dict[str, Any] | None = None
    since: float = 0.0

    def open(self, body: dict[str, Any], since: float) -> None:
        # The guest names a group of its last ones; the others it begins anew. Before there were groups a wait named
        # all of its handles.
        number = body.get("group", 0)
        group = self.groups.pop(number, {}) if number else {}
        group.update(dict.fromkeys(body["handles"]))
        self.groups[number] = group
        if len(self.groups) > GROUPS_KEPT:
            del self.groups[next(iter(self.groups))]
        self.opened, self.since = body, since

    def answer(self, handles: Iterable[int]) -> None:
        self.opened = None
        self.delivered.update(handles)

    def open_wait(self) -> WaitView | None:
        if self.opened is None:
            return None
        body = self.opened
        handles = tuple(n for n in self.groups[body.get("group", 0)] if n not in self.delivered)
        return WaitView(body["wait"], handles, body["need"], body["line"], self.since, body["until"])


@dataclass(slots=True)
class RunView:
    """What a journal says of its run. `apply` events in order; every reader of state uses this fold."""

    run: str = ""
    state: RunState = RunState.WAITING
    script: str = ""
    script_digest: str = ""
    policy: str = ""
    policy_digest: str = ""
    trace: str = ""
    submitted_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    sandbox: dict[str, Any] = field(default_factory=dict)
    findings: list[dict[str, Json]] = field(default_factory=list)
    spawns: dict[int, SpawnView] = field(default_factory=dict)
    thens: dict[int, ThenView] = field(default_factory=dict)
    waits: WaitsView = field(default_factory=WaitsView)
    output: list[str] = field(default_factory=list)
    stop_by: str = ""
    result: Json = None
    error: RunError | None = None
    usage: Usage = field(default_factory=Usage)
    seq: int = 0
    seen_at: float = 0.0
    """When the last event was."""

    def apply(self, event: Event) -> None:
        """Take one event. Kinds that say nothing of the state pass."""
        self.seq = event.seq
        self.seen_at = event.at_us / 1e6
        _APPLY[event.kind](self, event)

    @property
    def ended(self) -> bool:
        return self.state not in STATE_TABLE

    @property
    def waiting(self) -> WaitView | None:
        """The wait that is open, or None."""
        return self.waits.open_wait()

    def interrupt(self) -> None:
        """Take note that its host is gone: it waits for nothing any more."""
        self.state, self.waits.opened = RunState.INTERRUPTED, None

    def counts(self) -> dict[str, int]:
        """Spawns by state: "queued", "running", "ok" and the outcome kinds that occur."""
        found: dict[str, int] = {}
        for spawn in self.spawns.values():
            found[spawn.state] = found.get(spawn.state, 0) + 1
        return found


def _submitted(view: RunView, event: Event) -> None:
    body = event.body
    view.run, view.submitted_at = event.run, event.at_us / 1e6
    view.script, view.script_digest = body["script"], body["script_digest"]
    view.policy, view.policy_digest, view.trace = body["policy"], body["policy_digest"], body["trace"]


def _checked(view: RunView, event: Event) -> None:
    view.findings = event.content().get("findings", [])


def _sandbox(view: RunView, event: Event) -> None:
    view.sandbox = event.body


def _started(view: RunView, event: Event) -> None:
    view.state, view.started_at = RunState.RUNNING, event.at_us / 1e6


def _requested(view: RunView, event: Event) -> None:
    body, value = event.body, event.value or ""
    spawn = view.spawns[body["spawn"]] = SpawnView(
        body["spawn"], body["agent"], body["line"], tuple(body["scopes"] or ()), event.at_us / 1e6
    )
    # Most have neither, and inputs may be long: they are not parsed for nothing.
    if value and ('"label":null' not in value or '"fills":' in value):
        content = event.content()
        spawn.label, spawn.needs = content.get("label"), _needs(content.get("fills", ()))


def _needs(fills: Iterable[Json]) -> tuple[int, ...]:
    """Return the handles that stand in fills, each once."""
    refs = (ref for _, ref in fills)
    parts = (part for ref in refs for part in ref.get("text", (ref,)))
    return tuple(dict.fromkeys(part["part"] for part in parts if isinstance(part, dict)))


def _attempt(view: RunView, event: Event) -> None:
    spawn = view.spawns[event.body["spawn"]]
    spawn.attempts, spawn.pausing = event.body["attempt"], False
    spawn.called = event.body.get("agent", spawn.agent)
    spawn.started_at = spawn.started_at or event.at_us / 1e6


def _attempt_failed(view: RunView, event: Event) -> None:
    view.spawns[event.body["spawn"]].pausing = True


def _lingered(view: RunView, event: Event) -> None:
    view.spawns[event.body["spawn"]].lingered = True


def _cancelled(view: RunView, event: Event) -> None:
    # The script knows: no answer tells it any more.
    if event.body["by"] == "script":
        view.waits.delivered.add(event.body["spawn"])


def _settled(view: RunView, event: Event) -> None:
    spawn = view.spawns[event.body["spawn"]]
    spawn.outcome, spawn.settled_at = event.body["outcome"], event.at_us / 1e6
    spawn.output_bytes = event.body["bytes"]
    if spawn.outcome != OK:
        spawn.message = event.content().get("message", "")


def _derived(view: RunView, event: Event) -> None:
    body = event.body
    view.thens[body["handle"]] = ThenView(body["handle"], tuple(body["of"]), body["line"], event.at_us / 1e6)


def _returned(view: RunView, event: Event) -> None:
    if "fills" not in event.content():
        _then_settled(view, event)
        view.waits.delivered.add(event.body["handle"])


def _then_settled(view: RunView, event: Event) -> None:
    then = view.thens[event.body["handle"]]
    then.outcome, then.settled_at = event.body["outcome"], event.at_us / 1e6
    if then.outcome != OK:
        then.message = event.content().get("message", "")


def _waits(view: RunView, event: Event) -> None:
    view.waits.open(event.body, event.at_us / 1e6)


def _answered(view: RunView, event: Event) -> None:
    view.waits.answer(event.body["handles"])


def _wrote(view: RunView, event: Event) -> None:
    view.output.append(event.content().get("text", ""))


def _stopped(view: RunView, event: Event) -> None:
    view.stop_by = event.body["by"]


def _finished(view: RunView, event: Event) -> None:
    body, content = event.body, event.content()
    view.state, view.finished_at = RunState(body["state"]), event.at_us / 1e6
    view.waits.opened = None
    view.usage = Usage(**body["usage"])
    view.result = content.get("result")
    if view.state is not RunState.DONE:
        trace = tuple((line, name) for line, name in content.get("trace", ()))
        view.error = RunError(body["kind"], content.get("message", ""), body["line"], content.get("hint", ""), trace)


def _nothing(view: RunView, event: Event) -> None:
    pass


_APPLY = {
    EventKind.RUN_SUBMITTED: _submitted,
    EventKind.SCRIPT_CHECKED: _checked,
    EventKind.SANDBOX_STARTED: _sandbox,
    EventKind.RUN_STARTED: _started,
    EventKind.SPAWN_REQUESTED: _requested,
    EventKind.SPAWN_DENIED: _nothing,
    EventKind.ATTEMPT_STARTED: _attempt,
    EventKind.ATTEMPT_FAILED: _attempt_failed,
    EventKind.AGENT_LINGERED: _lingered,
    EventKind.SPAWN_CANCELLED: _cancelled,
    EventKind.SPAWN_SETTLED: _settled,
    EventKind.THEN_REQUESTED: _derived,
    EventKind.THEN_RETURNED: _returned,
    EventKind.THEN_SETTLED: _then_settled,
    EventKind.WAIT_OPENED: _waits,
    EventKind.ANSWERED: _answered,
    EventKind.OUTPUT_WRITTEN: _wrote,
    EventKind.STOP_REQUESTED: _stopped,
    EventKind.RUN_FINISHED: _finished,
}


def fold(events: Iterable[Event]) -> RunView:
    """Return what these events say of their run."""
    view = RunView()
    for event in events:
        view.apply(event)
    return view


# What a script can observe and cause, and which part of the body says so.
_COMPARED = {
    EventKind.RUN_STARTED: ("seed", "now", "dialect"),
    EventKind.SPAWN_REQUESTED: ("spawn", "agent", "scopes", "timeout", "retry", "fallback", "line"),
    EventKind.SPAWN_CANCELLED: ("spawn", "by"),
    EventKind.SPAWN_SETTLED: ("spawn", "outcome", "attempts"),
    EventKind.THEN_REQUESTED: ("handle", "of", "line"),
    EventKind.THEN_RETURNED: ("handle", "outcome"),
    EventKind.THEN_SETTLED: ("handle", "outcome"),
    EventKind.WAIT_OPENED: ("wait", "group", "handles", "need", "of", "until", "rest", "line"),
    EventKind.ANSWERED: ("wait", "handles", "ended", "now"),
    EventKind.OUTPUT_WRITTEN: ("line",),
    EventKind.RUN_FINISHED: ("state", "kind", "line"),
}


def comparable(events: Iterable[Event]) -> list[tuple[str, dict[str, Any], dict[str, Json]]]:
    """Return the journal reduced to what the script can observe and cause.

    Ids, wall times, tokens, sandbox and host facts are left out: two runs of one script under a held
    clock with equal agents are equal here, whatever sandbox they ran in. Each entry is (kind, part of
    the body, value without `detail` and `dropped`).
    """
    kept: list[tuple[str, dict[str, Any], dict[str, Json]]] = []
    for event in events:
        keys = _COMPARED.get(event.kind)
        if keys is not None:
            content = {key: value for key, value in event.content().items() if key not in ("detail", "dropped")}
            kept.append((str(event.kind), {key: event.body[key] for key in keys if key in event.body}, content))
    return kept
