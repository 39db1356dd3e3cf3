"""Which requests a scope opens: methods and paths, and how a path is read before it is compared.

A rule is `GET,HEAD /customers/{inputs.customer_id}/orders/**`: methods, then segments. A segment is literal, `*` (any
one), `{inputs.name}` (the value of the spawn's input, nothing else), or, as the last, `**` (whatever follows, or
nothing). A path is compared decoded, segment by segment, and it is the compared segments that are sent, encoded anew:
what was looked at and what a server sees cannot differ.

Refused, never mended: dot segments, empty segments, backslashes, path parameters (`;`), a slash or a percent sign that
is encoded (`%2F`, `%252e`), control characters, what Unicode normalises to one of these. RFC 3986 sections 2.1, 3.3.

Not here: which scope has which rules (fields, resolve), what becomes of a refused request (credentials.gateway).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes, urlsplit

from runner.models import Json

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ONE, REST = "*", "**"

MAX_PATH_CHARS = 8192
"""What servers take for a whole request line."""
MAX_VALUE_CHARS = 256
"""Of an input that stands in a path: an identifier, not a text."""

# RFC 3986: unreserved and sub-delims without ";", plus ":" and "@".
_SAFE = "-._~!$&'()*+,=:@"
_INPUT = re.compile(r"\{inputs((?:\.[A-Za-z_][A-Za-z0-9_-]*){1,8})\}")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class BadPath(ValueError):
    """A path, or a value that should stand in one, that is refused. `str` says what it has, not what it is."""


@dataclass(frozen=True, slots=True)
class RequestPath:
    """A path as it is compared: its segments decoded, and whether a slash ends it."""

    segments: tuple[str, ...]
    slash: bool

    def __str__(self) -> str:
        """The path as it is sent, encoded in one way only."""
        text = "/" + "/".join(quote(segment, safe=_SAFE) for segment in self.segments)
        return text + "/" if self.slash and self.segments else text


def read_path(raw: str) -> RequestPath:
    """Return a path, as it came in a request and without its query. Raises BadPath."""
    if len(raw) > MAX_PATH_CHARS:
        raise BadPath(f"is longer than {MAX_PATH_CHARS} characters")
    if not raw.startswith("/"):
        raise BadPath("does not begin with a slash")
    if not raw.isascii() or not raw.isprintable() or " " in raw:
        raise BadPath("has a character that no path has")
    if "\\" in raw:
        raise BadPath("has a backslash")
    if ";" in raw:
        raise BadPath("has path parameters")
    if _ESCAPE.search(raw):
        raise BadPath("has a percent sign that encodes nothing")
    parts = raw[1:].split("/")
    slash = parts[-1] == ""
    if slash:
        parts.pop()
    return RequestPath(tuple(_segment(part) for part in parts), slash)


def below(base_url: str, scheme: str, host: str, target: str) -> str | None:
    """Return the raw path below a resource's base, or None where it is not for it. `target` has no query."""
    base = urlsplit(base_url)
    port = _DEFAULT_PORTS[base.scheme]
    if scheme != base.scheme or host.removesuffix(port) != base.netloc.removesuffix(port):
        return None
    if not base.path:
        return target
    if target == base.path:
        return "/"
    return target.removeprefix(base.path) if target.startswith(f"{base.path}/") else None


def _segment(raw: str) -> str:
    if "%" not in raw:
        text = raw
    else:
        try:
            text = unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            raise BadPath("has encoded bytes that are no UTF-8") from None
    problem = _problem(text)
    if problem:
        raise BadPath(problem)
    return text


def _problem(text: str) -> str:
    """Say why a decoded text cannot be one segment; "" where it can."""
    if not text:
        return "has an empty segment"
    if text in (".", ".."):
        return "has a dot segment"
    if "/" in text or "\\" in text:
        return "has an encoded slash"
    if ";" in text:
        return "has path parameters"
    if _ENCODED.search(text):
        return "is encoded twice"
    if not text.isprintable():
        return "has a control character"
    if not text.isascii():
        plain = unicodedata.normalize("NFKC", text)
        if plain != text and (plain in (".", "..") or any(mark in plain for mark in "/\\;%")):
            return "has characters that stand for a slash or a dot"
    return ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a scope's map, as written in a policy."""

    methods: tuple[str, ...]
    segments: tuple[str | tuple[str, ...], ...]
    """Literal texts, `ONE` and `REST` as they stand; a tuple of names for an input."""
    slash: bool
    text: str
    inputs: tuple[tuple[str, ...], ...] = ()
    """The inputs that stand in it."""

    def bind(self, inputs: Json) -> BoundRule:
        """Return this rule for these inputs of a spawn. Raises BadPath, naming the input."""
        if not self.inputs:
            return BoundRule(self.methods, self.segments, self.slash, self.text)  # type: ignore[arg-type]
        bound = tuple(_Literal(_value(part, inputs)) if isinstance(part, tuple) else part for part in self.segments)
        return BoundRule(self.methods, bound, self.slash, self.text)


class _Literal(str):
    """A segment that came from an input: never a wildcard, whatever it says."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class BoundRule:
    """A rule whose inputs are filled in."""

    methods: tuple[str, ...]
    segments: tuple[str, ...]
    slash: bool
    text: str
    """As the policy has it, for the record."""

    def opens(self, method: str, path: RequestPath) -> bool:
        """Say whether a request of this method and path is let through."""
        if method not in self.methods:
            return False
        rest = bool(self.segments) and self.segments[-1] == REST and type(self.segments[-1]) is str
        wanted = self.segments[:-1] if rest else self.segments
        found = path.segments
        if len(found) < len(wanted) if rest else (len(found) != len(wanted) or path.slash != self.slash):
            return False
        return all(one == have or (one == ONE and type(one) is str) for one, have in zip(wanted, found, strict=False))

    def __str__(self) -> str:
        # An asterisk that came from an input stands there encoded: it is no wildcard.
        parts = [part if type(part) is str else _shown(part) for part in self.segments]
        return f"{','.join(self.methods)} /{'/'.join(parts)}{'/' if self.slash and parts else ''}"


def _shown(value: str) -> str:
    plain = value.isascii() and value.isalnum()
    return value if plain else quote(value, safe=_SAFE.replace("*", ""))


def parse_rule(text: object) -> Rule:
    """Return the rule that a text is. Raises ValueError that says what is allowed; after a line feed the fix."""
    allowed = 'methods and a path, such as "GET /customers/{inputs.customer_id}/**"'
    if not isinstance(text, str):
        raise ValueError(allowed)
    written, space, path = text.partition(" ")
    methods = tuple(written.split(","))
    if not space or not all(method in METHODS for method in methods):
        upper = f"\nwrite {text.upper().partition(' ')[0]}" if space and written.upper() in METHODS else ""
        raise ValueError(f"{allowed}; methods are {', '.join(METHODS)}{upper}")
    if len(set(methods)) != len(methods):
        raise ValueError(f"{allowed}; a method stands there twice")
    if not path.startswith("/") or path != path.strip() or "?" in path or "#" in path:
        raise ValueError(f"{allowed}; the path begins with a slash and has no query")
    parts = path[1:].split("/")
    slash = parts[-1] == ""
    if slash:
        parts.pop()
    if "" in parts:
        raise ValueError(f"{allowed}; the path has an empty segment")
    segments = tuple(_rule_segments(parts, allowed))
    named = tuple(segment for segment in segments if isinstance(segment, tuple))
    return Rule(methods, segments, slash, text, named)


def _rule_segments(parts: Sequence[str], allowed: str) -> list[str | tuple[str, ...]]:
    found: list[str | tuple[str, ...]] = []
    for n, part in enumerate(parts):
        named = _INPUT.fullmatch(part)
        if named is not None:
            found.append(tuple(named[1][1:].split(".")))
        elif part == REST and n < len(parts) - 1:
            raise ValueError(f"{allowed}; ** stands at the end only")
        elif part in (ONE, REST):
            found.append(part)
        elif "{" in part or "}" in part:
            raise ValueError(f"{allowed}; an input is a whole segment, {{inputs.name}}")
        elif "*" in part:
            raise ValueError(f"{allowed}; * and ** are whole segments")
        else:
            try:
                literal = read_path(f"/{part}").segments[0]
                if "*" in literal:
                    raise ValueError(f"{allowed}; * and ** are whole segments, and no literals")
                found.append(literal)
            except BadPath as error:
                raise ValueError(f"{allowed}; the path {error}") from None
    return found


def _value(names: tuple[str, ...], inputs: Json) -> str:
    """Return the input that a segment names, as one decoded segment. Raises BadPath."""
    called = f'input "{".".join(names)}"'
    found = inputs
    for name in names:
        if not isinstance(found, dict) or name not in found:
            raise BadPath(f"{called} is not there")
        found = found[name]
    # A float has several spellings, and a bool is an int to Python.
    if type(found) is int:
        return str(found)
    if not isinstance(found, str):
        raise BadPath(f"{called} is no text and no whole number")
    if len(found) > MAX_VALUE_CHARS:
        raise BadPath(f"{called} has more than {MAX_VALUE_CHARS} characters")
    problem = _problem(found)
    if problem:
        raise BadPath(f"{called} is empty" if not found else f"{called} {problem}")
    return str(found)


def input_values(template: Json, inputs: Json) -> Json:
    """Return a JSON value with every text that is exactly `{inputs.name}` replaced by that input.

    Raises BadPath where an input is missing or would not be one segment: the same values are bound in paths.
    """
    if isinstance(template, dict):
        return {key: input_values(part, inputs) for key, part in template.items()}
    if isinstance(template, list):
        return [input_values(part, inputs) for part in template]
    named = _INPUT.fullmatch(template) if isinstance(template, str) else None
    return template if named is None else _value(tuple(named[1][1:].split(".")), inputs)


def inputs_named(template: Json) -> set[tuple[str, ...]]:
    """Return the inputs that stand in a template of `input_values`."""
    if isinstance(template, (dict, list)):
        return set().union(*map(inputs_named, template.values() if isinstance(template, dict) else template))
    named = _INPUT.fullmatch(template) if isinstance(template, str) else None
    return set() if named is None else {tuple(named[1][1:].split("."))}
