"""How the API's functions may be called, read off the functions themselves."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from runner.guest.api import FUNCTIONS

API_NAMES = frozenset(FUNCTIONS) | {"limits", "inputs"}
"""The names that a script finds in place, and may not bind anew."""

HIDING = ("spawn", "gather", "as_completed")
"""A parameter or local of such a name would hide what the check reads."""


@dataclass(frozen=True, slots=True)
class CallShape:
    """What a function takes: the names of its positional parameters, those without a default, its keywords."""

    positional: tuple[str, ...]
    required: tuple[str, ...]
    keywords: tuple[str, ...]
    any_positional: bool
    any_keyword: bool


def _shape(function: object) -> CallShape:
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return CallShape(
        positional=tuple(p.name for p in positional),
        required=tuple(p.name for p in positional if p.default is p.empty),
        keywords=tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)),
        any_positional=any(p.kind is p.VAR_POSITIONAL for p in parameters),
        any_keyword=any(p.kind is p.VAR_KEYWORD for p in parameters),
    )


SHAPES = {name: _shape(FUNCTIONS[name]) for name in (*HIDING, "sleep", "log")}
