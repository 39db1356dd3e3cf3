"""Read the text of a policy or schema file into plain values, and remember on which line each one stands.

YAML with the meaning of YAML 1.2's core schema (`no` is a text, `012` is 12) and without what makes it dangerous or
surprising: tags, duplicate keys, merge keys, several documents, numbers that JSON cannot hold. Aliases are allowed and
counted, so that a small file cannot become a large value. JSON files are read as JSON, with duplicate keys refused.

Not here: what the values mean (fields), which file is read (files).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from runner.errors import PolicyError
from runner.models import Json

# The largest policy seen has 40 agents with inline schemas: 60 KB.
MAX_CHARS = 1024 * 1024
# Of the value after its aliases are filled in: about 30 MB as Python objects.
MAX_NODES = 50_000
# `wire.MAX_DEPTH`: what is deeper could never be an input either.
MAX_DEPTH = 64

Path = tuple[str | int, ...]
"""Where a value stands: keys and positions from the top."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_DIGITS = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_A_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, Json] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """A line (1-based) of a file, as it is named in errors."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Source:
    """One file's value, and where each part of it stands. A path leads to the line of its key."""

    value: Json
    places: dict[Path, Place]

    def place(self, path: Path) -> Place:
        """Return the place of a part; of its nearest parent where it does not stand in the file itself."""
        for length in range(len(path), -1, -1):
            found = self.places.get(path[:length])
            if found is not None:
                return found
        return Place("", 0)


@dataclass(slots=True)
class _Node:
    """A value as written: a mapping's pairs, a sequence's items, or a scalar's value."""

    line: int
    pairs: list[tuple[str, int, _Node]] | None = None
    items: list[_Node] | None = None
    value: Json = None


def read_yaml(text: str, *, file: str) -> Source:
    """Return the one document of a YAML text. Raises PolicyError with the line of what is refused."""
    if len(text) > MAX_CHARS:
        raise PolicyError(f"the file has {len(text):,} characters; at most {MAX_CHARS:,} are read", file=file)
    try:
        events = yaml.parse(text.removeprefix("\ufeff"), Loader=_LOADER)
        node = _Builder(events, file).document()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 0
        hint = "look at indentation, quotes and brackets at and above this line"
        if "{inputs." in "".join(text.splitlines()[line - 1 : line]):
            hint = 'within [ ] a rule with { } stands in quotes: ["GET /customers/{inputs.customer_id}"]'
        raise PolicyError(f"not YAML: {error.problem or error.context}", file=file, line=line, hint=hint) from None
    except (yaml.YAMLError, UnicodeError) as error:
        reason = "it has a control character or is no Unicode text"
        raise PolicyError(f"not YAML: {reason}", file=file, hint="save the file as UTF-8 text") from error
    places: dict[Path, Place] = {}
    return Source(_plain(node, (), file, places), places)


def read_json(text: str, *, file: str) -> Source:
    """Return the value of a JSON text. Its parts have no lines of their own. Raises PolicyError."""
    if len(text) > MAX_CHARS:
        raise PolicyError(f"the file has {len(text):,} characters; at most {MAX_CHARS:,} are read", file=file)
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise PolicyError(f"not JSON: {error.msg}", file=file, line=error.lineno) from None
    except ValueError as error:
        raise PolicyError(f"not JSON: {error}", file=file) from None
    except RecursionError:
        raise PolicyError(f"nested more than {MAX_DEPTH} levels deep", file=file) from None
    return Source(value, {(): Place(file, 1)})


class _Builder:
    """Makes nodes of the parser's events. Recursion is bounded by MAX_DEPTH before it happens."""

    def __init__(self, events: Iterator[Any], file: str) -> None:
        self._events = events
        self._file = file
        self._anchors: dict[str, _Node] = {}

    def document(self) -> _Node:
        next(self._events)
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return _Node(1)
        node = self._node(next(self._events), 0)
        next(self._events)
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._refused("a second document begins here", event, "keep one policy in a file; remove `---`")
        return node

    def _node(self, event: Any, depth: int) -> _Node:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                hint = f"write `&{event.anchor}` at a value that is complete above this line"
                raise self._refused(f'"*{event.anchor}" refers to nothing', event, hint)
            return self._anchors[event.anchor]
        if event.tag is not None:
            raise self._refused(f'the tag "{event.tag}" is not read', event, "remove the tag; quote what is a text")
        if depth > MAX_DEPTH:
            raise self._refused(f"nested more than {MAX_DEPTH} levels deep", event, "give the inner part less depth")
        node = self._filled(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _filled(self, event: Any, depth: int) -> _Node:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.MappingStartEvent):
            return _Node(line, pairs=self._pairs(depth))
        if isinstance(event, yaml.SequenceStartEvent):
            return _Node(line, items=self._items(depth))
        return _Node(line, value=event.value if event.style else self._scalar(event))

    def _items(self, depth: int) -> list[_Node]:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items

    def _pairs(self, depth: int) -> list[tuple[str, int, _Node]]:
        pairs: dict[str, tuple[int, _Node]] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key, line = self._key(event), event.start_mark.line + 1
            if key in pairs:
                hint = f"it stands on line {pairs[key][0]} too: keep one"
                raise self._refused(f'the key "{key}" stands here a second time', event, hint)
            pairs[key] = line, self._node(next(self._events), depth + 1)
        return [(key, line, node) for key, (line, node) in pairs.items()]

    def _key(self, event: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.tag is not None or not (event.value or event.style):
            raise self._refused("a key is a text", event, "write the key as a plain word, or in quotes")
        if event.value == "<<" and not event.style:
            raise self._refused('the merge key "<<" is not read', event, "write the keys out, or use `include`")
        return str(event.value)

    def _scalar(self, event: Any) -> Json:
        text = event.value
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _NOT_A_NUMBER.fullmatch(text) or _DIGITS.fullmatch(text):
            raise self._refused(f"{text[:40]} is a number that JSON cannot carry", event, "quote it if it is a text")
        if not _FLOAT.fullmatch(text):
            return text
        if not math.isfinite(number := float(text)):
            raise self._refused(f"{text[:40]} is a number that JSON cannot carry", event, "quote it if it is a text")
        return number

    def _refused(self, message: str, event: Any, hint: str) -> PolicyError:
        return PolicyError(message, file=self._file, line=event.start_mark.line + 1, hint=hint)


def _plain(node: _Node, path: Path, file: str, places: dict[Path, Place]) -> Json:
    """Return the value of a node and note the places. `setdefault`: a key's line goes before its value's."""
    places.setdefault(path, Place(file, node.line))
    if len(places) > MAX_NODES:
        raise PolicyError(
            f"with its aliases filled in the file has more than {MAX_NODES:,} values", file=file, line=node.line,
            hint="use fewer aliases (`*name`)",
        )  # fmt: skip
    if len(path) > MAX_DEPTH:
        raise PolicyError(f"nested more than {MAX_DEPTH} levels deep", file=file, line=node.line)
    if node.pairs is not None:
        found = {}
        for key, line, child in node.pairs:
            places[*path, key] = Place(file, line)
            found[key] = _plain(child, (*path, key), file, places)
        return found
    if node.items is not None:
        return [_plain(child, (*path, n), file, places) for n, child in enumerate(node.items)]
    return node.value


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f'the key "{key}" stands twice in one object')
        found[key] = value
    return found


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:40]} is out of range")
    return number
