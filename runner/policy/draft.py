"""Write a starting policy: YAML with a remark wherever a person should look before a script runs under it.

What is known of the agents came from code or from a server. It is data here: dumped, never pasted; only remarks of our
own stand in comments. Whatever nothing was said of gets the value that assumes the worst.

No I/O. Not here: asking code and servers (engine.drafting).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from runner.models import Json
from runner.printable import HIDDEN, clean

_MOST_NAME_CHARS = 64
_MOST_DESCRIPTION_CHARS = 2_000
_TEXTS = ("title", "description", "$comment")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_DATA = ("const", "enum", "default", "examples")

HEAD = """\
# What scripts may do here; a starting point, written by `runner policy init`. Read each remark before a script runs.
# `runner policy check FILE` reads it as a run would; `runner policy lock FILE` holds the agents to what they are today.
version: 1

limits:
  wall: 5m            # of the whole run
  spawns: 100         # how many agents a script may ask for
  parallel: 10        # how many of them run at once

# process: the best sandbox that this machine has. docker: nothing less will do.
sandbox: process

agents:
"""
_LEFT_OUT = "cannot be named here, for a name that is empty, longer than 200 characters or no text: left out"
UNKNOWN_EFFECTS = "nothing said otherwise; none, read or write, if you know that it can be undone"


@dataclass(frozen=True, slots=True)
class Draft:
    """One agent, as far as it is known."""

    name: str
    description: str
    backend: Mapping[str, Json]
    """The one key of its backend, and what stands under it."""
    input: Json
    output: Json
    effects: str = "irreversible"
    idempotent: bool | None = None
    trusted: bool = True
    isolation: str = ""
    """Where it runs, if not where its backend's agents run unless a policy says so."""
    remarks: Mapping[str, str] = field(default_factory=dict)
    """Key of its entry → what a person should look at there."""


def policy_text(drafts: Iterable[Draft], *, left_out: int = 0) -> str:
    """Return the YAML of a policy with these agents. Their names are each another's.

    `left_out` is how many tools of the server are not among them.
    """
    remark = f"  # {left_out:,} more of its tools {_LEFT_OUT}\n\n" if left_out else ""
    return HEAD + remark + "\n".join(_agent_text(draft) for draft in drafts)


def _agent_text(draft: Draft) -> str:
    remarks = {"effects": UNKNOWN_EFFECTS, **draft.remarks}
    entry: dict[str, Json] = {"description": draft.description, **draft.backend}
    if draft.isolation:
        entry["isolation"] = draft.isolation
    entry |= {"input": draft.input, "output": draft.output, "effects": draft.effects}
    if draft.idempotent is not None:
        entry["idempotent"] = draft.idempotent
    if not draft.trusted:
        entry["trusted"] = False
    entry |= {"timeout": "60s", "retries": 2}
    remarks |= {
        "timeout": remarks.get("timeout", "of one attempt"),
        "retries": remarks.get("retries", "further attempts that a script may ask for"),
    }
    lines = [f"  {_dumped(draft.name).strip()}:"]
    for key, value in entry.items():
        lines += _entry_lines(key, value, remarks.get(key, ""))
    return "\n".join(lines) + "\n"


def _entry_lines(key: str, value: Json, remark: str) -> list[str]:
    lines = _dumped({key: value}).rstrip("\n").splitlines()
    if not remark:
        return [f"    {line}" for line in lines]
    if len(lines) == 1 and len(lines[0]) + len(remark) < 100:
        return [f"    {lines[0]}  # {remark}"]
    return [f"    # {remark}", *(f"    {line}" for line in lines)]


def _dumped(value: Json) -> str:
    # A copy without shared parts, which would be written as anchors; what a terminal would act on is escaped.
    whole = json.dumps(value, ensure_ascii=False)
    text: str = yaml.safe_dump(
        json.loads(whole), sort_keys=False, allow_unicode=HIDDEN.search(whole) is None, width=100,
    )  # fmt: skip
    # A scalar of its own ends in a marker.
    return text.removesuffix("...\n")


# --- what others said ------------------------------------------------------------------------


def agent_name(said: str, taken: Iterable[str]) -> str:
    """Return a name that a policy may use, like what was said, and none of those that are taken."""
    base = re.sub(r"[^A-Za-z0-9_.-]+", "_", said).lstrip("_.-")[:_MOST_NAME_CHARS] or "agent"
    name, number, used = base, 1, set(taken)
    while name in used:
        number += 1
        name = f"{base[: _MOST_NAME_CHARS - 8]}_{number}"
    return name


def description_of(said: str, otherwise: str) -> str:
    """Return a description on one line, `otherwise` where nothing was said."""
    return clean(said.strip(), limit=_MOST_DESCRIPTION_CHARS).strip() or otherwise


def plain_schema(schema: Json) -> Json:
    """Return a schema without titles, which say a name again, its texts without what a terminal would act on."""
    if isinstance(schema, list):
        return [plain_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _TEXTS and isinstance(value, str):
            if key == "description":
                found[key] = clean(value, limit=_MOST_DESCRIPTION_CHARS)
        elif key in _NAMED and isinstance(value, dict):
            found[key] = {name: plain_schema(part) for name, part in value.items()}
        elif key not in ("$schema",):
            found[key] = value if key in _DATA else plain_schema(value)
    return found
