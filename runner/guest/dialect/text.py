"""Turn values into text without leading anywhere: formatting, `repr` without addresses, `print`.

`str.format` reads attributes and items by name, so it goes through the same guard as an attribute in the text of the
script. CPython's default `repr` shows a memory address, which differs from run to run; it is taken out.

Not here: text made of handles.
"""

from __future__ import annotations

import re
import string

# What string.Formatter itself splits field names with.
from _string import formatter_field_name_split  # type: ignore[import-not-found]
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runner.guest.dialect.bounds import check_spec

Read = Callable[[Any, str], Any]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
# Their text never has an address, whatever they hold or are.
_PLAIN = frozenset({str, int, float, bool, type(None), complex, bytes})


def text_of(value: Any) -> Any:
    """Return the value if formatting it is harmless, else its text without addresses (an f-string calls this)."""
    return value if type(value) in _PLAIN else without_addresses(format(value))


def string_of(value: Any) -> str:
    """Return `str(value)` without addresses."""
    return str(value) if type(value) in _PLAIN else without_addresses(str(value))


def repr_of(value: Any, as_ascii: bool = False) -> str:
    """Return `repr(value)` or `ascii(value)` without addresses."""
    made = ascii(value) if as_ascii else repr(value)
    return made if type(value) in _PLAIN else without_addresses(made)


def format_of(value: Any, spec: Any = "") -> str:
    """Return `format(value, spec)` with a bounded width."""
    return without_addresses(format(value, check_spec(spec) if type(spec) is str else spec))


def percent(template: Any, values: Any) -> Any:
    """Return `template % values` without addresses."""
    made = template % values
    return without_addresses(made) if type(made) is str else made


def without_addresses(made: str) -> str:
    return _ADDRESS.sub("", made) if " at 0x" in made else made


class Formatter(string.Formatter):
    """`str.format` whose fields are read through the guard. It never reaches a script itself."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, int | str]:
        first, rest = field_name_split(field_name)
        found = self.get_value(first, args, kwargs)
        for is_attribute, part in rest:
            found = self._read(found, str(part)) if is_attribute else found[part]
        return found, first

    def format_field(self, value: Any, format_spec: str) -> str:
        return format_of(value, format_spec)

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        if conversion in ("r", "a"):
            return repr_of(value, conversion == "a")
        return super().convert_field(value, conversion)


def field_name_split(name: str) -> tuple[int | str, list[tuple[bool, int | str]]]:
    """Split `0.name[key]` into its first part and the accesses that follow, as CPython does."""
    first, rest = formatter_field_name_split(name)
    return first, list(rest)


def safe_format(template: str, read: Read) -> Callable[..., str]:
    """Return what `template.format` gives a script."""

    def format(*args: Any, **kwargs: Any) -> str:
        return Formatter(read).vformat(str(template), args, kwargs)

    return format


def safe_format_map(template: str, read: Read) -> Callable[[Mapping[str, Any]], str]:
    """Return what `template.format_map` gives a script."""

    def format_map(mapping: Mapping[str, Any]) -> str:
        return Formatter(read).vformat(str(template), (), mapping)

    return format_map


def print_to(emit: Callable[[str], None]) -> Callable[..., None]:
    """Return the `print` of a script: a log, without files."""

    def print(*values: Any, sep: Any = None, end: Any = None, file: Any = None, flush: Any = False) -> None:
        if file is not None:
            raise TypeError("print() writes to the log of the run only; leave out `file`")
        between, after = " " if sep is None else sep, "\n" if end is None else end
        if not isinstance(between, str) or not isinstance(after, str):
            raise TypeError("sep and end must be None or a string")
        emit(str(between).join(string_of(one) for one in values) + str(after))

    return print
