"""Make the classes of a script: which bases they may have, and what their instances print and hash to by default.

CPython's default hash and repr come from the memory address, so sets and logs would differ from run to run. Classes
here derive, last of all, from `ScriptObject`, which numbers instances in the order in which they are first hashed.

Not here: which methods a class may define (rules).
"""

from __future__ import annotations

import abc
import builtins
import enum
import types
import typing
from collections.abc import Callable
from types import resolve_bases
from typing import Any

from runner.guest.dialect.fatal import FATAL
from runner.guest.dialect.guards import Registry
from runner.guest.dialect.names import MADE

# Where an instance keeps its number. Names of this form are refused to scripts, and `vars` leaves it out.
HASH_KEY = "_hash_"
_SMALL_PRIME = 1_000_003
_BY_ADDRESS: tuple[Any, ...] = (object.__hash__, type.__hash__)


class Numbers:
    """Number objects in the order of first asking. It keeps them alive: an address that is free again must not be
    mistaken for the object that had it."""

    __slots__ = ("_count", "_kept")

    def __init__(self) -> None:
        self._count = 0
        self._kept: dict[int, tuple[object, int]] = {}

    def next(self) -> int:
        self._count += 1
        # Spread over the slots of a set, as addresses are.
        return self._count * _SMALL_PRIME

    def of(self, o: object) -> int:
        found = self._kept.get(builtins.id(o))
        if found is None:
            found = self._kept[builtins.id(o)] = (o, self.next())
        return found[1]

    def hash_of(self, o: Any) -> int:
        """Return `hash(o)`, made of numbers where CPython would make it of addresses."""
        kind = type(o)
        if kind is tuple and any(self._is_by_address(one) for one in o):
            return builtins.hash(tuple(self.hash_of(one) for one in o))
        if kind is types.MethodType:
            return builtins.hash((self.of(o.__self__), self.of(o.__func__)))
        if kind is types.BuiltinFunctionType:
            return builtins.hash((self.of(o.__self__), o.__name__))
        return self.of(o) if self._is_by_address(o) else builtins.hash(o)

    def _is_by_address(self, o: Any) -> bool:
        kind = type(o)
        if kind is tuple:
            return any(self._is_by_address(one) for one in o)
        return kind.__hash__ in _BY_ADDRESS or kind in (types.MethodType, types.BuiltinFunctionType)


def make_script_object(numbers: Numbers) -> type:
    """Return the last base of every class of one run."""

    class ScriptObject:
        __slots__ = ()

        def __hash__(self) -> int:
            try:
                return self.__dict__[HASH_KEY]  # type: ignore[no-any-return]
            except (KeyError, AttributeError):
                return _numbered(self)

        def __repr__(self) -> str:
            return f"<{type(self).__module__}.{type(self).__qualname__} object>"

    def _numbered(o: object) -> int:
        try:
            number = o.__dict__[HASH_KEY] = numbers.next()
        except AttributeError:  # its class has slots
            return numbers.of(o)
        return number

    return ScriptObject


class TypedDictMeta(type):
    """Calling a TypedDict makes a plain dict, as in `typing`."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is TypedDict:
            return _typed_dict(*args, **kwargs)
        return dict(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        raise TypeError("TypedDict does not support instance checks")


class TypedDict(dict, metaclass=TypedDictMeta):  # type: ignore[type-arg]
    """The base of a script's own TypedDicts."""


def _typed_dict(name: str, fields: Any = (), /, *, total: bool = True) -> type:
    """Do what `TypedDict("X", {...})` does, less the fields: nothing reads them."""
    if type(name) is not str:
        raise TypeError("the name of a TypedDict is a string")
    return TypedDictMeta(name, (TypedDict,), {"__module__": "__main__", MADE: True})


# `typing.NamedTuple` is a function that stands for this class in a list of bases.
NAMED_TUPLE: type = typing.NamedTuple.__mro_entries__((typing.NamedTuple,))[0]  # type: ignore[attr-defined]


class NamedTupleBase:
    """What `class P(NamedTuple)` and `NamedTuple("P", [...])` name."""

    __slots__ = ("_registry",)

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (NAMED_TUPLE,)

    def __call__(self, typename: str, fields: Any = ()) -> type:
        made = typing.NamedTuple(typename, [(str(name), object) for name, _ in fields])  # type: ignore[misc]
        self._registry.own(made)
        return made

    def __repr__(self) -> str:
        return "<function NamedTuple>"


def class_builder(registry: Registry, script_object: type) -> Callable[..., Any]:
    """Return the `__build_class__` of a run."""

    def build_class(body: Callable[..., Any], name: str, *bases: Any, **keywords: Any) -> Any:
        if keywords:
            raise TypeError("a class takes no keywords here")
        resolved = [base for base in resolve_bases(bases) if base is not object]
        for base in resolved:
            if not may_derive(base):
                raise TypeError(f'class "{name}" cannot derive from "{getattr(base, "__name__", base)}"')
        if _hashes_by_address(resolved):
            resolved.append(script_object)
        registry.building += 1
        try:
            cls = builtins.__build_class__(body, name, *resolved)
        finally:
            registry.building -= 1
        registry.own(cls)
        _keep_what_other_bases_say(cls, script_object)
        return cls

    def may_derive(base: Any) -> bool:
        if not isinstance(base, type) or issubclass(base, FATAL):
            return False
        return base in registry.open or base in registry.bases or issubclass(base, Exception) or registry.adopt(base)

    return build_class


def _hashes_by_address(bases: list[type]) -> bool:
    default: Any = object.__hash__
    return all(base.__hash__ is default and type(base) in (type, abc.ABCMeta) for base in bases)


def _keep_what_other_bases_say(cls: type, script_object: type) -> None:
    """Prefer the repr and hash of a built-in base, as if `ScriptObject` stood behind it."""
    for name in ("__repr__", "__hash__"):
        default = script_object.__dict__[name]
        if getattr(cls, name) is not default:
            continue
        for place in cls.__mro__:
            if place not in (object, script_object) and name in place.__dict__:
                setattr(cls, name, place.__dict__[name])
                break
    if isinstance(cls, enum.EnumMeta) and cls.__dict__.get("_value_repr_") is script_object.__dict__["__repr__"]:
        cls._value_repr_ = None  # type: ignore[attr-defined]


def make_type(registry: Registry) -> tuple[type, Callable[[Any], Any]]:
    """Return the `type` of a script, which only asks and never makes a class, and the function behind it."""

    class TypeMeta(type):
        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            if len(args) != 1 or kwargs:
                raise TypeError("type() takes one argument here; write a class statement")
            return kind_of(args[0])

        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, builtins.type)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, builtins.type)

        def __repr__(cls) -> str:
            return "<class 'type'>"

    made = TypeMeta("type", (), {"__slots__": (), "__module__": "builtins", "__class_getitem__": _any_item})
    registry.known.add(made)

    def kind_of(value: Any) -> Any:
        kind = builtins.type(value)
        return made if issubclass(kind, builtins.type) else kind

    return made, kind_of


def _any_item(*_: Any) -> Any:
    return typing.Any
