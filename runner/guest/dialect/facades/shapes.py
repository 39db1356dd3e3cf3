"""Facades that make classes or read attributes by name: they go past the guards and the registry of the run.

`dataclasses` and `namedtuple` write source text from the names of fields and execute it, so those names are checked
here to be plain identifiers before they get there.
"""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import functools
import inspect
import keyword
import re
import typing
from collections.abc import Callable
from typing import Any

from runner.guest.dialect.classes import NamedTupleBase, TypedDict
from runner.guest.dialect.facades.pure import SAFE_COLLECTIONS, SAFE_FUNCTIONS, SAFE_OPERATORS
from runner.guest.dialect.guards import Guards, Registry
from runner.guest.dialect.names import attribute_fault, words
from runner.guest.dialect.text import repr_of

_DATACLASS_OPTIONS = frozenset(
    {"init", "repr", "eq", "order", "unsafe_hash", "frozen", "match_args", "kw_only", "slots"}
)


def dataclasses_module(registry: Registry) -> dict[str, Any]:
    """Return the names of `dataclasses`. `make_dataclass` is left out: it takes any text as a field."""

    def dataclass(cls: Any = None, /, **options: Any) -> Any:
        unknown = sorted(set(options) - _DATACLASS_OPTIONS)
        if unknown:
            raise TypeError(f"dataclass() got an unexpected keyword argument '{unknown[0]}'")

        def decorate(cls: Any) -> Any:
            if cls not in registry.open:
                raise TypeError("dataclass() decorates a class of the script")
            for name in inspect.get_annotations(cls):
                check_field(name)
            made = dataclasses.dataclass(cls, **options)
            registry.own(made)
            return made

        return decorate if cls is None else decorate(cls)

    names = words("field fields asdict astuple replace is_dataclass InitVar KW_ONLY MISSING FrozenInstanceError Field")
    return {"dataclass": dataclass, **{name: getattr(dataclasses, name) for name in names}}


def check_field(name: Any) -> str:
    """Return the name of a field, or raise ValueError: it becomes part of source text that is executed."""
    sound = isinstance(name, str) and type(name) is str and name.isidentifier() and not keyword.iskeyword(name)
    if not sound or attribute_fault(name) is not None or name.startswith("__"):
        raise ValueError(f"{name!r} cannot be the name of a field")
    return str(name)


def collections_module(registry: Registry, abc_module: Any) -> dict[str, Any]:
    """Return the names of `collections`."""

    def namedtuple(typename: str, field_names: Any, *, rename: bool = False, defaults: Any = None) -> type:
        names = field_names.replace(",", " ").split() if type(field_names) is str else list(field_names)
        if not rename:
            names = [check_field(name) for name in names]
        elif not all(type(name) is str for name in names):
            raise TypeError("field names must be strings")
        made: type = collections.namedtuple(check_field(typename), names, rename=rename, defaults=defaults)  # type: ignore
        registry.own(made)
        return made

    return {**SAFE_COLLECTIONS, "namedtuple": namedtuple, "abc": abc_module}


def operator_module(guards: Guards) -> dict[str, Any]:
    """Return the names of `operator`; getters by name read through the guard."""

    def attrgetter(*names: str) -> Callable[[Any], Any]:
        paths = [_path(name) for name in names]

        def get(o: Any) -> Any:
            found = [functools.reduce(guards.read, path, o) for path in paths]
            return found[0] if len(found) == 1 else tuple(found)

        return get

    def methodcaller(name: str, /, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        checked = _path(name)[0]
        return lambda o: guards.read(o, checked)(*args, **kwargs)

    return {**SAFE_OPERATORS, "attrgetter": attrgetter, "methodcaller": methodcaller}


def _path(name: Any) -> list[str]:
    if type(name) is not str:
        raise TypeError("attribute name must be a string")
    return name.split(".")


def functools_module(registry: Registry, guards: Guards) -> dict[str, Any]:
    """Return the names of `functools`; `wraps` copies the name and the text of a function, and nothing else."""

    def total_ordering(cls: Any) -> Any:
        if cls not in registry.open:
            raise TypeError("total_ordering() decorates a class of the script")
        return functools.total_ordering(cls)

    def update_wrapper(wrapper: Any, wrapped: Any) -> Any:
        for name in ("__name__", "__qualname__", "__doc__"):
            has_name = callable(wrapped) and not isinstance(wrapped, functools.partial)
            value = guards.read(wrapped, name) if has_name else None
            if isinstance(value, str) and guards.write(wrapper, "name") is wrapper:
                setattr(wrapper, name, value)
        return wrapper

    def wraps(wrapped: Any) -> Callable[[Any], Any]:
        return lambda wrapper: update_wrapper(wrapper, wrapped)

    return {**SAFE_FUNCTIONS, "total_ordering": total_ordering, "wraps": wraps, "update_wrapper": update_wrapper}


class Inert:
    """A name of `typing` without a meaning at run time: it can be subscripted, joined, derived from, and called."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getitem__(self, item: Any) -> Inert:
        return self

    def __or__(self, other: Any) -> Inert:
        return self

    __ror__ = __or__

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return ()

    def __call__(self, *args: Any, **kwargs: Any) -> Inert:
        return Inert(str(args[0])) if args else self

    def __repr__(self) -> str:
        return f"typing.{self._name}"


_INERT = words("""
    Any Optional Union Literal Final ClassVar Annotated Generic Protocol TypeVar ParamSpec Concatenate TypeAlias Self
    Never NoReturn LiteralString TypeGuard Required NotRequired Unpack TypeVarTuple Text AnyStr SupportsFloat
    SupportsInt SupportsIndex SupportsAbs SupportsRound SupportsBytes ContextManager AbstractSet TypeIs ReadOnly
""")
_BUILT_IN = {"List": list, "Dict": dict, "Set": set, "FrozenSet": frozenset, "Tuple": tuple}


def _never(arg: Any, /) -> Any:
    raise AssertionError(f"Expected code to be unreachable, but got: {repr_of(arg)}")


def typing_module(registry: Registry) -> dict[str, Any]:
    """Return the names of `typing`: annotations are never evaluated, so nearly all of them only have to exist."""
    kinds = {name: getattr(collections.abc, name) for name in collections.abc.__all__ if hasattr(typing, name)}
    for name in ("Counter", "OrderedDict", "ChainMap"):
        kinds[name] = getattr(collections, name)
    return {
        **kinds,
        **_BUILT_IN,
        **{name: Inert(name) for name in _INERT},
        "Type": Inert("Type"),
        "DefaultDict": collections.defaultdict,
        "Deque": collections.deque,
        "NamedTuple": NamedTupleBase(registry),
        "TypedDict": TypedDict,
        "TYPE_CHECKING": False,
        "Pattern": re.Pattern,
        "Match": re.Match,
        "assert_never": _never,
        "cast": lambda typ, val: val,
        "overload": lambda func: func,
        "final": lambda f: f,
        "override": lambda method: method,
        "NewType": lambda name, tp: lambda x: x,
    }
