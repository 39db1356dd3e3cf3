"""Whatever a guest says, in whatever order: the run ends in one of the ways that a run can end, and its record holds.

Three hundred walks of a hostile guest against the real session, broker and journal, under a held clock; a thousand in
`make test-long`.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from runner.broker import Broker
from runner.broker.reached import Reached
from runner.clock import HeldClock
from runner.errors import AgentFault
from runner.events import TOKEN_KINDS, Event, EventKind, fold
from runner.guest import wire
from runner.guest.wire import OK, canonical
from runner.journal import open_store
from runner.journal.store import SqliteJournal as Store
from runner.models import Json, Limits, OutcomeKind, RunState
from runner.policy.model import AgentEntry, Policy, SandboxRule
from runner.seams import Call
from runner.session import Ending, Session
from tests.long import every
from tests.unit.hostile_guest import HostileGuest

WALKS = 1_000
AT_ONCE = 100
ANY = {"type": "object", "additionalProperties": True}
STRICT = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "maxLength": 40},
        "list": {"type": "array", "maxItems": 3, "items": True},
    },
    "required": ["text"],
}
LIMITS = Limits(
    wall_seconds=1_000.0, spawns=60, parallel_spawns=5, fallbacks=2, backoff_seconds=60.0, frame_bytes=6_000,
    bytes_in=60_000, bytes_out=200_000, log_bytes=1_000,
)  # fmt: skip
EXPECTED = {RunState.DONE, RunState.FAILED, RunState.LIMIT, RunState.CRASHED}


def entry(name: str, **options: Any) -> AgentEntry:
    written = {
        "input_schema": ANY,
        "output_schema": ANY,
        "timeout_seconds": 10.0,
        "max_timeout_seconds": 10.0,
        **options,
    }
    return AgentEntry(name, "for walks", "python", {"call": "m:f"}, **written)


AGENTS = {
    one.name: one
    for one in (
        entry("echo", scopes=frozenset({"s"}), idempotent=True),
        entry("strict", input_schema=STRICT, output_schema=STRICT, parallel=2, scopes=frozenset({"s", "t"})),
        entry("slow", scopes=frozenset({"s"}), default_scopes=("s",), unsafe_retry_unknown=True),
        entry("shaky", idempotent=True, max_retries=2),
        entry("once", max_retries=1),
    )
}


class Echo:
    """Every agent of the walks: it answers with its inputs, later, or fails, each by its name and its inputs."""

    def __init__(self, clock: HeldClock, broken: list[str]) -> None:
        self._clock = clock
        self._broken = broken
        self.running = 0

    async def run(self, call: Call) -> Json:
        if not jsonschema_rs.is_valid(AGENTS[call.agent].input_schema, call.inputs):
            self._broken.append(f"agent {call.agent} was called with {call.inputs}")
        self.running += 1
        if self.running > LIMITS.parallel_spawns:
            self._broken.append(f"{self.running} calls at once")
        try:
            return await self._answer(call)
        finally:
            self.running -= 1

    async def _answer(self, call: Call) -> Json:
        turn = (len(canonical(call.inputs)) + call.spawn + call.attempt) % 5
        if call.agent == "slow" or (call.agent == "once" and turn == 0):
            await self._clock.sleep(turn * 4.0)
        if call.agent in ("shaky", "once") and turn in (1, 2):
            raise AgentFault("failed", f'agent "{call.agent}" failed', lost=turn == 2)
        if turn == 3 and call.agent == "strict":
            return {"list": "no text"}
        return call.inputs

    def facts(self) -> dict[str, str]:
        return {}

    async def close(self) -> None: ...


class Walk:
    """One conversation with one hostile guest, and its record."""

    def __init__(self, seed: int, store: Store) -> None:
        self.seed = seed
        self.clock = HeldClock()
        self.broken: list[str] = []
        self.guest = HostileGuest(seed)
        agent = Echo(self.clock, self.broken)
        reached = {name: Reached(one) for name, one in AGENTS.items()}
        self.run = f"walk-{seed}"
        self.journal = store.open_run(self.run, on_failure=lambda error: self.broken.append(str(error)))
        policy = Policy("p", AGENTS, LIMITS, SandboxRule(), None, Path("."), "{}", "d")
        self.broker = Broker(
            policy, self.journal, clock=self.clock, trace="0" * 32, agent_of=lambda entry: agent,
            reach=lambda entry: reached[entry.name],
        )  # fmt: skip
        self.session = Session(self.guest, self.broker, limits=LIMITS, clock=self.clock)

    async def walk(self) -> Ending:
        self.journal.append(
            EventKind.RUN_SUBMITTED,
            {"script": "s", "script_digest": "d", "policy": "p", "policy_digest": "d", "inputs_digest": "d", "runner": "0",
             "python": "3", "trace": "0" * 32, "span": "0" * 16, "sandbox": "process"},
        )  # fmt: skip
        self.journal.append(EventKind.RUN_STARTED, {"seed": 1, "now": 0.0, "dialect": 1})
        await self.session.greet()
        start = wire.Start("", "s", {}, 1, self.clock.now(), LIMITS.spawns, LIMITS.wall_seconds, 6_000, None, 1)
        driving = asyncio.ensure_future(self._drive())
        try:
            async with asyncio.timeout(60):
                ending = await self.session.converse(start)
                await self.session.gone()
                await self.broker.finished()
        finally:
            driving.cancel()
        error = ending.error
        self.journal.append(
            EventKind.RUN_FINISHED,
            {"state": str(ending.state), "kind": error.kind if error else "", "line": 0, "spawns": self.broker.counts,
             "usage": {}},
            canonical({"result": ending.result} if error is None else {"message": error.message, "hint": error.hint}),
        )  # fmt: skip
        await self.journal.close()
        return ending

    async def _drive(self) -> None:
        """Move the clock when everything has had its turn: a walk need not be equal twice, only sound."""
        while True:
            for _ in range(6):
                await asyncio.sleep(0)
            await self.journal.durable()
            await self.broker.idle()
            if self.broker._waits._open is not None:
                self.clock.advance_to_next()


async def walked(home: Path, seeds: range) -> Iterator[tuple[Walk, Ending, list[Event]]]:
    found = []
    store = open_store(home)
    unheard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: unheard.append(f"{told}"))
    walks = [Walk(seed, store) for seed in seeds]
    endings = await asyncio.gather(*(one.walk() for one in walks), return_exceptions=True)
    assert store.verify_all() == len(walks)
    for one, ending in zip(walks, endings, strict=True):
        if isinstance(ending, BaseException):
            raise AssertionError(f"seed {one.seed}: the conversation did not end but raised") from ending
        found.append((one, ending, list(store.read(one.run))))
    store.close()
    gc.collect()  # A task whose exception nobody has looked at tells it when it goes.
    assert not unheard
    assert len(asyncio.all_tasks()) == 1, "something outlives its run"
    return iter(found)


@pytest.mark.parametrize("first", every(range(0, WALKS, AT_ONCE), nth=4))
async def test_a_hostile_guest_gets_no_further_than_the_end_of_its_run(tmp_path: Path, first: int) -> None:
    for one, ending, events in await walked(tmp_path, range(first, first + AT_ONCE)):
        wrong = [*one.broken, *_broken(one, ending, events)]

        assert not wrong, f"seed {one.seed}: {wrong[0]}"


async def test_the_walks_go_everywhere(tmp_path: Path) -> None:
    """A walk that ends at its first word proves nothing: together they see every ending and every kind of event."""
    states: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    for _, ending, events in await walked(tmp_path, range(AT_ONCE)):
        states[ending.error.kind if ending.error else str(ending.state)] += 1
        kinds.update(str(event.kind) for event in events)
        outcomes.update(event.body["outcome"] for event in events if "outcome" in event.body)

    # About one in a hundred ends at the wall limit: not in every hundred.
    assert {"done", "E", "memory", "misbehaved"} <= states.keys()
    assert states["misbehaved"] + states["wall"] < AT_ONCE / 3
    assert {str(kind) for kind in EventKind} - set(map(str, TOKEN_KINDS)) - kinds.keys() <= {
        "script_checked", "sandbox_started", "agent_lingered", "stop_requested", "agent_reached", "spawn_reused",
        "run_resumed", "review_decided", "run_nested",
    }  # fmt: skip
    assert {OK, *map(str, OutcomeKind)} - outcomes.keys() <= {"unauthorised"}
    assert kinds["answered"] > 5 * AT_ONCE


def _broken(one: Walk, ending: Ending, events: list[Event]) -> Iterator[str]:
    """Yield what does not hold of a conversation that has ended, and of its record."""
    if ending.state not in EXPECTED:
        yield f"it ended as {ending.state}"
    if ending.state is RunState.CRASHED and (ending.error is None or ending.error.kind != "misbehaved"):
        yield f"it crashed as {ending.error}"
    if not one.guest.killed.is_set():
        yield "the guest lives"
    if one.guest.twice:
        yield f"handles {one.guest.twice} were told twice"
    yield from _left(one.broker)
    view = fold(events)
    if view.state is not ending.state or view.waiting is not None:
        yield "the journal tells another end"
    if open_ := [n for n, each in {**view.spawns, **view.thens}.items() if not each.outcome]:
        yield f"handles {open_} have no outcome in the journal"
    yield from _handles(events)
    yield from _attempts(events)
    yield from _answers(one, events)


def _left(broker: Broker) -> Iterator[str]:
    """What a run must give back."""
    slots = broker.attempts.turns._slots
    if slots.running or any(lane.running for lane in slots._lanes.values()):
        yield f"{slots.running} slots are taken"
    if broker._filled_bytes:
        yield f"{broker._filled_bytes} bytes of inputs are counted as held"
    if broker.attempts._pursuits or broker.attempts._lingering:
        yield "attempts are under way"


def _handles(events: list[Event]) -> Iterator[str]:
    """Each handle settles once."""
    settled: Counter[int] = Counter()
    for event in events:
        if event.kind is EventKind.SPAWN_SETTLED:
            settled[event.body["spawn"]] += 1
        elif event.kind is EventKind.THEN_SETTLED or (
            event.kind is EventKind.THEN_RETURNED and "fills" not in event.content()
        ):
            settled[event.body["handle"]] += 1
    if more := [n for n, times in settled.items() if times > 1]:
        yield f"handles {more} settled more than once"


def _attempts(events: list[Event]) -> Iterator[str]:
    """An attempt is of a spawn that was permitted, that has not settled, and whose needs have all succeeded."""
    asked: dict[int, Event] = {}
    denied: set[int] = set()
    settled: dict[int, str] = {}
    for event in events:
        body = event.body
        if event.kind is EventKind.SPAWN_REQUESTED:
            asked[body["spawn"]] = event
        elif event.kind is EventKind.SPAWN_DENIED:
            denied.add(body["spawn"])
        elif event.kind in (EventKind.SPAWN_SETTLED, EventKind.THEN_SETTLED, EventKind.THEN_RETURNED):
            settled[body.get("spawn") or body["handle"]] = body["outcome"]
        elif event.kind is EventKind.ATTEMPT_STARTED:
            yield from _attempt(event, asked[body["spawn"]], denied, settled)


def _attempt(event: Event, asked: Event, denied: set[int], settled: dict[int, str]) -> Iterator[str]:
    n, body, request = event.body["spawn"], event.body, asked.body
    if n in denied or n in settled:
        yield f"spawn {n} was attempted although it was denied or settled"
    chain = [request["agent"], *(agent for agent, _ in request["fallback"])]
    scopes = [request["scopes"], *(own if own is not None else request["scopes"] for _, own in request["fallback"])]
    if body["agent"] not in chain:
        yield f"spawn {n} was attempted with {body['agent']}"
    for agent, wanted in zip(chain, scopes, strict=True):
        if agent not in AGENTS or not set(wanted or ()) <= AGENTS[agent].scopes:
            yield f"spawn {n} was attempted without permission for {agent}"
    further = request["retry"]["attempts"] if request["retry"] else 0
    if body["attempt"] > (1 + further) * len(chain):
        yield f"spawn {n} had attempt {body['attempt']}"
    if any(further > AGENTS[agent].max_retries for agent in chain) or len(chain) > 1 + LIMITS.fallbacks:
        yield f"spawn {n} was attempted beyond a cap"
    for needed in _needed(asked.content().get("fills", [])):
        if settled.get(needed) not in (OK, "cancelled"):  # It may have been cancelled once its output was filled in.
            yield f"spawn {n} was attempted before handle {needed}"


def _needed(fills: list[Any]) -> list[int]:
    parts = [part for _, ref in fills for part in ([ref] if "part" in ref else ref["text"])]
    return [part["part"] for part in parts if isinstance(part, dict)]


def _answers(one: Walk, events: list[Event]) -> Iterator[str]:
    """An answer tells what has settled before it, as the journal has it, and nothing that the guest knows."""
    known: dict[int, tuple[str, Json]] = {}
    closed: set[int] = set()
    for event in events:
        body = event.body
        if event.kind in (EventKind.SPAWN_SETTLED, EventKind.THEN_SETTLED, EventKind.THEN_RETURNED):
            n = body.get("spawn") or body["handle"]
            known[n] = body["outcome"], event.content().get("output")
            if event.kind is EventKind.THEN_RETURNED and "fills" not in event.content():
                closed.add(n)
        elif event.kind is EventKind.SPAWN_CANCELLED and body["by"] == "script":
            closed.add(body["spawn"])
        elif event.kind is EventKind.ANSWERED:
            for n in body["handles"]:
                if n in closed or n not in known:
                    yield f"handle {n} was answered before it settled, or again"
                closed.add(n)
                if n in one.guest.told and one.guest.told[n][0] == OK and one.guest.told[n] != known.get(n):
                    yield f"handle {n} was told as {one.guest.told[n]}, and the journal has {known.get(n)}"
