"""What a run did outside: each spawn that called, or was to call, an agent with effects: done, not done, unknown.

Done is what the record proves: an attempt of that agent settled its spawn as ok, a person said so, or the outcome is
another run's. Not done is what never reached the agent. Everything else is unknown, also where an agent said that it
failed: it may have done half. Effects are those of the archived policy; where that was erased, every agent counts as
irreversible and not idempotent, as the policy's own defaults do.

Not here: the words and the table (cli.effects).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from runner.archive.work import policy_of
from runner.events import Event, EventKind
from runner.guest.wire import OK
from runner.models import OutcomeKind
from runner.policy.model import Effects

# Told before the agent is called, though its attempt had been journalled: no credential, or a host that was frozen.
NEVER_CALLED = (OutcomeKind.DENIED, OutcomeKind.UNAUTHORISED)
_CHANGING = (Effects.WRITE, Effects.IRREVERSIBLE)


class Done(StrEnum):
    DONE = "done"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Tried:
    """One attempt. `outcome` "" while it runs, or where its host died. Times are epoch seconds."""

    attempt: int
    agent: str
    began_at: float
    ended_at: float = 0.0
    outcome: str = ""
    interrupted: bool = False
    """Its host died while it ran."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one agent did, or did not, for one spawn."""

    agent: str
    effects: str
    """"write" or "irreversible"."""
    idempotent: bool
    """A second call changes nothing more."""
    spawn: int
    label: str
    line: int
    done: Done
    outcome: str
    """Of the agent's last attempt, or of the spawn where there was none; "" while it is open."""
    requested_at: float
    attempts: tuple[Tried, ...] = ()
    """Of this agent."""
    reused: tuple[str, int] | None = None
    by: str = ""
    """The person who settled it, or ""."""


@dataclass(slots=True)
class _Asked:
    n: int
    agent: str
    label: str
    line: int
    at: float
    attempts: list[Tried] = field(default_factory=list)
    reused: tuple[str, int] | None = None
    outcome: str = ""
    by: str = ""


@dataclass(slots=True)
class EffectsView:
    """The effects of a run, in the order in which its spawns settled; those that are open last. A fold."""

    effects: list[Effect] = field(default_factory=list)
    policy_erased: bool = False
    _agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    _open: dict[int, _Asked] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        take = _APPLY.get(event.kind)
        if take is not None:
            take(self, event)

    def close(self, *, host_gone: bool) -> None:
        """Take note of the end: what is open was never told to end; `host_gone` says that nobody will tell it."""
        for asked in self._open.values():
            for tried in asked.attempts:
                tried.interrupted = tried.interrupted or (host_gone and not tried.outcome)
            self.effects += self._effects_of(asked)
        self._open.clear()

    def _submitted(self, event: Event) -> None:
        policy = policy_of(event)
        self._agents, self.policy_erased = policy.get("agents", {}), not policy

    def _requested(self, event: Event) -> None:
        body = event.body
        label = str(event.content().get("label") or "")
        self._open[body["spawn"]] = _Asked(body["spawn"], body["agent"], label, body["line"], event.at_us / 1e6)

    def _reused(self, event: Event) -> None:
        self._open[event.body["spawn"]].reused = event.body["origin"], event.body["origin_spawn"]

    def _attempted(self, event: Event) -> None:
        body, asked = event.body, self._open[event.body["spawn"]]
        asked.attempts.append(Tried(body["attempt"], body.get("agent", asked.agent), event.at_us / 1e6))

    def _attempt_failed(self, event: Event) -> None:
        _end(self._open[event.body["spawn"]], event)

    def _resumed(self, event: Event) -> None:
        for asked in self._open.values():
            for tried in asked.attempts:
                tried.interrupted = tried.interrupted or not tried.outcome

    def _settled(self, event: Event) -> None:
        asked = self._open.pop(event.body["spawn"])
        asked.outcome, asked.by = event.body["outcome"], str(event.body.get("by", ""))
        _end(asked, event)
        self.effects += self._effects_of(asked)

    def _effects_of(self, asked: _Asked) -> Iterator[Effect]:
        for name in dict.fromkeys((asked.agent, *(tried.agent for tried in asked.attempts))):
            entry = self._agents.get(name, {})
            effects = entry.get("effects", str(Effects.IRREVERSIBLE))
            if effects not in _CHANGING:
                continue
            attempts = tuple(tried for tried in asked.attempts if tried.agent == name)
            outcome = asked.outcome if not attempts or asked.by else attempts[-1].outcome
            yield Effect(
                name, effects, bool(entry.get("idempotent", False)), asked.n, asked.label, asked.line,
                _done(asked, name, attempts), outcome, asked.at, attempts, asked.reused, asked.by,
            )  # fmt: skip


def _end(asked: _Asked, event: Event) -> None:
    """End the attempt that runs. One whose host had died stays as it is: nobody saw its end."""
    running = asked.attempts[-1] if asked.attempts else None
    if running is not None and not running.outcome and not running.interrupted:
        running.outcome, running.ended_at = event.body["outcome"], event.at_us / 1e6


def _done(asked: _Asked, agent: str, attempts: tuple[Tried, ...]) -> Done:
    if asked.by and (not asked.attempts or asked.attempts[-1].agent == agent):
        unknown = asked.outcome == OutcomeKind.OUTCOME_UNKNOWN
        return Done.DONE if asked.outcome == OK else Done.UNKNOWN if unknown else Done.NOT_DONE
    if asked.reused is not None:
        return Done.DONE if asked.outcome == OK else Done.UNKNOWN
    if any(tried.outcome == OK for tried in attempts):
        return Done.DONE
    called = any(tried.outcome not in NEVER_CALLED for tried in attempts)
    return Done.UNKNOWN if called else Done.NOT_DONE


_APPLY = {
    EventKind.RUN_SUBMITTED: EffectsView._submitted,
    EventKind.RUN_RESUMED: EffectsView._resumed,
    EventKind.SPAWN_REQUESTED: EffectsView._requested,
    EventKind.SPAWN_REUSED: EffectsView._reused,
    EventKind.ATTEMPT_STARTED: EffectsView._attempted,
    EventKind.ATTEMPT_FAILED: EffectsView._attempt_failed,
    EventKind.SPAWN_SETTLED: EffectsView._settled,
}


def effects_of(events: Iterable[Event], *, alive: bool) -> EffectsView:
    """Return what these events of a run say that it did outside. `alive`: somebody serves it still."""
    view = EffectsView()
    ended = False
    for event in events:
        view.apply(event)
        ended = event.kind is EventKind.RUN_FINISHED
    view.close(host_gone=not alive and not ended)
    return view
