"""Decide which identifiers and attribute names a script may use.

One table for both sides: the rules look a name up before a script runs, the guards look it up again while it runs,
so a name that reaches `getattr` as a string meets the same answer as one that stands in the text.

The rule it keeps: a name that begins with an underscore is refused unless a table here names it or it is a plain
`_private` name. Names of the form `_x_` belong to the dialect's own hooks.

Not here: on which objects a name may be read (guards).
"""

from __future__ import annotations

from RestrictedPython.transformer import INSPECT_ATTRIBUTES


def words(text: str) -> tuple[str, ...]:
    """Return the words of a table that is written as a text."""
    return tuple(text.split())


METHOD_DUNDERS = frozenset(
    f"__{name}__"
    for name in words("""
        init post_init repr str bytes format hash bool len iter next reversed contains getitem setitem delitem missing
        call enter exit copy eq ne lt le gt ge neg pos abs invert int float complex index round trunc floor ceil
        add sub mul matmul truediv floordiv mod divmod pow lshift rshift and or xor
        radd rsub rmul rmatmul rtruediv rfloordiv rmod rdivmod rpow rlshift rrshift rand ror rxor
        iadd isub imul imatmul itruediv ifloordiv imod ipow ilshift irshift iand ior ixor
    """)
)
"""Methods that a class of a script may define, and call on `super()` or on its bases."""

READABLE_DUNDERS = METHOD_DUNDERS | {
    "__name__",
    "__qualname__",
    "__module__",
    "__doc__",
    "__class__",
    "__cause__",
    "__context__",
    "__members__",
    "__setattr__",
}
"""Dunder attributes that the rules let through; the guards decide on which objects (`__setattr__`: only `object`'s)."""

CLASS_CONSTANTS = frozenset({"__slots__", "__match_args__", "__hash__"})
"""Dunder names that a class body may assign, with a literal only."""

HAZARDS = INSPECT_ATTRIBUTES | {
    "tb_lasti",
    "tb_lineno",
    "gi_running",
    "gi_suspended",
    "co_consts",
    "co_names",
    "co_filename",
    "co_cellvars",
    "co_freevars",
    "co_varnames",
}
"""Attributes that lead into frames and code: refused on every object, in the text and at run time."""

WATCHED = frozenset({
    "format", "format_map", "join", "obj", "mro", "register", "parser", "now", "utcnow", "today", "fromtimestamp",
    "strptime",
})  # fmt: skip
"""Public attributes whose answer depends on the object: always read through the full guard, never directly."""

DIRECT = frozenset(
    name
    for kind in (list, dict, set, frozenset, str, bytes, tuple)
    for name in dir(kind)
    if not name.startswith("_") and name not in WATCHED
)
"""Methods of the built-in containers and texts: harmless on whatever has them, so they are compiled as they stand."""

MODULE_NAMES = frozenset({"__all__", "__version__", "__author__"})
"""Dunder names that scripts assign out of habit; nothing reads them."""

ENUM_HOOKS = frozenset({"_missing_", "_generate_next_value_"})
"""Methods that `enum` calls; the dialect's own hooks have other names."""

MADE = "_made_"
"""The mark of a class that a facade made for the script."""

FATAL_NAMES = frozenset({"MemoryError", "RecursionError", "SystemExit", "KeyboardInterrupt", "GeneratorExit"})
"""Exceptions that a script can neither catch nor raise."""


def identifier_fault(name: str) -> str | None:
    """Return the id of the rule that refuses this variable, argument or keyword name, or None.

    Names come from the parser, which has normalised them (NFKC): look-alike letters cannot spell a refused name.
    """
    if not name.startswith("_") or not name.strip("_") or name in MODULE_NAMES or name in ENUM_HOOKS:
        return None
    if name.startswith("__"):
        return "no-dunder" if name.endswith("__") else "private-name"
    if name.endswith("_"):
        return "reserved-name"
    return None


def attribute_fault(name: str) -> str | None:
    """Return the id of the rule that refuses this attribute name on every object, or None."""
    if name in HAZARDS:
        return "unsafe-attribute"
    if name in READABLE_DUNDERS:
        return None
    return identifier_fault(name)
