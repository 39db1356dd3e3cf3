"""Callers: what people already have hands a script over, and gets one answer back.

`orchestrate` is the loop *write, check, findings back, run* for any chat client. One module per library: `anthropic`,
`openai`, `langgraph`, `crewai`, `claude`. Each imports its library when something of it is made, not before.

The door of all is "library". Doors hold no rules: each of their verbs is one call of `Runner`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

_PUBLIC = {
    "Caller": "runner.integrations.core",
    "Draft": "runner.integrations.writing",
    "Orchestrated": "runner.integrations.writing",
    "orchestrate": "runner.integrations.writing",
}

if TYPE_CHECKING:
    from runner.integrations.core import Caller as Caller
    from runner.integrations.writing import Draft as Draft
    from runner.integrations.writing import Orchestrated as Orchestrated
    from runner.integrations.writing import orchestrate as orchestrate


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'runner.integrations' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
