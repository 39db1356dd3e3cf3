"""runner: run a Python script that a model wrote so that a person can trust it.

The public names load on first use: a guest imports `runner.guest` from its bundle, and must not
import the host with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

_PUBLIC = {
    "Handed": "runner.engine.submission",
    "Reuse": "runner.engine.submission",
    "Runner": "runner.engine",
    "Script": "runner.models",
    "Limits": "runner.models",
    "RunResult": "runner.models",
    "RunnerError": "runner.errors",
    "load_policy": "runner.policy",
}

if TYPE_CHECKING:
    from runner.engine import Runner as Runner
    from runner.engine.submission import Handed as Handed
    from runner.engine.submission import Reuse as Reuse
    from runner.errors import RunnerError as RunnerError
    from runner.models import Limits as Limits
    from runner.models import RunResult as RunResult
    from runner.models import Script as Script
    from runner.policy import load_policy as load_policy


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'runner' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
