"""Assemble the globals in which the code of one script runs.

One call makes everything that a run can change, so two namespaces share nothing that a script can write to.

Not here: the names of the API (the caller's), how a run ends (the caller's `fatal`).
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import fractions
import functools
import random
import re
import statistics
import time
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from runner.guest.dialect import bounds, builtin_names, composing, text
from runner.guest.dialect.classes import NAMED_TUPLE, Numbers, TypedDict, class_builder, make_script_object, make_type
from runner.guest.dialect.facades import Module, comparing, contexts, enums, pure, shapes, times, urls
from runner.guest.dialect.fatal import UNSEEN, delegate, end_hook, require_own_exit, untraced
from runner.guest.dialect.guards import FORBIDDEN, Guards, Registry, make_guards

_PURE = {**pure.pure_modules(), **comparing.comparing_modules(), "urllib.parse": urls.urls_module()}

# Instances of these have no attribute that leads anywhere, so the script's code reads them without a call.
_READABLE: tuple[type, ...] = (
    Module, datetime.timedelta, decimal.Decimal, fractions.Fraction, re.Pattern, re.Match, random.Random,
    collections.deque, collections.Counter, collections.defaultdict, collections.OrderedDict, *urls.RECORDS,
    comparing.BLOCK,
)  # fmt: skip
_KNOWN: tuple[type, ...] = (
    datetime.date, datetime.datetime, datetime.time, datetime.timezone, datetime.tzinfo, time.struct_time, uuid.UUID,
    functools.partial, functools.cached_property, type(functools.lru_cache(lambda: None)), decimal.Context,
    type(functools.lru_cache(lambda: None).cache_info()), dataclasses.Field, shapes.Inert, contexts.Suppress,
    contexts.Closing, contexts.ExitStack,
    decimal.DecimalTuple, type(datetime.date(2000, 1, 1).isocalendar()), statistics.LinearRegression,
    *{type(make(b"")) for name, make in _PURE["hashlib"].items() if name not in ("new", "algorithms_available")},
)  # fmt: skip


class Box:
    """Holds what a pattern compares with: patterns can only look an attribute up."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def namespace(
    api: Mapping[str, object],
    *,
    clock: Callable[[], float],
    randomness: Callable[[str], random.Random],
    fatal: Callable[[BaseException], NoReturn],
    emit: Callable[[str], None],
    imports: frozenset[str] | None = None,
) -> dict[str, object]:
    """Return the globals for `exec` of compiled code; the caller reads `result` from them afterwards.

    Args:
        api: The names of the script's API. Their types are readable for the script, public attributes only.
        clock: Epoch seconds of the last Answer. Every clock of the dialect is this one.
        randomness: A seeded stream by name; the dialect asks for "random", "Random", "seed" and "uuid".
        fatal: Ends the run; called with what a script must not observe, and never returns.
        emit: Gets the text of each `print`.
        imports: Names of the modules that may be imported; None: all that the dialect has.
    """
    script: dict[str, object] = {"__name__": "__main__", **api}
    registry, numbers = Registry(), Numbers()
    kind, kind_of = make_type(registry)
    guards = make_guards(
        registry,
        kind_of=kind_of,
        dates=times.dates_by_clock(clock),
        own_globals=script,
        hash_of=numbers.hash_of,
    )
    values, random_class = _modules(registry, guards, clock, randomness, api.get("sleep"))
    _register(registry, api, values, random_class)
    modules = {name: Module(name, found) for name, found in values.items()}
    modules["collections"].__dict__["abc"] = modules["collections.abc"]
    offered = _with_packages({name: one for name, one in modules.items() if imports is None or name in imports})
    named = builtin_names.make_builtins(registry, guards, numbers, kind, text.print_to(emit))
    hooks = {
        "__build_class__": class_builder(registry, make_script_object(numbers)),
        "__import__": _import_from_c,
        "_import_": _importer(offered),
        "_end_": end_hook(fatal),
        "_Fatal_": UNSEEN,
        "_delegate_": delegate,
        "_exit_": require_own_exit,
        **_guard_hooks(registry, guards),
    }
    script["__builtins__"] = {**named, **hooks}
    return script


def _guard_hooks(registry: Registry, guards: Guards) -> dict[str, Any]:
    return {
        "_type_": type,
        "_open_": registry.open,
        "_readable_": registry.readable,
        "_read_": guards.read,
        "_write_": guards.write,
        "_pattern_": guards.pattern,
        "_box_": Box,
        "_text_": text.text_of,
        "_str_": str,
        "_string_": text.string_of,
        "_said_": text.said_of,
        "_join_": composing.join,
        **text.FSTRING_HOOKS,
        "_repr_": text.repr_in_text,
        "_format_": text.format_of,
        "_power_": bounds.power,
        "_shift_": bounds.shift,
        "_repeat_": bounds.repeat,
        "_percent_": text.percent,
        "_clean_": text.without_addresses,
        "_untraced_": untraced,
        "_classvar_": typing.ClassVar,
        "_initvar_": dataclasses.InitVar[object],
        "_kw_only_": dataclasses.KW_ONLY,
    }


def _modules(
    registry: Registry, guards: Guards, clock: times.Clock, randomness: times.Randomness, sleep: Any
) -> tuple[dict[str, Mapping[str, Any]], type]:
    chance, random_class = times.random_module(randomness)
    made: dict[str, Mapping[str, Any]] = {
        **_PURE,
        "__future__": {"annotations": None},
        "collections": shapes.collections_module(registry, None),
        "contextlib": contexts.contextlib_module(),
        "dataclasses": shapes.dataclasses_module(registry),
        "datetime": times.DATETIME,
        "enum": enums.enum_module(),
        "functools": shapes.functools_module(registry, guards),
        "operator": shapes.operator_module(guards),
        "random": chance,
        "time": times.time_module(clock, sleep),
        "typing": shapes.typing_module(registry),
        "uuid": times.uuid_module(randomness),
    }
    return made, random_class


def _register(
    registry: Registry, api: Mapping[str, object], values: Mapping[str, Mapping[str, Any]], random_class: type
) -> None:
    """Tell the registry every class that a script can meet through a name."""
    registry.readable.update(_READABLE)
    registry.known.update(_READABLE, _KNOWN)
    for found in [api, *values.values()]:
        for value in found.values():
            if isinstance(value, FORBIDDEN):
                raise TypeError("a module cannot be handed to a script")
            registry.known.add(value if isinstance(value, type) else type(value))
    registry.known.discard(type)
    registry.records.update((*urls.RECORDS, comparing.BLOCK))
    registry.known.add(random_class)
    registry.bases.update(builtin_names.BASES)
    registry.bases.update((TypedDict, collections.UserDict, collections.UserList, NAMED_TUPLE))
    registry.bases.update(enums.BASES.values())
    for module in ("abc", "collections.abc"):
        registry.bases.update(one for one in values[module].values() if isinstance(one, type))
    registry.bases.update(values["collections"][name] for name in ("Counter", "OrderedDict", "defaultdict", "deque"))
    registry.bases.add(values["json"]["JSONEncoder"])


def _with_packages(offered: Mapping[str, Module]) -> dict[str, Module]:
    """Add the packages that `import a.b` binds: such an `a` has nothing else than the modules that are offered."""
    found = dict(offered)
    for name, one in offered.items():
        package, _, part = name.rpartition(".")
        if package and package not in offered:
            found.setdefault(package, Module(package, {})).__dict__[part] = one
    return found


def _importer(offered: Mapping[str, Module]) -> Callable[..., Any]:
    def import_(module: str, name: str | None = None) -> Any:
        found = offered.get(module)
        if found is None:
            raise ImportError(f'module "{module}" is not offered', name=module)
        if name is None:
            return found
        try:
            return getattr(found, name)
        except AttributeError:
            raise ImportError(f'cannot import name "{name}" from "{module}" here', name=module) from None

    return import_


def _import_from_c(*_: Any) -> None:
    """Stand in for `__import__` where a function in C imports through the frame of the script.

    CPython discards what this returns and takes the module from those that are loaded; a script cannot name it.
    """


def _names_offered() -> dict[str, frozenset[str]]:
    """Return the names of each module, as the rules judge imports by them."""

    def standing() -> float:
        return 0.0

    registry = Registry()
    kind_of = make_type(registry)[1]
    guards = make_guards(registry, kind_of=kind_of, dates={}, own_globals={}, hash_of=hash)
    values, _ = _modules(registry, guards, standing, lambda _name: random.Random(0), None)
    return {name: frozenset(found) for name, found in values.items()}


MODULES: Mapping[str, frozenset[str]] = _names_offered()
"""Every module of the dialect, with the names that it offers."""
