"""A report as told, before it has a format: sections of paragraphs, lists, tables and drawings.

Each format (text, markdown, page) draws these blocks, and escapes in one place what stands in them. So they all say
the same. Words are plain text of anybody; `Code` is text of a script or an agent that is shown as it is written.

Not here: what is told (sections), escaping (escaped).
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_CODE = 300
"""Characters of a `Code` that are shown."""


@dataclass(frozen=True, slots=True)
class Code:
    """A name or text that somebody else wrote."""

    text: str


@dataclass(frozen=True, slots=True)
class At:
    """A line of the script; a page links it."""

    line: int


Words = tuple[str | Code | At, ...]

ERROR, WARNING, WIDENS = "error", "warning", "widens"
"""What stands before words that a person should mind; each format shows the word and may colour it."""


@dataclass(frozen=True, slots=True)
class Said:
    """One paragraph."""

    words: Words
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One remark of a list: what, then lines of what to do, then text as it is written, such as a diff."""

    words: Words
    mark: str = ""
    more: tuple[Words, ...] = ()
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Items:
    """A list, and how many more there are."""

    items: tuple[Item, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head; `numbers` are the columns that are aligned to the right."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Words, ...], ...]
    numbers: frozenset[int] = frozenset()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Text as it is written, of several lines."""

    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture that each format draws its own way: "graph", "waterfall" or "source"."""

    what: str


@dataclass(frozen=True, slots=True)
class Folded:
    """What is long, and closed until somebody opens it where a format can."""

    title: str
    blocks: tuple[Said | Items | Table | Verbatim | Drawing, ...]


Block = Said | Items | Table | Verbatim | Drawing | Folded


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a report. `key` is its name in links."""

    key: str
    title: str
    blocks: tuple[Block, ...]
