"""The facade over `urllib.parse`: texts in, texts out.

What it is given becomes a plain text first. So neither its caches nor its `%` formatting ever meet an object of the
script, whose hash would be asked again later and whose text could tell an address.

Not here: `urllib.request` and its kin, which reach the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib import parse

from runner.guest.dialect.composing import Composable
from runner.guest.dialect.names import words
from runner.guest.dialect.text import string_of

RECORDS: tuple[type, ...] = (
    parse.ParseResult, parse.SplitResult, parse.DefragResult,
    parse.ParseResultBytes, parse.SplitResultBytes, parse.DefragResultBytes,
)  # fmt: skip
"""Named tuples that the functions return; those of bytes come from `encode()`, too."""

_OF_TEXTS = words("urlparse urlsplit urljoin urldefrag quote quote_plus unquote unquote_plus parse_qs parse_qsl")


def _plain(value: Any) -> Any:
    """Return a text, bytes, number or None without anything of the script in it. Raises TypeError for all else."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray)):
        return b"".join((value,))
    if value is None or type(value) in (bool, int):
        return value
    if isinstance(value, Composable):
        raise TypeError("a handle has no text before its outcome is there: write h.result()")
    raise TypeError(f"expected a text, not a {type(value).__name__}")


def _of_texts(function: Callable[..., Any]) -> Callable[..., Any]:
    def on_plain(*args: Any, **kwargs: Any) -> Any:
        return function(*map(_plain, args), **{name: _plain(value) for name, value in kwargs.items()})

    on_plain.__name__ = on_plain.__qualname__ = function.__name__
    on_plain.__doc__ = function.__doc__
    return on_plain


_FUNCTIONS: dict[str, Callable[..., Any]] = {name: _of_texts(getattr(parse, name)) for name in _OF_TEXTS}


def urlunparse(components: Iterable[Any]) -> Any:
    return parse.urlunparse([_plain(one) for one in components])


def urlunsplit(components: Iterable[Any]) -> Any:
    return parse.urlunsplit([_plain(one) for one in components])


def urlencode(
    query: Any,
    doseq: Any = False,
    safe: Any = "",
    encoding: Any = None,
    errors: Any = None,
    quote_via: Callable[..., Any] = _FUNCTIONS["quote_plus"],
) -> str:
    pairs = query.items() if hasattr(query, "items") else query
    if isinstance(pairs, (str, bytes)):
        raise TypeError("not a valid non-string sequence or mapping object")
    said = [(_said(key), _all_said(value) if doseq else _said(value)) for key, value in pairs]
    return parse.urlencode(said, bool(doseq), _plain(safe), _plain(encoding), _plain(errors), quote_via)


def _all_said(value: Any) -> Any:
    if isinstance(value, (str, bytes)) or not hasattr(type(value), "__len__"):
        return _said(value)
    return [_said(one) for one in value]


def _said(value: Any) -> str | bytes:
    """Return the text that stands for a key or value, without addresses."""
    if isinstance(value, (str, bytes, Composable)):
        plain: str | bytes = _plain(value)
        return plain
    return string_of(value)


def urls_module() -> dict[str, Any]:
    """Return the names of `urllib.parse`."""
    results = {kind.__name__: kind for kind in (parse.ParseResult, parse.SplitResult, parse.DefragResult)}
    return {**_FUNCTIONS, "urlunparse": urlunparse, "urlunsplit": urlunsplit, "urlencode": urlencode, **results}
