"""A report as one HTML document: no script in it, no request, readable with the keyboard, on paper and on a phone.

Its content security policy lets nothing load, run or be sent, and takes no style but its own: what a hostile script
would get past the escaping could still do nothing. Whatever others wrote passes `for_html`.

Not here: pictures (page_graph, page_waterfall), the source (page_source), looks (page_style), words (sections).
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.amounts import seconds
from runner.review.escaped import for_html, one_line, prose_for_html
from runner.review.page_graph import graph_svg
from runner.review.page_source import source_table
from runner.review.page_style import DIGEST, STYLE
from runner.review.page_waterfall import waterfall_svg
from runner.review.report import NOT_INNOCENCE, Graph, Report
from runner.review.sections import MAX_ROWS, identity, sections
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

POLICY = f"default-src 'none'; style-src 'sha256-{DIGEST}'; img-src data:; base-uri 'none'; form-action 'none'"
MAX_BYTES = 3_000_000
"""Of a page, whatever it is made of. A block that would make it longer is left out, and the page says so."""
_HEAD_BYTES = 60_000
"""More than a page has before its first section, and after its last."""


def to_page(report: Report) -> str:
    """Return the report as a whole HTML document."""
    return "".join(_Page(report).parts())


class _Page:
    """One document while it is made: the table of the source comes first, so that links know which lines it has."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._sections = sections(report)
        self._source, self._linked = source_table(report)
        self._left = MAX_BYTES - _HEAD_BYTES - _bytes(self._source)

    def parts(self) -> Iterator[str]:
        name = for_html(one_line(self._report.script, 120))
        yield (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            '<meta name="referrer" content="no-referrer">'
            f'<title>Review of {name}</title><link rel="icon" href="data:,"><style>{STYLE}</style></head>'
            '<body><a class="skip" href="#report">To the report</a>'
        )
        yield from self._header(name)
        yield '<main id="report">'
        for section in self._sections:
            yield from self._section(section)
        yield f"</main><footer><p>{for_html(NOT_INNOCENCE)}.</p></footer></body></html>\n"

    def _header(self, name: str) -> Iterator[str]:
        look, words = ("look", "⚑ A person should look") if self._report.flagged else ("fine", "✓ Nothing is flagged")
        yield f'<header><p class="kind">Review of a script</p><h1>{name}</h1><p class="status {look}">{words}</p>'
        lines = "".join(f"<li>{for_html(one_line(line, 400))}</li>" for line in self._report.first_screen)
        yield f'<ul class="first">{lines}</ul><dl>'
        for key, value in identity(self._report):
            yield f"<dt>{key}</dt><dd>{self._words(value)}</dd>"
        links = "".join(f'<li><a href="#{section.key}">{section.title}</a></li>' for section in self._sections)
        yield f'</dl></header><nav aria-label="Parts of the report"><ul>{links}</ul></nav>'

    def _section(self, section: Section) -> Iterator[str]:
        yield f'<section aria-labelledby="{section.key}"><h2 id="{section.key}">{section.title}</h2>'
        for block in section.blocks:
            yield self._source if block == Drawing("source") else self._fitting(block)
        yield "</section>"

    def _fitting(self, block: Block) -> str:
        text = "".join(self._block(block))
        size = _bytes(text)
        if size > self._left:
            return "<p>left out: the page would be too long</p>"
        self._left -= size
        return text

    def _block(self, block: Block) -> Iterator[str]:
        match block:
            case Said(words, mark):
                yield f"<p>{_mark(mark)}{self._words(words)}</p>"
            case Items(items, left_out):
                more = f"<li>and {left_out:,} more</li>" if left_out else ""
                yield f"<ul>{''.join(map(self._item, items))}{more}</ul>"
            case Table():
                yield from self._table(block)
            case Verbatim(text):
                yield f"<pre>{for_html(text)}</pre>"
            case Folded(title, blocks):
                inner = "".join(part for one in blocks for part in self._block(one))
                yield f"<details><summary>{title}</summary>{inner}</details>"
            case Drawing(what):
                yield from self._drawing(what)

    def _item(self, item: Item) -> str:
        more = "".join(f'<span class="more">{self._words(words)}</span>' for words in item.more)
        lines = f"<pre>{''.join(map(_diff_line, item.lines))}</pre>" if item.lines else ""
        return f"<li>{_mark(item.mark)}{self._words(item.words)}{more}{lines}</li>"

    def _table(self, table: Table) -> Iterator[str]:
        wide = " wide" if len(table.head) > 5 else ""
        yield f'<div class="scroll{wide}" role="region" aria-label="{table.caption}" tabindex="0"><table>'
        heads = "".join(
            f'<th scope="col"{_number(place, table)}>{for_html(cell)}</th>' for place, cell in enumerate(table.head)
        )
        yield f"<caption>{table.caption}</caption><thead><tr>{heads}</tr></thead><tbody>"
        for row in table.rows:
            cells = "".join(f"<td{_number(place, table)}>{self._words(cell)}</td>" for place, cell in enumerate(row))
            yield f"<tr>{cells}</tr>"
        yield "</tbody></table></div>"
        if table.left_out:
            yield f"<p>and {table.left_out:,} more</p>"

    def _drawing(self, what: str) -> Iterator[str]:
        assert self._report.rehearsal is not None
        graph = self._report.rehearsal.graph
        if what == "graph":
            yield from _figure("Execution graph", *graph_svg(graph))
            return
        yield from _figure("Waterfall", *waterfall_svg(graph))
        yield from self._block(Folded("All spawns as a table", (_nodes(graph),)))

    def _words(self, words: Words) -> str:
        return "".join(map(self._word, words))

    def _word(self, word: str | Code | At) -> str:
        match word:
            case Code(text):
                return f"<code>{for_html(one_line(text, MAX_CODE))}</code>"
            case At(line) if line in self._linked:
                return f'<a href="#L{line}">line {line}</a>'
            case At(line):
                return f"line {line}"
            case str():
                return prose_for_html(word)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _mark(mark: str) -> str:
    return f'<span class="mark {mark}">{mark}</span> ' if mark else ""


def _number(place: int, table: Table) -> str:
    return ' class="number"' if place in table.numbers else ""


def _diff_line(line: str) -> str:
    name = {"+": "add", "-": "del"}.get(line[:1], "")
    text = for_html(one_line(line))
    return f'<span class="{name}">{text}</span>\n' if name else f"{text}\n"


def _figure(title: str, svg: str, shown: str) -> Iterator[str]:
    yield f'<figure><h3>{title}</h3><div class="scroll" role="region" aria-label="{title}" tabindex="0">{svg}</div>'
    yield f"<figcaption>It has {shown}.</figcaption></figure>"


def _nodes(graph: Graph) -> Table:
    """Return what the pictures show as a table, for whoever does not see them."""
    head = (
        "spawn", "agent", "label", "at", "wave", "outcome", "attempts", "asked", "started", "settled", "needs", "after",
    )  # fmt: skip
    rows: list[tuple[Words, ...]] = [
        (
            (f"#{node.n}{' critical' if node.critical else ''}",),
            (Code(node.agent or node.kind),),
            (one_line(node.label, 80),),
            (At(node.line),),
            (str(node.wave),),
            (node.outcome,),
            (str(node.attempts),),
            *((seconds(at),) for at in (node.asked, node.started, node.settled)),
            (_some(node.needs),),
            (_some(node.after),),
        )
        for node in graph.nodes[:MAX_ROWS]
    ]
    left_out = max(0, len(graph.nodes) - MAX_ROWS)
    return Table("Spawns of the rehearsal", head, tuple(rows), frozenset({4, 6, 7, 8, 9}), left_out)


def _some(numbers: tuple[int, ...]) -> str:
    return ", ".join(f"#{n}" for n in numbers[:12]) + (f" and {len(numbers) - 12} more" if len(numbers) > 12 else "")
