"""Values that stand at several places of a policy file: scopes, durations, and what is kept elsewhere.

A message of a ValueError here says what is allowed; after a line feed may follow the fix.
"""

from __future__ import annotations

import keyword
import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from runner.models import Json
from runner.policy.model import Reference
from runner.policy.references import VARIABLE, parse_reference
from runner.policy.units import DURATION_HELP, seconds_of

# RFC 6749 section 3.3: printable ASCII without space, quote and backslash.
SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")

_DOTTED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")

DURATION_SCHEMA = {
    "description": DURATION_HELP,
    "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": r"^[0-9.]+ ?(ms|s|m|h)?$"}],
}
VALUE_SCHEMA = {
    "description": "a text, env:NAME, file:PATH, or {command: [program, ...]}",
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"command": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
            "required": ["command"],
            "additionalProperties": False,
        },
    ],
}


def scope(value: Json) -> str:
    if not isinstance(value, str) or not SCOPE_TOKEN.fullmatch(value):
        raise ValueError("a scope token of RFC 6749: printable ASCII without space, quote and backslash")
    return value


def argv(value: Json) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(part, str) and part for part in value):
        hint = f"write [{', '.join(value.split())}]" if isinstance(value, str) and value.strip() else ""
        raise ValueError("a list of texts: the program, then its arguments" + (f"\n{hint}" if hint else ""))
    if any("\0" in part for part in value):
        raise ValueError("texts without a NUL character")
    if any(part.startswith(("env:", "file:")) for part in value):
        # Every process of the machine can read a command line.
        raise ValueError(
            'texts as they are; no "env:" and no "file:"\nput the value under `env:`, and have the program read it'
        )
    return value


def kept_elsewhere(value: Json) -> str | Reference:
    allowed = 'a text, "env:NAME", "file:PATH", or {command: [program, ...]}'
    if isinstance(value, dict):
        if set(value) != {"command"}:
            raise ValueError(allowed)
        return Reference("command", tuple(argv(value["command"])))
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"{allowed}\nput it in quotes" if isinstance(value, (int, float)) else allowed)
    try:
        return parse_reference(value) or value
    except ValueError as error:
        raise ValueError(f"{allowed}\nwrite {error}") from None


def import_path(value: Json) -> str:
    allowed = '"module:function", such as "agents:research"'
    if not isinstance(value, str):
        raise ValueError(allowed)
    module, colon, function = value.partition(":")
    if not (colon and _DOTTED.fullmatch(module) and _DOTTED.fullmatch(function)):
        fixed = ":".join(value.rsplit(".", 1)) if not colon and _DOTTED.fullmatch(value) and "." in value else ""
        raise ValueError(f'{allowed}\nwrite "{fixed}"' if fixed else allowed)
    if any(keyword.iskeyword(part) for part in [*module.split("."), *function.split(".")]):
        raise ValueError(f"{allowed}; a part is a keyword of Python")
    return value


def variable(value: str) -> str:
    if not VARIABLE.fullmatch(value):
        raise ValueError("letters, digits and underscores")
    if value == "HOME":
        raise ValueError("others; HOME is a fresh folder for each attempt")
    if value in ("RUNNER_GATEWAY", "RUNNER_GATEWAY_KEY") or value.startswith("RUNNER_TOKEN_"):
        raise ValueError("others; runner says there how the gateway is reached")
    return value


Duration = Annotated[float, BeforeValidator(seconds_of), WithJsonSchema(DURATION_SCHEMA)]
Scope = Annotated[
    str, BeforeValidator(scope), WithJsonSchema({"type": "string", "pattern": f"^{SCOPE_TOKEN.pattern}$"})
]
Argv = Annotated[list[str], BeforeValidator(argv), WithJsonSchema({"type": "array", "items": {"type": "string"}})]
VariableName = Annotated[str, BeforeValidator(variable)]
