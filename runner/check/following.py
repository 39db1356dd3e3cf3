"""Which function of the script a call reaches, and which calls reach a function.

Followed are functions and lambdas with one name in the whole script, methods by their name, and classes into their
`__init__`. A function that is passed on as a value, decorated, one of Python's special methods, or one that a base from
outside may call is not followed: who asks gets None, and then tells an honest bound.

Not here: how often a call runs (counting), what its arguments are for certain (literals).
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cached_property

from runner.check.facts import Reading, Use
from runner.check.literals import Given
from runner.guest.dialect.names import DIRECT, ENUM_HOOKS, words

Function = ast.FunctionDef | ast.Lambda

# Decorators that leave a method what it is.
_PLAIN_DECORATORS = frozenset({"staticmethod", "classmethod"})
_CONSTRUCTORS = ("__init__", "__post_init__")
# What reads an attribute by a name that is a value.
_GETTERS = frozenset({"getattr", "attrgetter", "methodcaller"})
# Methods that modules call on whatever has them: an enumeration asked for an unknown value, `contextlib.closing`.
_HOOKS = ENUM_HOOKS | {"close"}
# Bases that call none of their methods but special ones; so do exceptions.
_QUIET_BASES = frozenset(words("object ABC Protocol Generic NamedTuple TypedDict Enum IntEnum StrEnum Flag IntFlag"))
# More calls of one function are not looked at one by one.
MAX_SITES = 200


@dataclass(frozen=True, slots=True)
class Site:
    """One call of a function: what stands for its parameters there."""

    use: Use | None
    given: Given
    extra: dict[str, ast.expr] = field(default_factory=dict)
    """Keywords that the function takes through `**`."""
    open: bool = False
    """Some arguments come through `*` or `**`."""


class Following:
    """Follows the calls of one script."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._sites: dict[Function, list[Site] | None] = {}

    def targets(self, call: ast.Call) -> tuple[Function, ...]:
        """Return the functions of the script that this call may run: one of them, where `certain` says so."""
        function = call.func
        if isinstance(function, ast.Lambda):
            return (function,)
        if isinstance(function, ast.Attribute):
            return self._methods.get(function.attr, ())
        if not isinstance(function, ast.Name):
            return ()
        return self.named(function.id)

    def named(self, name: str) -> tuple[Function, ...]:
        """Return the functions that calling this name runs."""
        found = self._reading.function(name)
        if found is not None:
            return (found,) if self._plainly_decorated(found) else ()
        if name in self._reading.classes and self._reading.bound_once(name):
            return self._constructors(self._reading.classes[name])
        return ()

    def referred(self, node: ast.expr) -> tuple[Function, ...]:
        """Return the functions that this expression stands for, where it is passed on to be called."""
        if isinstance(node, ast.Lambda):
            return (node,)
        if isinstance(node, ast.Name):
            return self.named(node.id)
        return self._methods.get(node.attr, ()) if isinstance(node, ast.Attribute) else ()

    def certain(self, call: ast.Call) -> bool:
        """Say whether one of the targets runs for sure, and not what another object has under that name."""
        function = call.func
        if not isinstance(function, ast.Attribute):
            return True
        receiver = function.value
        if isinstance(receiver, ast.Call):
            receiver = receiver.func
        if not isinstance(receiver, ast.Name):
            return False
        if receiver.id in ("self", "cls", "super"):
            return True
        made = self._reading.value(receiver.id)
        of = made.func if isinstance(made, ast.Call) else receiver
        return isinstance(of, ast.Name) and of.id in self._reading.classes

    @cached_property
    def _methods(self) -> dict[str, tuple[Function, ...]]:
        """Return the methods of the script's classes by name, but for names that containers and texts have too."""
        return {
            name: tuple(node for node, owner in found if owner is not None)
            for name, found in self._reading.functions.items()
            if name not in DIRECT
            and name not in self._reading.written_attributes
            and any(owner for _, owner in found)
            and all(self._plainly_decorated(node) for node, owner in found if owner is not None)
        }

    def _constructors(self, made: ast.ClassDef, depth: int = 8) -> tuple[Function, ...]:
        own = tuple(one for one in made.body if isinstance(one, ast.FunctionDef) and one.name in _CONSTRUCTORS)
        if own or depth == 0:
            return own
        bases = [base.id for base in made.bases if isinstance(base, ast.Name) and base.id in self._reading.classes]
        return tuple(one for name in bases for one in self._constructors(self._reading.classes[name], depth - 1))

    # Who calls a function

    def owner(self, function: Function) -> ast.ClassDef | None:
        if isinstance(function, ast.Lambda):
            return None
        for node, owner in self._reading.functions.get(function.name, ()):
            if node is function:
                return owner
        return None

    def uses(self, function: Function) -> list[Use] | None:
        """Return every place that names this function, or None where it may be reached without its name."""
        if isinstance(function, ast.Lambda):
            name = self._lambda_names.get(function)
            return self._reading.uses.get(name, []) if name else None
        owner = self.owner(function)
        if not self._plainly_decorated(function):
            return None
        if owner is None:
            return self._reading.uses.get(function.name, []) if self._reading.bound_once(function.name) else None
        if function.name in _CONSTRUCTORS:
            return self._uses_of_class(owner)
        if function.name not in self._methods or self._gets_by_name or self._called_by_others(function.name, owner):
            return None
        return self._reading.attributes.get(function.name, [])

    @cached_property
    def _gets_by_name(self) -> bool:
        """Say whether the script has what reads attributes by names that stand nowhere as such."""
        reading = self._reading
        imported = {binding.node.name for binding in reading.bindings if isinstance(binding.node, ast.alias)}
        return not _GETTERS.isdisjoint([*reading.uses, *reading.attributes, *imported])

    def _called_by_others(self, name: str, owner: ast.ClassDef, depth: int = 8) -> bool:
        """Say whether a method of this name may be called by what the script did not write."""
        if name.startswith("__") or name in _HOOKS or depth == 0:
            return True
        for written in owner.bases:
            base = written.value if isinstance(written, ast.Subscript) else written
            known = base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else ""
            above = self._reading.classes.get(known) if isinstance(base, ast.Name) else None
            if above is not None and above is not owner:
                if self._called_by_others(name, above, depth - 1):
                    return True
            elif known not in _QUIET_BASES and not known.endswith(("Error", "Exception")):
                return True
        return False

    def _uses_of_class(self, owner: ast.ClassDef) -> list[Use] | None:
        derived = any(
            isinstance(base, ast.Name) and base.id == owner.name
            for one in self._reading.classes.values()
            for base in one.bases
        )
        if derived or not self._reading.bound_once(owner.name):
            return None
        # `Class.make()` and `isinstance(x, Class)` name the class and make nothing.
        return [
            use
            for use in self._reading.uses.get(owner.name, [])
            if not isinstance(use.parent, ast.Attribute) and not _asks_for_kind(use)
        ]

    def _plainly_decorated(self, function: Function) -> bool:
        decorators = function.decorator_list if isinstance(function, ast.FunctionDef) else []
        return all(isinstance(one, ast.Name) and one.id in _PLAIN_DECORATORS for one in decorators)

    @cached_property
    def _lambda_names(self) -> dict[ast.Lambda, str]:
        return {
            values[0]: name
            for name, values in self._reading.values.items()
            if isinstance(values[0], ast.Lambda) and self._reading.bound_once(name)
        }

    def sites(self, function: Function) -> list[Site] | None:
        """Return every call of a function, or None when they cannot all be told."""
        if function not in self._sites:
            self._sites[function] = self._all_sites(function)
        return self._sites[function]

    def _all_sites(self, function: Function) -> list[Site] | None:
        uses = self.uses(function)
        if uses is None or len(uses) > MAX_SITES:
            return None
        in_order = sorted(uses, key=lambda use: (use.node.lineno, use.node.col_offset))
        found = [self._site(function, use) for use in in_order]
        return None if None in found else [site for site in found if site is not None]

    def _site(self, function: Function, use: Use) -> Site | None:
        return self.site(function, use.call, use) if use.call is not None else _mapped(self._takes(function), use)

    def _takes(self, function: Function) -> list[str]:
        """Return the names of the positional parameters that a call fills."""
        names = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
        return names[1:] if self.owner(function) is not None and not self._is_static(function) else names

    def site(self, function: Function, call: ast.Call, use: Use | None = None) -> Site:
        """Return what stands for the parameters of a function at a call of it."""
        parameters = function.args
        names = self._takes(function)
        given: dict[str, ast.expr] = {}
        open_ = any(isinstance(one, ast.Starred) for one in call.args) or any(one.arg is None for one in call.keywords)
        if not any(isinstance(one, ast.Starred) for one in call.args):
            given.update(zip(names, call.args, strict=False))
        named = {one.arg: one.value for one in call.keywords if one.arg is not None}
        takes = {*names, *(one.arg for one in parameters.kwonlyargs)}
        given.update({name: value for name, value in named.items() if name in takes})
        extra = {name: value for name, value in named.items() if name not in takes}
        return Site(use, given, extra, open_)

    def _is_static(self, function: Function) -> bool:
        decorators = function.decorator_list if isinstance(function, ast.FunctionDef) else []
        return any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in decorators)


def _asks_for_kind(use: Use) -> bool:
    call = use.parent
    return (
        isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ("isinstance", "issubclass")
    )


def _mapped(names: list[str], use: Use) -> Site | None:
    """Return the site of `map(function, items)`: each parameter is a part of what is mapped over."""
    call = use.parent
    mapping = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "map"
    if not mapping or not isinstance(call, ast.Call) or call.args[0] is not use.node:
        return None
    parts = [ast.copy_location(ast.Subscript(over, ast.Constant(0), ast.Load()), over) for over in call.args[1:]]
    return Site(use, dict(zip(names, parts, strict=False)))


def defaults(function: Function) -> Given:
    """Return what stands for the parameters that a call leaves out."""
    told = function.args
    positional = [*told.posonlyargs, *told.args]
    found = dict(
        zip((one.arg for one in positional[len(positional) - len(told.defaults) :]), told.defaults, strict=True)
    )
    keyword_only = zip(told.kwonlyargs, told.kw_defaults, strict=True)
    return found | {one.arg: value for one, value in keyword_only if value is not None}
