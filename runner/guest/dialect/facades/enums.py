"""The facade over `enum`.

`Enum("X", {...})` makes a class from names that no rule has judged, so the classes here judge them themselves; in all
else they are those of the standard library. What they make carries a mark by which the guards know it as the script's.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from runner.guest.dialect.builtin_names import BASES as MIXINS
from runner.guest.dialect.names import MADE, attribute_fault, words


def _create(
    cls: Any,
    class_name: Any,
    names: Any = None,
    *,
    module: Any = None,
    qualname: Any = None,
    type: Any = None,
    start: Any = 1,
    boundary: Any = None,
) -> Any:
    """Stand for `EnumMeta._create_`: make an enumeration from names that the dialect lets a class body bind."""
    if names is None:
        raise TypeError(f"{cls.__name__}() needs the names of its members")
    if type is not None and type not in MIXINS:
        raise TypeError("type= takes a built-in type")
    create: Any = vars(enum.EnumMeta)["_create_"]
    made = create(
        cls, _judged(class_name), _members(names), module="__main__", type=type, start=start, boundary=boundary
    )
    enum.EnumMeta.__setattr__(made, MADE, True)
    return made


def _members(names: Any) -> list[Any]:
    if isinstance(names, str):
        names = names.replace(",", " ").split()
    if isinstance(names, Mapping):
        return [(_judged(name), names[name]) for name in names]
    return [_judged(one) if isinstance(one, str) else _pair(*one) for one in names]


def _pair(name: Any, value: Any) -> tuple[str, Any]:
    return _judged(name), value


def _judged(name: Any) -> str:
    if type(name) is not str or not name.isidentifier() or name.startswith("__") or attribute_fault(name) is not None:
        raise ValueError(f"{name!r} cannot be the name of an enumeration or of its member")
    return name


def _judging(base: type) -> Any:
    made: Any = enum.EnumMeta(base.__name__, (base,), enum.EnumMeta.__prepare__(base.__name__, (base,)))
    made.__module__ = base.__module__
    # EnumMeta.__call__ looks this up on the class, where it comes before the metaclass's own.
    type.__setattr__(made, "_create_", classmethod(_create))
    return made


BASES: dict[str, Any] = {
    base.__name__: _judging(base) for base in (enum.Enum, enum.IntEnum, enum.StrEnum, enum.Flag, enum.IntFlag)
}


def enum_module() -> dict[str, Any]:
    """Return the names of `enum`."""
    others = words("auto unique KEEP CONFORM EJECT STRICT member nonmember verify UNIQUE")
    return {**BASES, **{name: getattr(enum, name) for name in others}}
