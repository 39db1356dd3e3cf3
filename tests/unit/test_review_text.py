"""A report as text and as Markdown: golden, and without anything of a hostile script that acts."""

from __future__ import annotations

import html
import os
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from runner.models import Severity
from runner.review.escaped import code_for_markdown, fenced, for_html, for_markdown, one_line, visible
from runner.review.graph_text import to_dot, to_mermaid
from runner.review.markdown import MAX_CHARACTERS, to_markdown
from runner.review.page import to_page
from runner.review.report import NOT_INNOCENCE, Risk
from runner.review.scale import Lane, ticks
from runner.review.text import WIDTH, lines, styled
from tests.unit.reports_by_hand import ATTACK, ATTACKS, GRAPH, hostile, large, rejected, rich

GOLDEN = Path(__file__).parent / "reports"


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("rich.txt", lambda: "\n".join(lines(rich(), whole=True)) + "\n"),
        ("rejected.txt", lambda: "\n".join(lines(rejected(), whole=True)) + "\n"),
        ("hostile.txt", lambda: "\n".join(lines(hostile(), whole=True)) + "\n"),
        ("rich.md", lambda: to_markdown(rich())),
        ("hostile.md", lambda: to_markdown(hostile())),
        ("rich.dot", lambda: to_dot(GRAPH)),
        ("rich.mmd", lambda: to_mermaid(GRAPH) + "\n"),
        # Without the style sheet, and one element a line: so that a difference can be read.
        ("rich.html", lambda: re.sub("<style>.*?</style>", "", re.sub("sha256-[^']+", "", to_page(rich())), flags=re.S).replace("><", ">\n<")),
    ],
)
def test_a_report_reads_as_it_did(name, made):
    """RUNNER_GOLDEN=write writes the files anew; look at the difference before it is kept."""
    file = GOLDEN / name
    if os.environ.get("RUNNER_GOLDEN") == "write":
        file.write_text(made())

    assert made() == file.read_text()


def test_the_first_screen_is_what_the_report_has_for_it():
    assert lines(rich(), whole=False) == list(rich().first_screen)


@pytest.mark.parametrize("report", [rich(), hostile(), rejected()], ids=["rich", "hostile", "rejected"])
def test_pieces_are_the_same_text_and_marks_have_a_style(report):
    told = styled(report, whole=True)

    assert ["".join(text for _, text in line) for line in told] == lines(report, whole=True)
    assert {style for line in told for style, _ in line} <= {"", "title", "error", "warning", "widens", "code", "dim"}
    assert all(style in ("error", "warning", "widens") for line in told for style, text in line if text in ("error:", "warning:", "widens:"))


def test_every_format_says_what_a_rehearsal_shows():
    for told in ("\n".join(lines(rich(), whole=True)).replace("\n    ", " "), to_markdown(rich()), to_page(rich())):
        assert NOT_INNOCENCE in told


def unseen(text: str) -> list[str]:
    return [letter for letter in text if letter not in "\n\t" and unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")]


def test_nothing_of_a_hostile_script_acts_on_a_terminal_or_hides():
    told = lines(hostile(), whole=True)

    assert unseen("\n".join(told)) == []
    assert all("\n" not in line for line in told)
    assert unseen(to_markdown(hostile())) == []


def test_long_graphs_waterfalls_and_sources_are_bounded_in_text():
    told = lines(large(5_000, source="spawn('a')\n" * 3_000, parallel=3), whole=True)

    assert "    and 4,960 more" in told
    assert "    and 4,880 more" in told
    assert "    and 2,961 more" in told
    assert len(told) < 300
    assert max(map(len, told)) < WIDTH + 40


def test_text_of_a_hundred_spawns_groups_them_by_wave_and_agent():
    told = lines(large(100, parallel=25), whole=True)

    assert "      * ×25 g1 summarise (2 lines, 2 failed)" in told
    assert "      * ×25 g2 deep_research (2 lines, 2 failed) <- g1" in told


def rendered(text: str) -> str:
    """Return GitHub's mark-up of a text as far as CommonMark, tables and struck text go; raw HTML stays as it is."""
    return str(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))


def test_markdown_of_a_hostile_script_has_no_mark_up_but_its_own():
    made = rendered(to_markdown(hostile()))
    tags = set(re.findall(r"<(/?[a-z][a-z0-9]*)", made))

    assert tags - {f"/{tag}" for tag in tags} <= {
        "h2", "h3", "ul", "li", "p", "code", "details", "summary", "table", "thead", "tbody", "tr", "th", "td", "strong", "pre",
    }  # fmt: skip
    assert "<!--" not in made
    for fence in re.findall(r"<code class=\"language-(\w+)\"", made):
        assert fence in ("mermaid", "text", "json", "diff")


@pytest.mark.parametrize("text", [*ATTACKS, ATTACK, "1. x", "- x", "+ x", "=== ", "12) x", "# x", "> x", "~~x~~", "| x |", "a | b", "    x", "***", "\\"])
def test_a_text_in_markdown_is_that_text_and_nothing_else(text):
    shown = re.sub(" +", " ", one_line(text).strip())
    made = rendered(for_markdown(text))

    assert re.fullmatch(r"<p>[^<]*</p>\n|", made)
    assert re.sub(" +", " ", html.unescape(made[3:-5]).replace("\u200b", "")).strip() == shown


@pytest.mark.parametrize("text", [*ATTACKS, ATTACK, "`", "``x", "x`", " x ", "|", "a\\|b", ""])
def test_code_in_a_cell_of_markdown_is_that_text_and_nothing_else(text):
    made = rendered(f"| a | b |\n|---|---|\n| {code_for_markdown(text, 500, in_table=True)} | end |")

    assert re.search(r"<td><code>[^<]*</code></td>\n<td>end</td>", made)
    assert made.count("<td>") == 2


@pytest.mark.parametrize("text", ["@octocat", "#12", "GH-12", "https://evil.test", "HTTP://x", "www.evil.test", "mailto:a@b.test", "a@b.test"])
def test_a_mention_a_reference_or_an_address_is_broken(text):
    assert "&#8203;" in for_markdown(text)


def test_a_fence_is_longer_than_any_in_its_text():
    assert fenced("a\n````\nb", "text") == ["`````text", "a", "````", "b", "`````"]


def test_markdown_is_never_longer_than_a_comment_can_be():
    text = "very long " * 300
    risks = tuple(Risk("r", Severity.ERROR, text, text, n) for n in range(1, 100))
    told = to_markdown(replace(large(2_000), risks=risks))

    assert len(told) < MAX_CHARACTERS + 2_000
    assert "left out: the report is longer than a comment can be" in told
    assert "### Source" in told


def test_what_is_not_seen_is_told_by_its_number():
    assert visible("a\u202eb\x1b[1m\u00a0\u200d\U000e0041") == "a⟨U+202E⟩b⟨U+001B⟩[1m⟨U+00A0⟩⟨U+200D⟩⟨U+E0041⟩"
    assert visible("日本 é\tx\n") == "日本 é\tx\n"
    assert for_html("<\u200b'\">") == "&lt;⟨U+200B⟩&#x27;&quot;&gt;"
    assert one_line("x" * 1_000_000, 10) == "xxxxxxxxx…"


@pytest.mark.parametrize(("until", "found"), [(1.0, 6), (12.25, 7), (0.004, 5), (86_400.0, 5)])
def test_ticks_are_round_and_few(until, found):
    assert len(ticks(until)) == found
    assert ticks(until)[0] == 0
    assert ticks(until)[-1] <= until


def test_a_lane_counts_what_ran_at_once():
    node = GRAPH.nodes[0]
    made = tuple(replace(node, n=n, started=start, settled=end) for n, start, end in ((1, 0, 2), (2, 1, 3), (3, 2, 4)))

    assert Lane("research", made).at_once(4, 4.0) == (1, 2, 2, 1)
