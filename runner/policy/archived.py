"""Make a policy again from its resolved form, as a run's record holds it.

What comes out has the same digest. A variable that looked like a key is archived by its digest alone: an entry with one
is complete for a replay, and cannot be called.

Not here: reading a policy file (load), whether an archived policy may still be used (engine).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from runner.errors import RecordBroken
from runner.guest.wire import MAX_FRAME_BYTES
from runner.models import Json, Limits, digest_of
from runner.policy.backends import HOLD_A_REFERENCE, HOLD_VARIABLES
from runner.policy.lock import locked_agents
from runner.policy.model import (
    AgentEntry,
    Attached,
    Effects,
    IssuerEntry,
    Policy,
    Price,
    RateRule,
    Reference,
    Resource,
    ReviewRule,
    SandboxRule,
)
from runner.policy.paths import parse_rule

HIDDEN = "archived"
"""Kind of the reference that stands for a value of which only the digest was archived."""

_MOST = 2**53


def archived_policy(resolved: str, *, name: str, folder: str, file: str = "") -> Policy:
    """Return the policy whose resolved form this is. Raises RecordBroken: it is no such form of this version."""
    try:
        found = json.loads(resolved)
        imports = found["imports"]
        return Policy(
            name=name,
            agents={agent: _agent(agent, form) for agent, form in found["agents"].items()},
            limits=_limits(found["limits"]),
            sandbox=_sandbox(found["sandbox"]),
            imports=None if imports is None else frozenset(_texts(imports)),
            folder=Path(folder or "/"),
            resolved=resolved,
            digest=digest_of(resolved),
            file=file,
            resources={key: _resource(key, form) for key, form in found.get("resources", {}).items()},
            issuers={key: _issuer(key, form) for key, form in found.get("issuers", {}).items()},
            providers={key: _rate(form) for key, form in found.get("providers", {}).items()},
            risk=found.get("risk", {}),
            review=ReviewRule(found.get("review", "none")),
            lock=locked_agents(found["lock"]) if "lock" in found else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = f'the archived policy "{name}" cannot be read: {type(error).__name__}: {error}'
        raise RecordBroken(message, hint="it may be of a newer version of runner") from error


def hidden_values(policy: Policy) -> list[str]:
    """Return which variables of which agents cannot be had from the archive, as "agent.NAME"."""
    return [
        f"{entry.name}.{variable}"
        for entry in policy.agents.values()
        for variable, value in _variables(entry)
        if isinstance(value, Reference) and value.kind == HIDDEN
    ]


def _variables(entry: AgentEntry) -> Iterable[tuple[str, Any]]:
    for option in HOLD_VARIABLES:
        held = entry.options.get(option)
        yield from held.items() if isinstance(held, dict) else ()


def _limits(form: dict[str, Any]) -> Limits:
    limits = Limits(**_plain(Limits, form))
    numbers = [value for value in astuple(limits) if value is not None]
    if not all(0 <= value < _MOST for value in numbers) or limits.frame_bytes > MAX_FRAME_BYTES:
        raise ValueError("limits that no policy can have")
    return limits


def _sandbox(form: dict[str, Any]) -> SandboxRule:
    rule = SandboxRule(**_plain(SandboxRule, form))
    if rule.demand not in ("docker", "process"):
        raise ValueError("a sandbox that no policy can demand")
    return rule


_PLAIN = {
    "str": (str,), "bool": (bool,), "int": (int,), "float": (int, float), "float | None": (int, float, type(None)),
    "int | None": (int, type(None)),
}  # fmt: skip


def _plain(kind: type, form: dict[str, Any]) -> dict[str, Any]:
    """Return a form whose texts and numbers are what this dataclass has. Raises TypeError.

    Who wrote the record need not be runner.
    """
    for one in fields(kind):
        if one.name in form and type(form[one.name]) not in _PLAIN.get(str(one.type), (type(form[one.name]),)):
            raise TypeError(f"{one.name} is no {one.type}")
    return form


def _texts(found: Any) -> list[str]:
    if type(found) is not list or not all(type(text) is str for text in found):
        raise TypeError("texts are not texts")
    return found


def _agent(name: str, form: dict[str, Any]) -> AgentEntry:
    options = {key: _option(key, value) for key, value in form["options"].items()}
    return AgentEntry(
        **{
            **_plain(AgentEntry, form), "name": name, "options": options, "scopes": frozenset(_texts(form["scopes"])),
            "default_scopes": tuple(_texts(form["default_scopes"])), "effects": Effects(form["effects"]),
            "price": Price(**_plain(Price, form["price"])) if "price" in form else None,
            "rate": _rate(form["rate"]) if "rate" in form else None,
        }
    )  # fmt: skip


def _option(key: str, value: Json) -> Any:
    if key in HOLD_A_REFERENCE and isinstance(value, dict):
        return _reference(value)
    if key in HOLD_VARIABLES and isinstance(value, dict):
        return {name: _variable(part) for name, part in value.items()}
    return value


def _rate(form: dict[str, Any]) -> RateRule:
    return RateRule(**_plain(RateRule, form))


def _variable(part: Json) -> str | Reference:
    if isinstance(part, str):
        return part
    return Reference(HIDDEN, (part["sha256"],)) if "sha256" in part else _reference(part)


def _reference(form: dict[str, list[str]]) -> Reference:
    ((kind, target),) = form.items()
    return Reference(kind, tuple(target))


def _resource(name: str, form: dict[str, Any]) -> Resource:
    own = form["credential"]
    return Resource(
        name=name,
        url=form["url"],
        audience=form["audience"],
        scopes={scope: tuple(parse_rule(rule) for rule in rules) for scope, rules in form["scopes"].items()},
        issuer=form["issuer"],
        attached=None if own is None else Attached(own["header"], _reference(own["value"]), own["prefix"]),
        details=form["details"],
        private=tuple(_texts(form["private"])),
        ca=form["ca"],
        record=frozenset(_texts(form["record"])),
    )


def _issuer(name: str, form: dict[str, Any]) -> IssuerEntry:
    subject = form["subject"]
    return IssuerEntry(
        **{
            **_plain(IssuerEntry, form), "name": name, "credential": _reference(form["credential"]),
            "subject": None if subject is None else _reference(subject), "private": tuple(_texts(form["private"])),
        }
    )  # fmt: skip
