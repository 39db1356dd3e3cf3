"""What is expected of a script in rehearsal, from a YAML file; and whether it was met.

    version: 1
    state: done                          # or failed, limit, rejected, interrupted
    result: {best: acme}                 # exactly this JSON
    result_schema: {type: object}        # or anything of this form
    error: {kind: SpawnFailed, message: rate limited, line: 3}   # the message holds this text
    spawns:
      research: 3
      summarise: {at_least: 1, at_most: 5}
    order: [research, summarise before publish]    # agents or labels, as they are asked for
    never: [publish, {agent: mail, inputs: {to: all}}]
    each:
      research: {inputs_schema: {required: [vendor]}, scopes: [crm:read]}
    max_virtual_seconds: 60
    parallel_at_least: 3

Every part may be left out. Pure, but for reading the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.errors import PolicyError, UsageError
from runner.events.differences import differences, lines
from runner.guest.wire import WireError, canonical, compact
from runner.models import Json, RunState
from runner.policy.files import read_source
from runner.policy.model import Policy
from runner.policy.schemas import SchemaRefused, validator
from runner.policy.source import Source
from runner.rehearsal.fixtures import within
from runner.rehearsal.report import Judged, RehearsalReport, Spawned

_KEYS = (
    "version", "state", "result", "result_schema", "error", "spawns", "order", "never", "each", "max_virtual_seconds",
    "parallel_at_least",
)  # fmt: skip
_STATES = (RunState.DONE, RunState.FAILED, RunState.LIMIT, RunState.REJECTED, RunState.INTERRUPTED)
_BEFORE = " before "
_SHOWN = 200
_HINT = "docs/rehearse.md shows what a file of expectations looks like"


@dataclass(frozen=True, slots=True)
class Expectations:
    """What one file expects. Checked when made."""

    told: Mapping[str, Any]
    named: str
    """Such as `expectations "e.yaml"`, for errors."""
    source: Source | None = None

    @property
    def of_the_end(self) -> bool:
        """Whether something is expected of the state or the error."""
        return "state" in self.told or "error" in self.told

    def check_against(self, policy: Policy) -> None:
        """Raise UsageError where it names an agent that the policy does not have: it would be met by never asking."""
        named = [*self.told.get("spawns", {}), *self.told.get("each", {}), *(agent for agent, _ in self._never())]
        for agent in named:
            if agent not in policy.agents:
                known = ", ".join(f'"{name}"' for name in list(policy.agents)[:10])
                raise UsageError(
                    f'{self.named} names agent "{agent}", which policy "{policy.name}" does not have',
                    hint=f"its agents are {known}",
                )

    def judge(self, report: RehearsalReport) -> tuple[Judged, ...]:
        """Return each expectation with whether it was met, in the order of the file."""
        found: list[Judged] = []
        for key in self.told:
            if key != "version":
                judge = _JUDGES[key]
                found += [replace(one, line=self._line(one.what)) for one in judge(self, report)]
        return tuple(found)

    def _line(self, what: str) -> int:
        return 0 if self.source is None else self.source.place(tuple(what.split(".", 1))).line

    # --- one part each -------------------------------------------------------------------------

    def _state(self, report: RehearsalReport) -> Iterator[Judged]:
        got = str(report.state)
        if report.error is not None and got != self.told["state"]:
            got += f": {report.error.kind}: {report.error.message[:_SHOWN]}"
        yield Judged("state", report.state == self.told["state"], str(self.told["state"]), got, _where(report))

    def _result(self, report: RehearsalReport) -> Iterator[Judged]:
        expected = self.told["result"]
        if report.state is not RunState.DONE:
            yield Judged("result", False, _short(expected), f"none: it ended as {report.state}", _where(report))
            return
        # Keys in any order: a file of YAML is written by people.
        if canonical(report.result) == canonical(expected):
            yield Judged("result", True, _short(expected), _short(report.result))
            return
        where = "; ".join(lines(differences(expected, report.result, limit=3)))
        yield Judged("result", False, _short(expected), _short(report.result), where)

    def _result_schema(self, report: RehearsalReport) -> Iterator[Judged]:
        refusal = _refusal(self.told["result_schema"], report.result) if report.state is RunState.DONE else ""
        met = report.state is RunState.DONE and not refusal
        got = refusal or (_short(report.result) if met else f"none: it ended as {report.state}")
        yield Judged("result_schema", met, _short(self.told["result_schema"]), got, "" if met else _where(report))

    def _error(self, report: RehearsalReport) -> Iterator[Judged]:
        error, expected = report.error, self.told["error"]
        if error is None:
            yield Judged("error", False, _short(expected), f"none: it ended as {report.state}")
            return
        told: dict[str, Any] = {"kind": error.kind, "message": error.message, "line": error.line}
        for key, value in expected.items():
            met = value in error.message if key == "message" else told[key] == value
            expects = f"a text with {_short(value)}" if key == "message" else _short(value)
            yield Judged(f"error.{key}", met, expects, _short(told[key]), _where(report))

    def _spawns(self, report: RehearsalReport) -> Iterator[Judged]:
        for agent, wanted in self.told["spawns"].items():
            asked = [one for one in report.spawns if one.agent == agent]
            exact = {"at_least": wanted, "at_most": wanted} if type(wanted) is int else wanted
            least, most = exact.get("at_least", 0), exact.get("at_most")
            met = len(asked) >= least and (most is None or len(asked) <= most)
            yield Judged(f"spawns.{agent}", met, _range(least, most), str(len(asked)), _lines_of(asked))

    def _order(self, report: RehearsalReport) -> Iterator[Judged]:
        names = [one for one in self.told["order"] if _BEFORE not in one]
        if names:
            yield self._sequence(names, report)
        for rule in self.told["order"]:
            if _BEFORE in rule:
                yield self._before(rule, report)

    @staticmethod
    def _sequence(names: list[str], report: RehearsalReport) -> Judged:
        left, place = iter(report.spawns), ""
        for name in names:
            if not any(_is_named(one, name) for one in left):
                asked = [one for one in report.spawns if _is_named(one, name)]
                place = f'no "{name}" after what stands before it' if asked else f'no "{name}"'
                break
        got = ", ".join(dict.fromkeys(one.label or one.agent for one in report.spawns)) or "no spawn"
        return Judged("order", not place, ", ".join(names), got[:_SHOWN], place)

    @staticmethod
    def _before(rule: str, report: RehearsalReport) -> Judged:
        first, _, then = rule.partition(_BEFORE)
        one = [asked for asked in report.spawns if _is_named(asked, first.strip())]
        other = [asked for asked in report.spawns if _is_named(asked, then.strip())]
        if not one or not other:
            absent = first.strip() if not one else then.strip()
            return Judged("order", False, rule, f'no "{absent}"')
        late = [asked for asked in one if asked.n > other[0].n]
        got = rule if not late else f"spawn {late[0].n} {first.strip()} after spawn {other[0].n} {then.strip()}"
        return Judged("order", not late, rule, got, _lines_of(late))

    def _never(self) -> list[tuple[str, Json]]:
        told = self.told.get("never", ())
        return [(one, None) if isinstance(one, str) else (one["agent"], one.get("inputs")) for one in told]

    def _never_asked(self, report: RehearsalReport) -> Iterator[Judged]:
        for agent, inputs in self._never():
            asked = [one for one in report.spawns if one.agent == agent and within(inputs, one.inputs)]
            with_inputs = "" if inputs is None else f" with {_short(inputs)}"
            got = f"{len(asked)}, first with {_short(asked[0].inputs)}" if asked else "none"
            yield Judged("never", not asked, f'no spawn of "{agent}"{with_inputs}', got, _lines_of(asked))

    def _each(self, report: RehearsalReport) -> Iterator[Judged]:
        for agent, wanted in self.told["each"].items():
            asked = [one for one in report.spawns if one.agent == agent]
            if "inputs_schema" in wanted:
                bad = [(one, why) for one in asked if (why := _refusal(wanted["inputs_schema"], one.inputs))]
                got = f"spawn {bad[0][0].n} with {_short(bad[0][0].inputs)}: {bad[0][1]}" if bad else "all so"
                expected = f"inputs of the form {_short(wanted['inputs_schema'])}"
                yield Judged(f"each.{agent}", not bad, expected, got, _lines_of([one for one, _ in bad]))
            if "scopes" in wanted:
                others = [one for one in asked if sorted(one.scopes or ()) != sorted(wanted["scopes"])]
                got = f"spawn {others[0].n} with {_scopes(others[0].scopes)}" if others else "all so"
                yield Judged(f"each.{agent}", not others, _scopes(tuple(wanted["scopes"])), got, _lines_of(others))

    def _seconds(self, report: RehearsalReport) -> Iterator[Judged]:
        most = self.told["max_virtual_seconds"]
        yield Judged("max_virtual_seconds", report.seconds <= most, f"at most {most:g} s", f"{report.seconds:g} s")

    def _parallel(self, report: RehearsalReport) -> Iterator[Judged]:
        least = self.told["parallel_at_least"]
        yield Judged("parallel_at_least", report.parallel >= least, f"at least {least} at once", str(report.parallel))


_JUDGES: dict[str, Callable[[Expectations, RehearsalReport], Iterator[Judged]]] = {
    "state": Expectations._state, "result": Expectations._result, "result_schema": Expectations._result_schema,
    "error": Expectations._error, "spawns": Expectations._spawns, "order": Expectations._order,
    "never": Expectations._never_asked, "each": Expectations._each, "max_virtual_seconds": Expectations._seconds,
    "parallel_at_least": Expectations._parallel,
}  # fmt: skip


# --- reading ---------------------------------------------------------------------------------------


def read_expectations(path: Path) -> Expectations:
    """Return the expectations of a file. Raises UsageError, PolicyError (no YAML): what is wrong, and where."""
    source = read_source(path, shown=str(path))
    return _expectations(source.value, f'expectations "{path}"', source)


def expectations_of(told: Mapping[str, Any]) -> Expectations:
    """Return expectations from a value of the same form; `version` may be left out. Raises UsageError."""
    return _expectations({"version": 1, **told}, "expectations", None)


def _expectations(told: Json, named: str, source: Source | None) -> Expectations:
    if not isinstance(told, dict) or told.get("version") != 1:
        raise UsageError(f"{named}: it begins with `version: 1`", hint=_HINT)
    for key, value in told.items():
        if key not in _KEYS:
            raise _refused(named, source, (key,), f'"{key}" is none of {", ".join(_KEYS[1:])}')
        form = _FORMS.get(key, True)
        error = next(iter(validator(form).iter_errors(value)), None)
        if error is not None:
            path = (key, *error.instance_path)
            place = ".".join(map(str, path))
            raise _refused(named, source, path, f'"{place}": {error.message[:_SHOWN]}; {_WORDS[key]}')
        _require_schemas(named, source, key, value)
    try:
        compact(told)
    except (ValueError, TypeError, WireError):
        raise UsageError(f"{named}: it is no exact JSON", hint=_HINT) from None
    return Expectations(told, named, source)


def _require_schemas(named: str, source: Source | None, key: str, value: Any) -> None:
    schemas: list[tuple[tuple[str, ...], Json]] = [((key,), value)] if key == "result_schema" else []
    if key == "each":
        schemas += [((key, agent), one["inputs_schema"]) for agent, one in value.items() if "inputs_schema" in one]
    for path, schema in schemas:
        try:
            validator(schema)
        except SchemaRefused as error:
            raise _refused(named, source, path, f'"{".".join(path)}" is {error}') from None


def _refused(named: str, source: Source | None, path: tuple[Any, ...], message: str) -> UsageError:
    if source is None:
        return UsageError(f"{named}: {message}", hint=_HINT)
    place = source.place(path)
    return PolicyError(message, file=place.file, line=place.line, hint=_HINT)


_COUNT = {"type": "integer", "minimum": 0}
_NAMES = {"type": "array", "items": {"type": "string"}, "minItems": 1}


def _closed(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "additionalProperties": False, "minProperties": 1}


_FORMS: dict[str, Json] = {
    "state": {"enum": [str(state) for state in _STATES]},
    "error": _closed(kind={"type": "string"}, message={"type": "string"}, line=_COUNT),
    "spawns": {"type": "object", "additionalProperties": {"anyOf": [_COUNT, _closed(at_least=_COUNT, at_most=_COUNT)]}},
    "order": _NAMES,
    "never": {"type": "array", "minItems": 1, "items": {"anyOf": [
        {"type": "string"},
        {"type": "object", "properties": {"agent": {"type": "string"}, "inputs": True}, "required": ["agent"],
         "additionalProperties": False},
    ]}},
    "each": {"type": "object", "additionalProperties": _closed(
        inputs_schema={"type": ["object", "boolean"]}, scopes={"type": "array", "items": {"type": "string"}})},
    "max_virtual_seconds": {"type": "number", "minimum": 0},
    "parallel_at_least": {"type": "integer", "minimum": 1},
    "result_schema": {"type": ["object", "boolean"]},
}  # fmt: skip
_WORDS: dict[str, str] = {
    "state": "it is a state in which a script ends",
    "error": "it has kind, message or line",
    "spawns": "each agent has a number, or at_least and at_most",
    "order": 'it is a list of agents and labels, or of "one before another"',
    "never": "it is a list of agents, or of {agent, inputs}",
    "each": "each agent has inputs_schema or scopes",
    "max_virtual_seconds": "it is a number of seconds",
    "parallel_at_least": "it is a number from 1",
    "result_schema": "it is a JSON Schema",
}


# --- words ---------------------------------------------------------------------------------------


def _short(value: Json) -> str:
    text = compact(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _range(least: int, most: int | None) -> str:
    if least == most:
        return str(least)
    return f"at least {least}" if most is None else f"at most {most}" if not least else f"{least} to {most}"


def _scopes(scopes: tuple[str, ...] | None) -> str:
    return "the agent's default scopes" if scopes is None else f"scopes {', '.join(sorted(scopes)) or 'none'}"


def _is_named(one: Spawned, name: str) -> bool:
    return name in (one.agent, one.label)


def _where(report: RehearsalReport) -> str:
    line = report.stopped_at or (report.error.line if report.error is not None else 0)
    return f"line {line}" if line else ""


def _lines_of(spawns: list[Spawned]) -> str:
    found = sorted({one.line for one in spawns})
    return f"line{'s' if len(found) > 1 else ''} {', '.join(map(str, found[:8]))}" if found else ""


def _refusal(schema: Json, value: Json) -> str:
    error = next(iter(validator(schema).iter_errors(value)), None)
    if error is None:
        return ""
    place = "".join(f"/{part}" for part in error.instance_path)
    return (f'at "{place}": ' if place else "") + str(error.message)[:_SHOWN]
