"""A second opinion: run a script in plain CPython, with a naive API whose time is virtual.

Independent of runner: nothing of `runner` is imported, and nothing is safe here. Handles and their parts are texts
that hold a mark; a mark that stands in a spawn's inputs is replaced when the outputs are there. One heap of events
makes time pass, and only while the script waits.

Not here: sandbox, dialect, limits but that on spawns, and the texts of most messages.
"""

from __future__ import annotations

import ast
import builtins
import datetime
import functools
import heapq
import json
import math
import random
import re
import time
import types
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from tests.scripts import agents

NOW = 1_750_000_000.0
SEED = 7
_MARK = re.compile("\x02(\\d+)\x03")
_UNITS = {"s": 1, "m": 60, "h": 3600}
_NO_FALLBACK = ("denied", "invalid_input", "dependency_failed", "cancelled", "limit_reached")


class SpawnError(Exception):
    kind: str | None = "failed"

    def __init__(self, message: str = "", *, agent: str | None = None, label: str | None = None, attempts: Any = 0,
                 cause: Any = None, results: Any = None) -> None:  # fmt: skip
        message = f'{message} (label "{label}")' if label else message
        super().__init__(message)
        self.message, self.agent, self.label, self.attempts, self.cause = message, agent, label, attempts, cause
        self.results = results


_KINDS = {
    "SpawnDenied": "denied", "SpawnFailed": "failed", "SpawnTimedOut": "timed_out", "InvalidInput": "invalid_input",
    "InvalidOutput": "invalid_output", "Unauthorised": "unauthorised", "DependencyFailed": "dependency_failed",
    "Cancelled": "cancelled", "OutcomeUnknown": "outcome_unknown", "LimitReached": "limit_reached",
    "TooFewResults": None,
}  # fmt: skip
ERRORS = {name: type(name, (SpawnError,), {"kind": kind}) for name, kind in _KINDS.items()}
BY_KIND = {error.kind: error for error in ERRORS.values()}


class Retry:
    def __init__(self, attempts: int = 1, backoff: float = 1.0, max_backoff: float = 30.0,
                 on: Any = ("timed_out", "failed", "invalid_output")) -> None:  # fmt: skip
        self.attempts, self.backoff, self.max_backoff, self.on = attempts, backoff, max_backoff, tuple(on)


class Fallback:
    def __init__(self, agent: str, *, scopes: Any = None) -> None:
        self.agent, self.scopes = agent, scopes


class Ended(BaseException):
    """A top-level `return`."""


class State:
    """What becomes of one spawn or then."""

    def __init__(self, n: int, agent: str | None, label: str | None) -> None:
        self.n, self.agent, self.label = n, agent, label
        self.outcome: tuple[str, Any] | None = None
        self.settled = self.delivered = 0
        self.then = self.late = False
        self.callback: Any = None
        self.source: Any = None
        self.hooks: list[Callable[[], None]] = []

    @property
    def good(self) -> bool:
        return self.outcome is not None and self.outcome[0] == "ok"


class Handle(str):
    """A part (a whole one has no path). Its text is its mark, so that f-strings and `join` work by themselves."""

    world: World
    base: State
    path: tuple[Any, ...]

    def __format__(self, spec: str) -> str:
        assert not spec
        return str.__str__(self)

    def __repr__(self) -> str:
        return f"<Handle {self.base.n} {self.base.agent}>"

    def __hash__(self) -> int:
        return self.base.n

    def __eq__(self, other: object) -> bool:
        return self is other

    def __bool__(self) -> bool:
        raise TypeError("a handle has no truth value")

    def __iter__(self) -> Any:
        raise TypeError("a handle cannot be iterated")

    def __copy__(self) -> Handle:
        return self

    def __deepcopy__(self, memo: Any) -> Handle:
        return self

    def __getitem__(self, key: Any) -> Handle:  # type: ignore[override]
        return self.world.handle(self.base, (*self.path, key))

    @property
    def agent(self) -> str | None:
        return self.base.agent

    @property
    def label(self) -> str | None:
        return self.base.label

    def _outcome(self) -> tuple[str, Any]:
        self.world.wait([self.base], lambda: bool(self.base.delivered))
        return self.world.seen(self)

    @property
    def ok(self) -> bool:
        return self._outcome()[0] == "ok"

    @property
    def error(self) -> Any:
        kind, value = self._outcome()
        return None if kind == "ok" else value

    def result(self) -> Any:
        kind, value = self._outcome()
        if kind != "ok":
            raise value
        return value

    def cancel(self) -> None:
        self.world.cancel(self.base)

    def then(self, fn: Callable[[Any], Any]) -> Handle:
        return self.world.then(self, fn)


class World:
    """One run."""

    def __init__(self, policy: dict[str, Any], limits: dict[str, Any]) -> None:
        self.policy = policy["agents"]
        self.now = NOW
        self.wall = _seconds(limits.get("wall", policy["limits"]["wall"]))
        self.limit = limits.get("spawns", policy["limits"]["spawns"])
        self.states: list[State] = []
        self.marks: list[Handle] = []
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.ticks = self.spawns = self.orders = self.inside = 0

    # --- handles and values ------------------------------------------------------------------

    def handle(self, base: State, path: tuple[Any, ...] = ()) -> Handle:
        made = str.__new__(Handle, f"\x02{len(self.marks)}\x03")
        made.world, made.base, made.path = self, base, path
        self.marks.append(made)
        return made

    def plain(self, value: Any) -> Any:
        """A copy of JSON that may hold handles."""
        if isinstance(value, Handle) or value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        if isinstance(value, (list, tuple)):
            return [self.plain(one) for one in value]
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {key: self.plain(one) for key, one in value.items()}
        raise ERRORS["InvalidInput"](f"a {type(value).__name__} is no JSON")

    def needs(self, value: Any) -> list[State]:
        if isinstance(value, Handle):
            return [value.base]
        if isinstance(value, str):
            return [self.marks[int(n)].base for n in _MARK.findall(value)]
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [need for one in inner for need in self.needs(one)]

    def filled(self, value: Any) -> Any:
        """Raises LookupError or TypeError where an output has no such part."""
        if isinstance(value, Handle):
            found = value.base.outcome[1]  # type: ignore[index]
            for key in value.path:
                if isinstance(found, dict) and not isinstance(key, str):
                    raise TypeError(key)
                found = found[key]
            return json.loads(json.dumps(found))
        if isinstance(value, str):
            return _MARK.sub(lambda mark: _text(self.filled(self.marks[int(mark[1])])), value)
        if isinstance(value, dict):
            return {key: self.filled(one) for key, one in value.items()}
        return [self.filled(one) for one in value] if isinstance(value, list) else value

    def seen(self, handle: Handle) -> tuple[str, Any]:
        assert handle.base.outcome is not None
        kind, value = handle.base.outcome
        if not handle.path:
            return kind, value
        if kind != "ok":
            cause = value.cause or value
            return "dependency_failed", self.error("dependency_failed", "needed", handle.base, cause=cause)
        try:
            return "ok", self.filled(handle)
        except (LookupError, TypeError) as error:
            return "dependency_failed", self.error("dependency_failed", f"no such part: {error}", handle.base)

    def error(self, kind: str, message: str, state: State, attempts: int = 0, cause: Any = None) -> SpawnError:
        return BY_KIND[kind](message, agent=state.agent, label=state.label, attempts=attempts, cause=cause)

    # --- what happens on the host ------------------------------------------------------------

    def at(self, seconds: float, event: Callable[[], None]) -> None:
        self.ticks += 1
        heapq.heappush(self.events, (self.now + seconds, self.ticks, event))

    def settle(self, state: State, kind: str, value: Any) -> None:
        if state.outcome is None:
            self.orders += 1
            state.outcome, state.settled = (kind, value), self.orders
            for hook in state.hooks:
                hook()

    def when(self, needs: list[State], state: State, go: Callable[[], None]) -> None:
        """Go once all are there; fail the state with the first failure."""
        def look() -> None:
            if state.outcome is not None or state.late:
                return
            bad = [need for need in needs if need.outcome is not None and not need.good]
            if bad:
                first = min(bad, key=lambda need: need.settled).outcome[1]  # type: ignore[index]
                told = self.error("dependency_failed", f"needed: {first}", state, cause=first.cause or first)
                self.settle(state, "dependency_failed", told)
            elif all(need.outcome is not None for need in needs):
                state.late = True
                go()

        for need in needs:
            need.hooks.append(look)
        look()

    def spawn(self, agent: str, inputs: Any = None, *, scopes: Any = None, timeout: float | None = None,
              retry: Any = 0, fallback: Any = None, accept: Any = None, label: str | None = None) -> Handle:  # fmt: skip
        if self.spawns >= self.limit:
            raise ERRORS["LimitReached"](f"this run may ask for {self.limit} spawns", agent=agent, label=label)
        value = self.plain({} if inputs is None else inputs)
        self.spawns += 1
        state = State(len(self.states) + 1, agent, label)
        self.states.append(state)
        chain = fallback if isinstance(fallback, (list, tuple)) else [] if fallback is None else [fallback]
        rule = Retry(retry) if isinstance(retry, int) else retry
        names = [(agent, scopes)]
        for one in chain:
            names.append((one.agent, one.scopes or scopes) if isinstance(one, Fallback) else (one, scopes))
        for name, asked in names:
            entry = self.policy.get(name)
            most = entry and _seconds(entry.get("max_timeout", entry.get("timeout", "60s")))
            if not entry or set(asked or ()) - set(entry.get("scopes", ())) or (timeout or 0) > most:
                self.settle(state, "denied", self.error("denied", f'agent "{name}" was refused', state))
                return self.handle(state)
        plan = [name for name, _ in names]

        def start() -> None:
            try:
                given = self.filled(value)
            except (LookupError, TypeError) as error:
                message = f"no such part: {error}"
                cause = self.error("dependency_failed", message, needs[0])
                self.settle(state, "dependency_failed", self.error("dependency_failed", message, state, cause=cause))
                return
            for name in plan:
                if problem := _breaks(self.policy[name]["valid"]["input"], given):
                    self.settle(state, "invalid_input", self.error("invalid_input", problem, state))
                    return
            self.attempt(state, plan, given, 1, 0, rule, timeout, accept)

        needs = self.needs(value)
        self.when(needs, state, start)
        return self.handle(state)

    def attempt(self, state: State, plan: list[str], inputs: Any, count: int, tried: int, rule: Retry,
                timeout: float | None, accept: Any) -> None:  # fmt: skip
        if state.outcome is not None:
            return
        name, entry = plan[0], self.policy[plan[0]]
        takes, output = agents.act(name, json.loads(json.dumps(inputs)), count)
        most = timeout or _seconds(entry.get("timeout", "60s"))
        idempotent = entry.get("idempotent", entry.get("effects", "irreversible") in ("none", "read"))
        if takes > most:
            takes, kind, output = most, "timed_out" if idempotent else "outcome_unknown", f'agent "{name}" was too slow'
        elif isinstance(output, agents.Trouble):
            kind, output = "failed", str(output)
        elif problem := _breaks(entry["valid"]["output"], output) or (
            accept is not None and _breaks(jsonschema_rs.validator_for(accept), output)
        ):
            kind, output = "invalid_output", problem
        else:
            kind = "ok"

        def over() -> None:
            if kind == "ok":
                self.settle(state, kind, output)
            elif tried < rule.attempts and kind in rule.on and kind != "outcome_unknown":
                wait = min(rule.backoff * 2**tried, rule.max_backoff)
                self.at(wait, lambda: self.attempt(state, plan, inputs, count + 1, tried + 1, rule, timeout, accept))
            elif plan[1:] and kind not in (*_NO_FALLBACK, "outcome_unknown"):
                self.attempt(state, plan[1:], inputs, count + 1, 0, rule, timeout, accept)
            else:
                self.settle(state, kind, self.error(kind, str(output), state, count))

        self.at(takes, over)

    def then(self, source: Handle, fn: Callable[[Any], Any]) -> Handle:
        state = State(len(self.states) + 1, source.agent, source.label)
        self.states.append(state)
        state.callback, state.source, state.then = fn, source, True

        def look() -> None:
            if source.base.outcome is not None and not source.base.good:
                first = source.base.outcome[1]
                told = self.error("dependency_failed", f"needed: {first}", state, cause=first.cause or first)
                self.settle(state, "dependency_failed", told)

        source.base.hooks.append(look)
        look()
        return self.handle(state)

    def cancel(self, state: State, kind: str = "cancelled") -> None:
        if not state.delivered:
            if state.outcome is not None:
                state.outcome = kind, self.error(kind, kind, state)
            self.settle(state, kind, self.error(kind, kind, state))
            if kind == "cancelled":
                self.deliver([state])

    # --- waiting -----------------------------------------------------------------------------

    def deliver(self, states: list[State]) -> None:
        for state in sorted({state for state in states if state.outcome and not state.delivered}, key=_settled):
            self.delivered = getattr(self, "delivered", 0) + 1
            state.delivered = self.delivered

    def open_thens(self) -> list[State]:
        return [one for one in self.states if one.then and one.callback and one.outcome is None]

    def call_back(self) -> None:
        while True:
            ready = [one for one in self.open_thens() if one.source.base.delivered]
            if not ready:
                return
            state = min(ready, key=lambda one: (one.source.base.delivered, one.n))
            fn, state.callback = state.callback, None
            kind, value = self.seen(state.source)
            if kind != "ok":
                self.settle(state, kind, self.error(kind, value.message, state, cause=value.cause or value))
                self.deliver([state])
                continue
            self.inside += 1
            try:
                made = self.plain(fn(value))
            except ERRORS["InvalidInput"] as error:
                self.settle(state, "invalid_output", self.error("invalid_output", error.message, state))
            except Exception as error:
                kind = "limit_reached" if isinstance(error, ERRORS["LimitReached"]) else "failed"
                told = self.error(kind, f"then: {type(error).__name__}: {error}", state)
                self.settle(state, kind, told)
            else:
                needs = self.needs(made)
                if needs or _MARK.search(json.dumps(made)):
                    self.when(needs, state, lambda state=state, made=made: self.settle(state, "ok", self.filled(made)))
                    continue
                self.settle(state, "ok", made)
            finally:
                self.inside -= 1
            self.deliver([state])

    def wait(self, group: list[State], over: Callable[[], bool], until: float | None = None) -> bool:
        """Return True when it is over, False when the time is up."""
        if not over() and self.inside:
            raise RuntimeError("then: waiting in a callback")
        self.call_back()
        while not over():
            watched = group + [one.source.base for one in self.open_thens() if one.source.base.good or one.source.base in group]
            if any(one.outcome and not one.delivered for one in watched):
                # As the host does: only what makes the wait end, or wakes a then, is told.
                fresh = [one.source.base for one in self.open_thens() if one.source.base.good and not one.source.base.delivered]
                if fresh or self.would_end(group, over):
                    self.deliver(watched)
                    self.call_back()
                    continue
            if not self.events or (until is not None and self.events[0][0] > until):
                assert until is not None, "the script waits for ever"
                self.now = max(self.now, until)
                self.deliver(watched)
                self.call_back()
                return over()
            self.now = self.events[0][0]
            while self.events and self.events[0][0] == self.now:
                heapq.heappop(self.events)[2]()
        return True

    @staticmethod
    def would_end(group: list[State], over: Callable[[], bool]) -> bool:
        kept = [(one, one.delivered) for one in group]
        for one in group:
            one.delivered = one.delivered or (1 << 40 if one.outcome else 0)
        try:
            return over()
        finally:
            for one, before in kept:
                one.delivered = before

    # --- the rest of the API -------------------------------------------------------------------

    def gather(self, *things: Any, on_error: str = "raise", return_exceptions: bool = False, min_ok: Any = None,
               enough: Any = None, timeout: float | None = None) -> Any:  # fmt: skip
        on_error = "return" if return_exceptions else on_error
        shape = _listed(things[0] if len(things) == 1 and not isinstance(things[0], Handle) else list(things))
        found = list(_leaves(shape))
        group = list(dict.fromkeys(handle.base for handle in found))
        until = None if timeout is None else self.now + timeout
        distinct = list(dict.fromkeys(found))
        count = enough if enough is not None else min_ok
        need = math.ceil(count * len(distinct)) if isinstance(count, float) else count
        good = lambda: sum(h.base.delivered > 0 and self.seen(h)[0] == "ok" for h in distinct)  # noqa: E731
        bad = lambda: [h for h in distinct if h.base.delivered and self.seen(h)[0] != "ok"]  # noqa: E731
        if enough is not None:
            self.wait(group, lambda: good() >= need or len(distinct) - len(bad()) < need, until)
        elif min_ok is None and on_error == "raise":
            self.wait(group, lambda: bool(bad()) or all(one.delivered for one in group), until)
        else:
            self.wait(group, lambda: all(one.delivered for one in group), until)
        late = until is not None and self.now >= until
        for one in group:
            if not one.delivered:
                self.cancel(one, "timed_out" if late and one.outcome is None else "cancelled")
        self.deliver(group)

        def value(handle: Handle) -> Any:
            kind, found = self.seen(handle)
            return found if kind == "ok" else found if on_error == "return" else None

        first = min(bad(), key=lambda h: h.base.delivered, default=None)
        if count is not None and good() < need:
            told = f"{good()} of {len(distinct)} succeeded, {need} were needed"
            results = _rebuilt(shape, lambda h: self.seen(h)[1] if self.seen(h)[0] == "ok" else None)
            raise ERRORS["TooFewResults"](told, attempts=None, results=results)
        if count is None and on_error == "raise" and first is not None:
            raise self.seen(first)[1]
        return _rebuilt(shape, value)

    def as_completed(self, handles: Any) -> Iterator[Handle]:
        source = handles if hasattr(handles, "__len__") else list(handles)
        known: set[Handle] = set()
        pending: list[Handle] = []
        while True:
            for handle in list(source):
                if handle not in known:
                    known.add(handle)
                    pending.append(handle)
            ready = sorted((h for h in pending if h.base.delivered), key=lambda h: h.base.delivered)
            pending = [h for h in pending if not h.base.delivered]
            yield from ready
            if not ready:
                if not pending:
                    return
                group = [h.base for h in pending]
                self.wait(group, lambda group=group: any(one.delivered for one in group))

    def first_ok(self, handles: Any) -> Any:
        found = list(handles)
        done = lambda: [h for h in found if h.base.delivered and self.seen(h)[0] == "ok"]  # noqa: E731
        self.wait([h.base for h in found], lambda: bool(done()) or all(h.base.delivered for h in found))
        for handle in found:
            handle.cancel()
        if not done():
            raise ERRORS["TooFewResults"](f"none of {len(found)} succeeded", attempts=None, results=[None] * len(found))
        return self.seen(min(done(), key=lambda h: h.base.delivered))[1]

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.wait([], lambda: False, self.now + seconds)


def _settled(state: State) -> int:
    return state.settled


def _seconds(text: Any) -> float:
    return float(text) if not isinstance(text, str) else float(text[:-1]) * _UNITS[text[-1]]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _breaks(validator: Any, value: Any) -> str:
    error = next(iter(validator.iter_errors(value)), None)
    return error.message if error else ""


def _listed(thing: Any) -> Any:
    if isinstance(thing, Handle) or thing is None or isinstance(thing, (str, int, float)):
        return thing
    if isinstance(thing, dict):
        return {key: _listed(one) for key, one in thing.items()}
    return tuple(map(_listed, thing)) if isinstance(thing, tuple) else [_listed(one) for one in thing]


def _leaves(shape: Any) -> Iterator[Handle]:
    if isinstance(shape, Handle):
        yield shape
    elif isinstance(shape, (list, tuple, dict)):
        for one in shape.values() if isinstance(shape, dict) else shape:
            yield from _leaves(one)


def _rebuilt(shape: Any, value: Callable[[Handle], Any]) -> Any:
    if isinstance(shape, Handle):
        return value(shape)
    if isinstance(shape, dict):
        return {key: _rebuilt(one, value) for key, one in shape.items()}
    if isinstance(shape, (list, tuple)):
        return type(shape)(_rebuilt(one, value) for one in shape)
    return shape


# --- running a script --------------------------------------------------------------------------


class _Returns(ast.NodeTransformer):
    """A top-level `return x` assigns `result` and ends the script."""

    def visit_FunctionDef(self, node: Any) -> Any:
        return node

    visit_ClassDef = visit_Lambda = visit_FunctionDef

    def visit_Return(self, node: ast.Return) -> Any:
        ended = ast.parse("raise _Ended").body[0]
        if node.value is None:
            return ended
        return [ast.Assign([ast.Name("result", ast.Store())], node.value), ended]


def _modules(world: World) -> dict[str, Any]:
    """The modules that know time or chance."""
    clock = types.ModuleType("time")
    clock.__dict__.update({name: getattr(time, name) for name in ("strftime", "gmtime")})
    for name in ("time", "monotonic", "perf_counter"):
        setattr(clock, name, lambda: world.now)
    setattr(clock, "sleep", world.sleep)  # noqa: B010
    chance = types.ModuleType("random")
    stream = random.Random(f"{SEED}:random")
    chance.__dict__.update({name: getattr(stream, name) for name in dir(stream) if not name.startswith("_")})
    setattr(chance, "Random", random.Random)  # noqa: B010
    names = random.Random(f"{SEED}:uuid")
    ids = types.ModuleType("uuid")
    ids.__dict__.update(vars(uuid) | {"uuid4": lambda: uuid.UUID(int=names.getrandbits(128), version=4)})

    class Now(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.datetime.fromtimestamp(world.now, tz or datetime.UTC).replace(tzinfo=tz)

    dates = types.ModuleType("datetime")
    dates.__dict__.update(vars(datetime) | {"datetime": Now})
    return {"time": clock, "random": chance, "uuid": ids, "datetime": dates}


@functools.cache
def _policy() -> dict[str, Any]:
    policy: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "policy.yaml").read_text())
    for entry in policy["agents"].values():
        closed = {"additionalProperties": False, **entry["input"]}
        entry["valid"] = {"input": jsonschema_rs.validator_for(closed), "output": jsonschema_rs.validator_for(entry["output"])}
    return policy


def run(source: str, inputs: Any, *, limits: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return {"result": ...} or {"error": type}, and "counts" of the outcomes of all spawns."""
    world = World(_policy(), limits or {})
    modules = _modules(world)

    def import_(name: str, *more: Any) -> Any:
        return modules.get(name) or builtins.__import__(name, *more)

    known = type("Limits", (), {
        "spawns_left": property(lambda self: world.limit - world.spawns),
        "seconds_left": property(lambda self: world.wall - (world.now - NOW)),
    })()  # fmt: skip
    names: dict[str, Any] = {
        "__name__": "__main__", "__builtins__": {**vars(builtins), "__import__": import_, "print": lambda *a, **k: None},
        "inputs": inputs, "limits": known, "log": lambda message, /, **fields: None, "_Ended": Ended, "Handle": Handle,
        "Retry": Retry, "Fallback": Fallback, "SpawnError": SpawnError, **ERRORS,
        **{name: getattr(world, name) for name in ("spawn", "gather", "as_completed", "first_ok", "sleep")},
    }  # fmt: skip
    tree = ast.fix_missing_locations(_Returns().visit(ast.parse(source)))
    told: dict[str, Any] = {}
    try:
        exec(compile(tree, "<script>", "exec"), names)
    except Ended:
        pass
    except Exception as error:
        told["error"] = "spawns" if isinstance(error, ERRORS["LimitReached"]) else type(error).__name__
        told["message"] = str(error)
    if "error" not in told:
        told["result"] = json.loads(json.dumps(names.get("result")))
    counts: dict[str, int] = {}
    for state in world.states:
        if not state.then:
            kind = state.outcome[0] if state.outcome else "cancelled"
            counts[kind] = counts.get(kind, 0) + 1
    return {**told, "counts": dict(sorted(counts.items())), "seconds": world.now - NOW}
