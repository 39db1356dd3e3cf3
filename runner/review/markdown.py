"""A report in Markdown for a pull request: the first screen as a list, tables, long parts folded, the graph by Mermaid.

GitHub's dialect. Everything that is not mark-up of this module is escaped: it makes no link, mention, image or HTML.
A comment there holds 65,536 characters: beyond MAX_CHARACTERS the longest parts are left out, and it says so.

Not here: the words (sections), escaping (escaped).
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.review.drawn import bounded
from runner.review.escaped import code_for_markdown, fenced, for_markdown
from runner.review.graph_text import mermaid_of
from runner.review.report import Report
from runner.review.sections import identity, sections
from runner.review.text_drawings import drawing
from runner.review.told import (
    MAX_CODE,
    At,
    Block,
    Code,
    Drawing,
    Folded,
    Item,
    Items,
    Said,
    Section,
    Table,
    Verbatim,
    Words,
)

MAX_CHARACTERS = 60_000
_TITLES = {"graph": "Execution graph", "waterfall": "Waterfall", "source": "Lines to look at"}
_LEFT_OUT = "*(left out: the report is longer than a comment can be)*"


def to_markdown(report: Report) -> str:
    """Return the report in Markdown."""
    status = "a person should look" if report.flagged else "nothing is flagged"
    head = [f"## Review of {code_for_markdown(report.script, MAX_CODE)}: {status}", ""]
    head += [f"- {for_markdown(line)}" for line in report.first_screen]
    head += ["", "<details><summary>What was reviewed</summary>", ""]
    head += [f"- {name}: {_inline(words)}" for name, words in identity(report)]
    parts = ["\n".join([*head, "", "</details>"])]
    left = MAX_CHARACTERS - len(parts[0])
    for section in sections(report):
        part, left = _section(section, report, left)
        parts.append(part)
    return "\n\n".join(parts) + "\n"


def _section(section: Section, report: Report, left: int) -> tuple[str, int]:
    """Return a section, and how many characters are left after it; a block that is too long is named, not shown."""
    blocks = [f"### {section.title}"]
    for block in section.blocks:
        text = "\n".join(_block(block, report)).strip("\n")
        if len(text) > left:
            text = _LEFT_OUT
        left -= len(text)
        blocks.append(text)
    return "\n\n".join(block for block in blocks if block), left


def _block(block: Block, report: Report) -> Iterator[str]:
    match block:
        case Said(words, mark):
            yield f"{_marked(mark)}{_inline(words)}"
        case Items(items, left_out):
            for item in items:
                yield from _item(item)
            if left_out:
                yield f"- and {left_out:,} more"
        case Table():
            yield from _table(block)
        case Verbatim(text, language):
            yield from fenced(text, language)
        case Drawing(what):
            yield from _drawing(what, report)
        case Folded(title, blocks):
            yield from _folded(title, "\n\n".join("\n".join(_block(inner, report)) for inner in blocks))


def _folded(title: str, inner: str) -> Iterator[str]:
    yield f"<details><summary>{title}</summary>"
    yield ""
    yield inner
    yield ""
    yield "</details>"


def _drawing(what: str, report: Report) -> Iterator[str]:
    if what == "graph":
        assert report.rehearsal is not None
        # The text holds entity codes alone: there is nothing in it that could end the fence.
        yield from ("```mermaid", mermaid_of(bounded(report.rehearsal.graph)), "```")
        return
    drawn = ["".join(text for _, text in line) for line in drawing(what, report)]
    if drawn:
        yield from _folded(_TITLES[what], "\n".join(fenced("\n".join(drawn), "text")))


def _item(item: Item) -> Iterator[str]:
    yield f"- {_marked(item.mark)}{_inline(item.words)}"
    yield from (f"  - {_inline(words)}" for words in item.more)
    if item.lines:
        yield ""
        yield from (f"  {line}" for line in fenced("\n".join(item.lines), "diff"))


def _table(table: Table) -> Iterator[str]:
    yield f"**{table.caption}**"
    yield ""
    yield f"| {' | '.join(for_markdown(cell) for cell in table.head)} |"
    yield f"|{'|'.join('---:' if place in table.numbers else '---' for place in range(len(table.head)))}|"
    for row in table.rows:
        yield f"| {' | '.join(_inline(cell, in_table=True) for cell in row)} |"
    if table.left_out:
        yield ""
        yield f"and {table.left_out:,} more"


def _marked(mark: str) -> str:
    return f"**{mark}:** " if mark else ""


def _inline(words: Words, *, in_table: bool = False) -> str:
    return "".join(_word(word, in_table=in_table, begins=place == 0) for place, word in enumerate(words))


def _word(word: str | Code | At, *, in_table: bool, begins: bool) -> str:
    match word:
        case Code(text):
            return code_for_markdown(text, MAX_CODE, in_table=in_table)
        case At(line):
            return f"line {line}"
        case str():
            # The spaces between two words belong to the sentence.
            before, after = " " * word.startswith(" "), " " * (word.endswith(" ") and len(word) > 1)
            return f"{before}{for_markdown(word, begins=begins)}{after}"
