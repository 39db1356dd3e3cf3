"""A record and what a guest says to it, both by hand: a replay without a guest, a store or a clock.

    record = [Spawn(1, "research", {"topic": "a"}), Wait(1, 1, (1,), 1), ok(1, {"n": 1}), answer(1, 1), done(7)]
    divergence = replayed(record, Spawn(1, "research", {"topic": "b"}))

What a guest says is a message of the wire, in the record and in the replay; what the host did is made by the functions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from runner.events import Event, EventKind
from runner.events import said as form
from runner.guest.wire import Cancel, Finished, Output, Settled, Spawn, Then, Wait, canonical, compact
from runner.models import Json, RunError, RunState
from runner.replay import Diverged, Divergence, Past, Replayer
from runner.session import limit_ending

RUN = "20250615-150640-abc123"
START = 1_750_000_000.0
ERASED = "erased"

Written = tuple[EventKind, dict[str, Any], str | None]
Said = Spawn | Then | Settled | Cancel | Output | Wait | Finished


# --- what the host wrote ---------------------------------------------------------------------


def ok(n: int, output: Json) -> Written:
    body = {"spawn": n, "agent": "research", "outcome": "ok", "attempts": 1, "seconds": 1.0, "bytes": 2}
    return EventKind.SPAWN_SETTLED, body, f'{{"output":{canonical(output)}}}'


def bad(n: int, kind: str = "failed", message: str = "no", **more: Json) -> Written:
    body = {"spawn": n, "agent": "research", "outcome": kind, "attempts": 2, "seconds": 1.0, "bytes": 0}
    return EventKind.SPAWN_SETTLED, body, canonical({"message": message, **more})


def then_ok(n: int, output: Json) -> Written:
    return EventKind.THEN_SETTLED, {"handle": n, "outcome": "ok", "bytes": 2}, f'{{"output":{canonical(output)}}}'


def answer(wait: int, *handles: int, ended: str = "ready", after: float = 1.0) -> Written:
    return EventKind.ANSWERED, {"wait": wait, "handles": list(handles), "ended": ended, "now": START + after}, None


def done(result: Json) -> Written:
    return end(RunState.DONE, {"result": result}, by="script")


def failed(kind: str, message: str, line: int) -> Written:
    return end(RunState.FAILED, {"message": message, "hint": "", "trace": []}, kind=kind, line=line, by="script")


def stopped(by: str = "ann") -> Written:
    return end(RunState.STOPPED, {"message": f"stopped by {by}", "hint": "", "trace": []}, kind="stopped", by="host")


def end(state: RunState, value: dict[str, Json], *, by: str, kind: str = "", line: int = 0) -> Written:
    body = {"state": str(state), "kind": kind, "line": line, "spawns": {}, "usage": {}, "by": by}
    return EventKind.RUN_FINISHED, body, compact(value)


# --- the record ------------------------------------------------------------------------------


def record(*steps: Said | Written, first: int = 4) -> list[Event]:
    """Return the events of a run from behind its start."""
    written = [step if isinstance(step, tuple) else _written(step) for step in steps]
    return [_event(first + place, *one) for place, one in enumerate(written)]


def erased(event: Event) -> Event:
    return replace(event, value=None)


def _event(seq: int, kind: EventKind, body: dict[str, Any], value: str | None) -> Event:
    # As it is read back: without tuples.
    import json

    return Event(
        RUN, seq, kind, int(START * 1e6), json.loads(canonical(body)), value, "d" * 64 if value is not None else "",
        "e" * 64,
    )  # fmt: skip


def _written(said: Said) -> Written:
    match said:
        case Spawn():
            return EventKind.SPAWN_REQUESTED, form.spawn_body(said), form.spawn_value(said, canonical(said.inputs))
        case Then():
            return EventKind.THEN_REQUESTED, form.then_body(said), None
        case Settled():
            value = canonical({"message": said.message})
            if said.kind == "ok":
                value = form.returned_value(said, canonical(said.value))
            return EventKind.THEN_RETURNED, form.returned_body(said), value
        case Cancel():
            return EventKind.SPAWN_CANCELLED, {"spawn": said.n, "by": "script"}, None
        case Output():
            return EventKind.OUTPUT_WRITTEN, form.output_body(said), form.output_value(said)
        case Wait():
            return EventKind.WAIT_OPENED, form.wait_body(said), None
        case Finished():
            if said.ok:
                return done(said.result)
            assert said.error is not None
            return failed(said.error.type, said.error.message, said.error.line)
    raise AssertionError(said)


# --- the replay ------------------------------------------------------------------------------


class Over(Exception):
    """The record knows nothing more."""


class Hand:
    """Says to a replayer what a guest would, and keeps what it was told."""

    def __init__(self, events: list[Event], *, value: Callable[[int], str | None] = lambda seq: None) -> None:
        self.past = Past(iter(events), value)
        self.replayer = Replayer(self.past, ended=self._ended, cause=lambda line: f"somebody changed line {line}")
        self.told: list[tuple[int, str, str]] = []
        self.over = False

    def _ended(self) -> None:
        self.over = True
        raise Over

    def say(self, *said: Said) -> None:
        """Raises Diverged, RecordBroken."""
        try:
            self.replayer.begin()
            for message in said:
                self._say(message)
        except Over:
            return

    def _say(self, message: Said) -> None:
        replayer = self.replayer
        match message:
            case Spawn():
                replayer.spawned(message)
            case Then():
                replayer.derived(message)
            case Settled():
                replayer.settled(message)
            case Cancel():
                replayer.cancelled(message.n)
            case Output():
                replayer.printed(message)
            case Wait():
                self.told += asyncio.run(replayer.wait(message)).outcomes
            case Finished():
                replayer.end(*_ending(message))


def _ending(message: Finished) -> tuple[RunState, Json, RunError | None]:
    if message.ok:
        return RunState.DONE, message.result, None
    if message.limit:
        ending = limit_ending(message.limit, "the script used more than 64 MiB of memory", line=message.line)
        return ending.state, None, ending.error
    assert message.error is not None
    return RunState.FAILED, None, RunError(message.error.type, message.error.message, message.error.line)


def replayed(events: list[Event], *said: Said) -> Divergence | None:
    """Return where what a guest says leaves the record."""
    try:
        Hand(events).say(*said)
    except Diverged as diverged:
        return diverged.divergence
    return None
