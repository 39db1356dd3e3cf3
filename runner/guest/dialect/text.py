"""Turn values into text without leading anywhere: formatting, `repr` without addresses, `print`.

`str.format` reads attributes and items by name, so it goes through the same guard as an attribute in the text of the
script. CPython's default `repr` shows a memory address, which differs from run to run; it is taken out.

A handle has no text yet: where one is put into a text it stays itself, and the text is a composed one.

Not here: what such a text is (composing).
"""

from __future__ import annotations

import re
import string

# What string.Formatter itself splits field names with.
from _string import formatter_field_name_split  # type: ignore[import-not-found]
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from runner.guest.dialect.bounds import check_spec
from runner.guest.dialect.composing import Composable, composable_in, composed, fstring_hooks

Read = Callable[[Any, str], Any]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
# Fields that are a name, a number or nothing: no attribute, item, conversion or format spec.
_NAMES_ONLY = re.compile(r"(?:[^{}]++|\{\{|\}\}|\{\w*+\})*+")
# Their text never has an address, whatever they hold or are.
_PLAIN: frozenset[type] = frozenset({str, int, float, bool, type(None), complex, bytes})


def text_of(value: Any) -> Any:
    """Return the value if formatting it is harmless, else its text without addresses (an f-string calls this).

    A handle stays itself; a list with handles in it becomes a piece that can only be shown.
    """
    if type(value) in _PLAIN or isinstance(value, Composable):
        return value
    return _with_handles(value, without_addresses(format(value)))


def said_of(value: Any) -> Any:
    """Return what `{value!s}` in an f-string puts there."""
    if isinstance(value, Composable):
        return value
    return str(value) if type(value) in _PLAIN else _with_handles(value, without_addresses(str(value)))


def _with_handles(value: Any, made: str) -> Any:
    if "<Handle " in made and isinstance(value, (list, tuple, dict, set, frozenset)):
        inner = composable_in(value)
        return made if inner is None else inner._listed(made)
    return made


def string_of(value: Any) -> str:
    """Return `str(value)` without addresses. A handle has none, nor has a list with handles in it."""
    if type(value) in _PLAIN:
        return str(value)
    made = without_addresses(str(value))
    if "<Handle " in made and composable_in(value) is not None:
        raise TypeError("handles in a list or dict have no text yet: write gather(...) around it first")
    return made


def repr_of(value: Any, as_ascii: bool = False) -> str:
    """Return `repr(value)` or `ascii(value)` without addresses."""
    made = ascii(value) if as_ascii else repr(value)
    return made if type(value) in _PLAIN else without_addresses(made)


def repr_in_text(value: Any, as_ascii: bool = False) -> str:
    """Return what `{value!r}` or `{value!a}` puts into a text."""
    if isinstance(value, Composable):
        raise TypeError('handles have no `!r` before their outcome is there: write {h}, or {h.result()!r}')
    return repr_of(value, as_ascii)


FSTRING_HOOKS = fstring_hooks(_PLAIN, text_of)
"""What the rewrite puts in the place of an f-string."""


def format_of(value: Any, spec: Any = "") -> str:
    """Return `format(value, spec)` with a bounded width."""
    return without_addresses(format(value, check_spec(spec) if type(spec) is str else spec))


def percent(template: Any, values: Any) -> Any:
    """Return `template % values` without addresses."""
    made = template % values
    if type(made) is bytes and b" at 0x" in made:
        return without_addresses(made.decode("latin-1")).encode("latin-1")
    if type(made) is not str:
        return made
    if "<Handle " in made and composable_in(values) is not None:
        raise TypeError('handles have no text before their outcome is there: write an f-string, f"... {h}"')
    return without_addresses(made)


def without_addresses(made: str) -> str:
    return _ADDRESS.sub("", made) if " at 0x" in made else made


class Formatter(string.Formatter):
    """`str.format` whose fields are read through the guard; one object for one text. It never reaches a script itself.

    The pieces of the text are collected beside what the base joins, which takes nothing but `str`.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._pieces: list[Any] = []
        # 1 in the template itself, 2 in the format spec of a field.
        self._level = 0

    def compose(self, template: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return `template.format(*args, **kwargs)`, a composed text where handles are among the fields."""
        self.vformat(template, args, kwargs)
        return composed(self._pieces)

    def parse(self, format_string: str) -> Iterator[tuple[str, str | None, str | None, str | None]]:
        self._level += 1
        for field in super().parse(format_string):
            if self._level == 1:
                self._pieces.append(field[0])
            yield field
        self._level -= 1

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, int | str]:
        first, rest = field_name_split(field_name)
        found = self.get_value(first, args, kwargs)
        for is_attribute, part in rest:
            found = self._read(found, str(part)) if is_attribute else found[part]
        return found, first

    def format_field(self, value: Any, format_spec: str) -> str:
        if self._level != 1:
            return format_of(value, format_spec)
        made = format_of(value, format_spec) if format_spec else text_of(value)
        self._pieces.append(made if isinstance(made, Composable) else format(made))
        return ""

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        if conversion in ("r", "a"):
            return repr_in_text(value, conversion == "a")
        return said_of(value) if conversion == "s" else super().convert_field(value, conversion)


def field_name_split(name: str) -> tuple[int | str, list[tuple[bool, int | str]]]:
    """Split `0.name[key]` into its first part and the accesses that follow, as CPython does."""
    first, rest = formatter_field_name_split(name)
    return first, list(rest)


def safe_format(template: str, read: Read) -> Callable[..., Any]:
    """Return what `template.format` gives a script."""

    def format(*args: Any, **kwargs: Any) -> Any:
        # Nine in ten are so plain that nothing in them reads an attribute or asks for a width.
        if _PLAIN.issuperset(map(type, (template, *args, *kwargs.values()))) and _NAMES_ONLY.fullmatch(template):
            return template.format(*args, **kwargs)
        return Formatter(read).compose(str(template), args, kwargs)

    return format


def safe_format_map(template: str, read: Read) -> Callable[[Mapping[str, Any]], Any]:
    """Return what `template.format_map` gives a script."""

    def format_map(mapping: Mapping[str, Any]) -> Any:
        return Formatter(read).compose(str(template), (), mapping)

    return format_map


def shown_of(value: Any) -> str:
    """Return `str(value)` without addresses; a handle is shown by its number and label."""
    if isinstance(value, Composable):
        return value._shown()
    return str(value) if type(value) in _PLAIN else without_addresses(str(value))


def print_to(emit: Callable[[str], None]) -> Callable[..., None]:
    """Return the `print` of a script: a log, without files."""

    def print(*values: Any, sep: Any = None, end: Any = None, file: Any = None, flush: Any = False) -> None:
        if file is not None:
            raise TypeError("print() writes to the log of the run only; leave out `file`")
        between, after = " " if sep is None else sep, "\n" if end is None else end
        if not isinstance(between, str) or not isinstance(after, str):
            raise TypeError("sep and end must be None or a string")
        emit(str.join(between, [shown_of(one) for one in values]) + str.__str__(after))

    return print
