"""Decide at run time what a script may read from an object and write to it.

An object is readable when its type is one of the script's own, of the built-in values, or of the facades; everything
else, a module above all, refuses. Some public attributes are never handed out as they are: `str.format`, the clock of
`datetime`, what leads from an exception to the object that it is about. Whatever an attribute yields is
checked as well: a module, frame, code or traceback never passes.

Writing is for instances, classes and functions of the script.

Not here: the names that are refused on every object (names), items and iteration (not guarded: see rewrite).
"""

from __future__ import annotations

import abc
import datetime
import decimal
import enum
import functools
import threading
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.guest.dialect.composing import without_str_join
from runner.guest.dialect.fatal import close
from runner.guest.dialect.names import MADE, METHOD_DUNDERS, READABLE_DUNDERS, WATCHED, attribute_fault
from runner.guest.dialect.text import safe_format, safe_format_map, without_addresses

FILENAME = "<script>"

# The text of a lock (that of a `cached_property`, before Python 3.12) tells the address of its thread.
_LOCK = type(threading.RLock())
FORBIDDEN = (types.ModuleType, types.FrameType, types.CodeType, types.TracebackType, types.CellType, _LOCK)
_START_OF_SUPER: Callable[[Any], Any] = super.__dict__["__thisclass__"].__get__
_TEXTS = frozenset({"__repr__", "__str__", "__format__", "__mod__", "__rmod__"})
# Called again, they change what cannot be changed otherwise: a module, a property of a class that is not the script's.
_BEGINNINGS = frozenset({"__init__", "__post_init__"})
_OF_RECORDS = frozenset({"_replace", "_asdict", "_fields", "_field_defaults", "_make"})
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)

_VALUES: tuple[type, ...] = (
    object, str, bytes, bytearray, int, float, complex, bool, list, tuple, dict, set, frozenset, range, slice,
    type(None), type(Ellipsis), type(NotImplemented),
)  # fmt: skip

# Types without a name of their own that a script meets; public attributes of all of them lead nowhere.
# types.GenericAlias is not one of them: it answers with the attributes of whatever it was made for.
_MET: tuple[type, ...] = (
    types.GeneratorType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.MappingProxyType,
    types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType, types.ClassMethodDescriptorType,
    types.UnionType, property, classmethod, staticmethod, super, enumerate, zip, map, filter,
    reversed, type({}.keys()), type({}.values()), type({}.items()), type(iter([])), type(iter({})), type(iter(())),
    type(iter("")), type(iter(set())), type(iter(range(0))), type(iter({}.values())), type(iter({}.items())),
)  # fmt: skip


@dataclass(slots=True)
class Registry:
    """Which types one run knows. `open` and `readable` are tested by the code of the script itself."""

    open: set[type] = field(default_factory=set)
    """Classes of the script: their instances may be read and written."""
    readable: set[type] = field(default_factory=lambda: set(_VALUES))
    """Types whose public attributes need no guard, but for the watched names."""
    known: set[type] = field(default_factory=lambda: {*_VALUES, *_MET})
    """Types that may be read through the guard."""
    bases: set[type] = field(default_factory=set)
    """Classes that a script may derive from, besides its own."""
    records: set[type] = field(default_factory=set)
    """Named tuples of the facades, whose `_replace` and its like a script may use."""
    building: int = 0
    """How many class statements are under way: members of an Enum exist before their class statement ends."""

    def own(self, cls: type) -> None:
        """Count a class as one of the script."""
        self.open.add(cls)
        self.readable.add(cls)
        self.known.add(cls)

    def adopt(self, kind: type) -> bool:
        """Count the Enum that is being built, or what a facade made, as the script's; return whether it was one."""
        built = self.building > 0 and isinstance(kind, enum.EnumMeta) and kind.__module__ == "__main__"
        mine = built or (isinstance(kind, type) and MADE in kind.__dict__)
        if mine and kind not in self.known:
            self.own(kind)
        return mine


@dataclass(frozen=True, slots=True)
class Guards:
    """The guards of one run, as the script's code and its builtins call them."""

    read: Callable[[Any, str], Any]
    write: Callable[[Any, str], Any]
    pattern: Callable[[Any, tuple[str, ...]], Any]


def make_guards(
    registry: Registry,
    *,
    kind_of: Callable[[Any], Any],
    dates: Mapping[tuple[type, str], Callable[..., Any]],
    own_globals: dict[str, Any],
    hash_of: Callable[[Any], int],
) -> Guards:
    """Return the guards over a registry.

    `kind_of` is the script's `type`, `hash_of` its `hash`; `dates` says what a class of datetime answers for the names
    that read the clock.
    """
    own, known, metaclasses = registry.open, registry.known, (type, enum.EnumMeta, abc.ABCMeta)

    def read(o: Any, name: str) -> Any:
        kind = type(o)
        if name[0] != "_" and name not in WATCHED and (kind in own or (kind in metaclasses and o in own)):
            return getattr(o, name)
        if type(name) is not str:
            raise TypeError("attribute name must be a string")
        fault = attribute_fault(name)
        if fault is not None:
            raise AttributeError(f'attribute "{name}" is not offered to scripts')
        if isinstance(o, FORBIDDEN) or not is_known(o, kind):
            raise AttributeError(f'attributes of a "{kind.__name__}" are not offered to scripts')
        if kind is types.MethodType and name[0] != "_":
            return read(o.__func__, name)  # where it would look itself, past the guard
        if kind is types.GeneratorType and name == "close":
            return functools.partial(close, o)
        if name[0] == "_" and name != "_":
            value = read_dunder(o, kind, name) if name in READABLE_DUNDERS else read_private(o, kind, name)
        elif name in WATCHED:
            value = read_watched(o, name)
        else:
            value = getattr(o, name)
        if isinstance(value, FORBIDDEN):
            raise AttributeError(f'attribute "{name}" of a "{kind.__name__}" is not offered to scripts')
        return value

    def is_known(o: Any, kind: type) -> bool:
        if kind is super:
            # Above a class that is not the script's stands what that class hides, such as its clock.
            start = _START_OF_SUPER(o)
            return start in own or registry.adopt(start)
        if kind in known or isinstance(o, BaseException):
            return True
        if isinstance(o, type):
            return o in known or issubclass(o, BaseException) or registry.adopt(o)
        return registry.adopt(kind)

    def read_watched(o: Any, name: str) -> Any:
        """What the attribute yields decides: methods, copies and the like carry it under other objects."""
        if name == "obj" and (isinstance(o, BaseException) or type(o) is super):
            raise AttributeError('attribute "obj" of an exception is not offered to scripts')
        value = getattr(o, name)
        if name in ("format", "format_map"):
            return _without_str_format(value, read)
        if name == "join":
            return without_str_join(value)
        if _is_of_metaclass(value, name):
            raise AttributeError(f'attribute "{name}" of a class is not offered to scripts')
        day = _day_behind(value)
        if day is None or (day, name) not in dates:
            return value
        if isinstance(value, types.ClassMethodDescriptorType):
            raise AttributeError(f'attribute "{name}" of a class is not offered to scripts')
        return dates[day, name]

    def read_dunder(o: Any, kind: type, name: str) -> Any:
        if name == "__class__":
            return kind_of(o)
        if name in ("__name__", "__qualname__", "__module__", "__doc__"):
            return _described(o, name)
        if name in ("__cause__", "__context__") and isinstance(o, BaseException):
            return getattr(o, name)
        if name == "__members__" and isinstance(o, enum.EnumMeta):
            return o.__members__
        if name == "__setattr__" and o is object:
            return set_anyway
        if name in _BEGINNINGS and not (kind in own or kind is super or isinstance(o, Exception) or is_base(o)):
            raise AttributeError(f'attribute "{name}" of a "{kind.__name__}" is not offered to scripts')
        if name in METHOD_DUNDERS and (kind is super or not isinstance(o, (*_FUNCTIONS, type)) or is_base(o)):
            return _without_addresses(getattr(o, name), name, hash_of)
        raise AttributeError(f'attribute "{name}" of a "{kind.__name__}" is not offered to scripts')

    def is_base(o: Any) -> bool:
        return isinstance(o, type) and (o in own or o in registry.bases or issubclass(o, Exception))

    def read_private(o: Any, kind: type, name: str) -> Any:
        """Read `_name`: only what the script itself has put there, or what every named tuple has."""
        places = o.__mro__ if isinstance(o, type) else kind.__mro__
        if isinstance(o, types.FunctionType) or (kind in own and name in getattr(o, "__dict__", ())):
            return getattr(o, name)
        if name in _OF_RECORDS and (kind in registry.records or (isinstance(o, type) and o in registry.records)):
            return getattr(o, name)
        for place in places:
            if name in place.__dict__ and place in own and (kind in own or o in own):
                return getattr(o, name)
        if kind is super:
            return getattr(o, name)
        raise AttributeError(f"'{kind.__name__}' object has no attribute '{name}'")

    def write(o: Any, name: str) -> Any:
        kind = type(o)
        if type(name) is not str:
            raise TypeError("attribute name must be a string")
        if attribute_fault(name) is not None or name.startswith("__"):
            raise AttributeError(f'attribute "{name}" is not offered to scripts')
        if kind in own or (isinstance(o, type) and o in own) or registry.adopt(kind):
            return o
        if kind is types.FunctionType and o.__code__.co_filename == FILENAME and o.__globals__ is own_globals:
            return o
        if isinstance(o, Exception) and not name.startswith("_"):
            return o
        if kind is decimal.Context and name in ("prec", "rounding", "Emin", "Emax", "capitals", "clamp"):
            return o
        what = f'class "{o.__name__}"' if isinstance(o, type) else f'a "{kind.__name__}"'
        raise AttributeError(f'a script cannot set attribute "{name}" of {what}')

    def set_anyway(o: Any, name: str, value: Any) -> None:
        """What `object.__setattr__` does for a script: it fills the fields of a frozen dataclass."""
        object.__setattr__(write(o, name), name, value)

    def pattern(cls: Any, attributes: tuple[str, ...]) -> Any:
        if isinstance(cls, type) and (cls in own or registry.adopt(cls)):
            return _with_plain_match_args(cls)
        if isinstance(cls, type) and not attributes and cls in registry.readable:
            return cls
        if isinstance(cls, type) and (issubclass(cls, Exception) or cls in registry.records):
            return cls
        if isinstance(cls, type) and cls in known and not attributes:
            return _without_match_args(cls)
        raise TypeError(f'a pattern cannot read attributes of "{getattr(cls, "__name__", cls)}"')

    return Guards(read, write, pattern)


def _is_of_metaclass(value: Any, name: str) -> bool:
    """Whether this is the method of `type` or ABCMeta rather than what a class itself has."""
    if name == "mro":
        return isinstance(value, types.BuiltinMethodType) and isinstance(value.__self__, type)
    return isinstance(value, types.MethodType) and value.__func__ is abc.ABCMeta.register


def _without_addresses(method: Any, name: str, hash_of: Callable[[Any], int]) -> Any:
    """Return the method, or what stands in for it where its answer could tell an address."""
    if name == "__hash__" and getattr(method, "__objclass__", None) is object:
        return (lambda: hash_of(method.__self__)) if hasattr(method, "__self__") else lambda o: hash_of(o)
    if name not in _TEXTS:
        return method

    def told(*args: Any) -> Any:
        made = method(*args)
        return without_addresses(made) if type(made) is str else made

    return told


def _day_behind(value: Any) -> type | None:
    """Return `datetime`, `date` or None: the class whose class method this is, bound or not."""
    if isinstance(value, types.BuiltinMethodType):
        cls = value.__self__
    elif isinstance(value, types.ClassMethodDescriptorType):
        cls = value.__objclass__
    else:
        return None
    if not isinstance(cls, type) or not issubclass(cls, datetime.date):
        return None
    return datetime.datetime if issubclass(cls, datetime.datetime) else datetime.date


def _described(o: Any, name: str) -> Any:
    if isinstance(o, type) or name == "__doc__" or isinstance(o, (*_FUNCTIONS, types.MethodDescriptorType)):
        value = getattr(o, name, None)
        return value if isinstance(value, str) else None
    raise AttributeError(f"'{type(o).__name__}' object has no attribute '{name}'")


def _without_str_format(found: Any, read: Callable[[Any, str], Any]) -> Any:
    """Return what was found, or what stands in for `str.format` and `str.format_map`, however they were reached."""
    for name, make in (("format", safe_format), ("format_map", safe_format_map)):
        if isinstance(found, types.BuiltinMethodType) and found.__name__ == name and isinstance(found.__self__, str):
            return make(found.__self__, read)
        if found is str.__dict__[name]:
            return lambda template, *args, _make=make, **kwargs: _make(_text(template), read)(*args, **kwargs)
    return found


def _text(template: Any) -> str:
    if not isinstance(template, str):
        raise TypeError(f"descriptor 'format' for 'str' objects doesn't apply to a '{type(template).__name__}' object")
    return template


def _with_plain_match_args(cls: type) -> type:
    """Stand behind the rules, which have judged `__match_args__`: the interpreter reads these names unguarded."""
    for name in getattr(cls, "__match_args__", ()):
        if type(name) is not str or name.startswith("__") or name in WATCHED or attribute_fault(name) is not None:
            raise TypeError(f'a pattern cannot read attributes of "{cls.__name__}"')
    return cls


def _without_match_args(cls: type) -> type:
    if getattr(cls, "__match_args__", ()):
        raise TypeError(f'a pattern cannot read attributes of "{cls.__name__}"')
    return cls
