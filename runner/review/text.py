"""A report for a terminal: the first screen, then the rest in the order of `sections`.

Whole without colour: what a colour says stands there in words as well. `styled` gives each line as pieces with the
name of a style, for a terminal that has colours; `lines` the same as plain text. Of what a script or an agent wrote,
what a terminal would act on is told by its number.

Not here: the drawings (text_drawings), printing (cli).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from textwrap import wrap

from runner.review.escaped import one_line, visible
from runner.review.report import Report
from runner.review.sections import identity, sections
from runner.review.text_drawings import drawing
from runner.review.told import MAX_CODE, At, Block, Code, Drawing, Folded, Item, Items, Said, Table, Verbatim, Words

Piece = tuple[str, str]
"""(style, text): "title", "error", "warning", "widens", "code", "dim", "" for none."""
WIDTH = 110
# Of a cell; what is longer stands in the page.
_CELL = 48


def lines(report: Report, *, whole: bool) -> list[str]:
    """Return the report as lines of plain text: the first screen, and the rest if `whole`."""
    return ["".join(text for _, text in line) for line in styled(report, whole=whole)]


def styled(report: Report, *, whole: bool) -> list[tuple[Piece, ...]]:
    """Return the same lines in pieces that say how each is to look."""
    found: list[tuple[Piece, ...]] = [(("", one_line(line)),) for line in report.first_screen]
    if not whole:
        return found
    found.append(())
    found += [(("dim", f"{name:<7}"), *_pieces(words)) for name, words in identity(report)]
    for section in sections(report):
        found += [(), (("title", section.title),)]
        for block in section.blocks:
            found += _block(block, report)
    return found


def _block(block: Block, report: Report) -> Iterator[tuple[Piece, ...]]:
    match block:
        case Said():
            yield from _wrapped(block.words, block.mark, "  ", "    ")
        case Items():
            for item in block.items:
                yield from _item(item)
            yield from _left_out(block.left_out)
        case Table():
            yield from _table(block)
        case Verbatim():
            yield from ((("code", f"    {one_line(line)}"),) for line in visible(block.text).split("\n"))
        case Drawing():
            yield from (tuple(line) for line in drawing(block.what, report))
        case Folded():
            yield (("", f"  {block.title}:"),)
            for inner in block.blocks:
                yield from _block(inner, report)


def _item(item: Item) -> Iterator[tuple[Piece, ...]]:
    yield from _wrapped(item.words, item.mark, "  - ", "    ")
    for words in item.more:
        yield from _wrapped(words, "", "    ", "      ")
    yield from ((("code", f"      {one_line(line)}"),) for line in item.lines)


def _left_out(count: int) -> Iterator[tuple[Piece, ...]]:
    if count:
        yield (("dim", f"    and {count:,} more"),)


def _wrapped(words: Words, mark: str, first: str, rest: str) -> Iterator[tuple[Piece, ...]]:
    """Yield a paragraph as lines; the mark keeps its style, which a broken line has no other of."""
    text = "".join(text for _, text in _pieces(words))
    before = f"{first}{mark}: " if mark else first
    found = wrap(text, WIDTH, initial_indent=before, subsequent_indent=rest, break_on_hyphens=False) or [before]
    for place, line in enumerate(found):
        if place == 0 and mark:
            yield (("", first), (mark, f"{mark}:"), ("", line[len(before) - 1 :]))
        else:
            yield (("", line),)


def _pieces(words: Words) -> Iterator[Piece]:
    for word in words:
        match word:
            case Code(text):
                yield "code", one_line(text, MAX_CODE)
            case At(line):
                yield "", f"line {line}"
            case str():
                yield "", one_line(word)


def _table(table: Table) -> Iterator[tuple[Piece, ...]]:
    """Yield a table with aligned columns, two spaces between; a long cell is cut."""
    yield (("", f"  {table.caption}:"),)
    rows = [[one_line("".join(text for _, text in _pieces(cell)), _CELL) for cell in row] for row in table.rows]
    widths = [max(map(columns_of, column)) for column in zip(table.head, *rows, strict=True)]
    for place, row in enumerate([list(table.head), *rows]):
        cells = [
            pad(cell, width, right=column in table.numbers)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield (("dim" if place == 0 else "", f"    {'  '.join(cells).rstrip()}"),)
    yield from _left_out(table.left_out)


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Return the text with spaces after it, or before it."""
    space = " " * max(0, width - columns_of(text))
    return space + text if right else text + space
