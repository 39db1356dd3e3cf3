"""The facade over `enum`.

`Enum("X", {...})` would make a class whose methods no rule has judged, so the classes here make members by class
statement only; in all else they are those of the standard library.
"""

from __future__ import annotations

import enum
from typing import Any, NoReturn

from runner.guest.dialect.names import words


def _refuse(cls: type, *_args: Any, **_options: Any) -> NoReturn:
    raise TypeError(f"{cls.__name__}() looks a member up here; write a class statement to make an enumeration")


def _without_functional_form(base: type) -> Any:
    made: Any = enum.EnumMeta(base.__name__, (base,), enum.EnumMeta.__prepare__(base.__name__, (base,)))
    made.__module__ = base.__module__
    # EnumMeta.__call__ looks this up on the class, where it comes before the metaclass's own.
    type.__setattr__(made, "_create_", classmethod(_refuse))
    return made


BASES: dict[str, Any] = {
    base.__name__: _without_functional_form(base)
    for base in (enum.Enum, enum.IntEnum, enum.StrEnum, enum.Flag, enum.IntFlag)
}


def enum_module() -> dict[str, Any]:
    """Return the names of `enum`."""
    others = words("auto unique KEEP CONFORM EJECT STRICT member nonmember verify UNIQUE")
    return {**BASES, **{name: getattr(enum, name) for name in others}}
