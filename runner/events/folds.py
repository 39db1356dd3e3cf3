"""What a journal says of its run. Every reader of state uses this fold; there is no other truth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from runner.events.kinds import Event, EventKind
from runner.events.tokens import TOKEN_KINDS, TokensView
from runner.events.views import STATE_TABLE, SpawnView, ThenView, WaitsView, WaitView
from runner.guest.wire import OK
from runner.models import Json, RunError, RunState, Usage


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
    origin: str = ""
    """The run whose outcomes it reuses; "" for none."""
    parent: tuple[str, int, int] | None = None
    """Run, spawn and attempt that it is nested in; None for a run by itself."""
    nested: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Runs within it, by their ids: the bodies of run_nested."""
    submitted_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    epoch: int = 1
    """How many hosts have served it."""
    begun_at: float = 0.0
    """When the host that serves it now began to; 0.0 before the guest was started."""
    used_seconds: float = 0.0
    """Wall time that hosts which died had spent on it; without the time in between."""
    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each agent last turned out to be: backend, fingerprint, facts."""
    review: dict[str, Any] = field(default_factory=dict)
    """What was decided of its script: the body of review_decided; empty where no review was asked for."""
    sandbox: dict[str, Any] = field(default_factory=dict)
    checked: bool = False
    findings: list[dict[str, Json]] = field(default_factory=list)
    spawns: dict[int, SpawnView] = field(default_factory=dict)
    thens: dict[int, ThenView] = field(default_factory=dict)
    waits: WaitsView = field(default_factory=WaitsView)
    tokens: TokensView = field(default_factory=TokensView)
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
        _APPLY[event.kind](self, event)
        self.seq = event.seq
        self.seen_at = event.at_us / 1e6

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
    view.origin = body.get("origin", "")
    if "parent" in body:
        view.parent = body["parent"], body["parent_spawn"], body["parent_attempt"]


def _checked(view: RunView, event: Event) -> None:
    view.checked, view.findings = True, event.content().get("findings", [])


def _reviewed(view: RunView, event: Event) -> None:
    view.review = event.body


def _sandbox(view: RunView, event: Event) -> None:
    view.sandbox = event.body


def _started(view: RunView, event: Event) -> None:
    view.state, view.started_at = RunState.RUNNING, event.at_us / 1e6
    view.begun_at = view.started_at


def _resumed(view: RunView, event: Event) -> None:
    """A host goes on: the time since the last event was nobody's."""
    if view.started_at:
        view.used_seconds += event.body.get("used", 0.0)
    view.begun_at, view.epoch = event.at_us / 1e6, event.body["epoch"]


def _reached(view: RunView, event: Event) -> None:
    body = event.body
    view.agents[body["agent"]] = {key: body[key] for key in ("backend", "fingerprint", "facts")}


def _reused(view: RunView, event: Event) -> None:
    spawn = view.spawns[event.body["spawn"]]
    spawn.reused = event.body["origin"], event.body["origin_spawn"]


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


def _nested(view: RunView, event: Event) -> None:
    view.nested[event.body["run"]] = event.body


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


def _credentials(view: RunView, event: Event) -> None:
    view.tokens.apply(event)


def _nothing(view: RunView, event: Event) -> None:
    pass


_APPLY = {
    EventKind.RUN_SUBMITTED: _submitted,
    EventKind.SCRIPT_CHECKED: _checked,
    EventKind.REVIEW_DECIDED: _reviewed,
    EventKind.SANDBOX_STARTED: _sandbox,
    EventKind.RUN_STARTED: _started,
    EventKind.SPAWN_REQUESTED: _requested,
    EventKind.RUN_RESUMED: _resumed,
    EventKind.AGENT_REACHED: _reached,
    EventKind.SPAWN_DENIED: _nothing,
    EventKind.SPAWN_REUSED: _reused,
    EventKind.ATTEMPT_STARTED: _attempt,
    EventKind.ATTEMPT_FAILED: _attempt_failed,
    EventKind.AGENT_LINGERED: _lingered,
    EventKind.RUN_NESTED: _nested,
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
    **dict.fromkeys(TOKEN_KINDS, _credentials),
}


def fold(events: Iterable[Event]) -> RunView:
    """Return what these events say of their run."""
    view = RunView()
    for event in events:
        view.apply(event)
    return view
