"""The modules that a script can import, each as an explicit list of names.

A facade is an object of its own: the real module is not reachable from it, so what the real one happens to import
(`json.codecs`, `random._os`) is not either.

Not here: where the names come from (one module per idea beside this one).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from runner.guest.dialect.remarks import NAME_ADVICE


class Module:
    """What `import x` gives a script: readable names, nothing else."""

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        # The values stand in the instance's own dict, where the interpreter finds them as fast as any attribute.
        self.__dict__.update(values)
        self.__dict__["_name_"] = name

    def __getattr__(self, name: str) -> NoReturn:
        module = self.__dict__["_name_"]
        advice = NAME_ADVICE.get(f"{module}.{name}")
        raise AttributeError(f"module '{module}' has no attribute '{name}' here" + (f": {advice}" if advice else ""))

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError("a module cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a module cannot be changed")

    def __repr__(self) -> str:
        return f"<module '{self.__dict__['_name_']}'>"
