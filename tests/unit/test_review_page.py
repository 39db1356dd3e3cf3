"""The page of a report: one document that asks for nothing, holds no mark-up of anybody else, and is never too big."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from runner.models import Finding, Reach, Severity, Verdict
from runner.review.escaped import UNSEEN
from runner.review.page import MAX_BYTES, to_page
from runner.review.report import NOT_INNOCENCE, Report, Risk, SourceLine
from tests.unit.reports_by_hand import ATTACK, SOURCE, hostile, large, rejected, rich

# What a document of ours is made of; nothing else may stand in one.
TAGS = (
    "html head meta title link style body a header p h1 h2 h3 ul li dl dt dd nav main section span table caption thead tr th tbody td "
    "div code b i br pre details summary figure figcaption footer svg defs marker path rect text"
)
ATTRIBUTES = (
    "lang charset http-equiv content name rel href class id aria-label aria-labelledby role tabindex scope colspan width height viewbox x y "
    "rx d refx refy markerwidth markerheight markerunits orient text-anchor marker-end"
)
REPORTS = pytest.mark.parametrize(
    "report", [rich(), hostile(), rejected(), large(100), large(500)], ids=["rich", "hostile", "rejected", "100", "500"]
)


class Read(HTMLParser):
    """What stands in a document: tags, attributes, texts; balanced."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.comments: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in ("meta", "link", "br") and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_comment(self, data):
        self.comments.append(data)

    def handle_data(self, data):
        self.text.append(data)


@REPORTS
def test_a_page_holds_nothing_but_what_a_page_of_ours_is_made_of(report):
    page = to_page(report)
    read = Read(page)

    assert read.open == []
    assert read.comments == []
    assert read.tags <= set(TAGS.split())
    assert {name for name, _ in read.attributes} <= set(ATTRIBUTES.split())
    assert all(value == "data:," or (value or "").startswith("#") for name, value in read.attributes if name == "href")
    assert not re.search(r"url\((?!#)|@import|https?://", re.search("<style>(.*)</style>", page, re.S)[1])
    assert UNSEEN.search(page.replace("\n", "")) is None
    assert page.encode().decode() == page


@REPORTS
def test_every_link_leads_to_something_and_no_name_stands_twice(report):
    read = Read(to_page(report))
    names = [value for name, value in read.attributes if name == "id"]

    assert len(names) == len(set(names))
    assert {value[1:] for name, value in read.attributes if name == "href" and value.startswith("#")} <= set(names)


def test_its_policy_lets_nothing_load_and_takes_its_own_style_alone():
    page = to_page(rich())
    style = re.search("<style>(.*)</style>", page, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
        in page.partition("<title>")[0]
    )


def test_words_of_a_hostile_script_stand_there_as_they_are_told():
    text = "".join(Read(to_page(hostile())).text)

    assert "<script>alert(1)</script><img src=x onerror=alert(1)> &amp; \"q\" 'q' </title></svg></style></pre>-->" in text
    assert "⟨U+001B⟩[31mred" in text
    assert "⟨U+202E⟩evil⟨U+2066⟩" in text
    assert ATTACK not in text


def test_the_source_says_in_words_what_was_reached():
    page = to_page(rich())
    rows = dict(re.findall(r'<tr id="L(\d+)".*?</th><td>(.*?)</td>', page))

    assert {number: rows[number] for number in ("1", "3", "5", "9", "12", "13")} == {
        "1": "", "3": "ran <b>spawn</b>", "5": "ran", "9": "never", "12": "fault", "13": "never <b>spawn</b>",
    }  # fmt: skip
    assert "what it mails comes from what an agent read [<code>irreversible-after-untrusted</code>]" in page
    assert page.count(NOT_INNOCENCE) == 2


def test_a_rejected_script_has_no_marks_and_no_pictures():
    page = to_page(rejected())

    assert "<svg" not in page
    assert "not rehearsed" in page
    assert '<tr id="L1"><th scope="row">1</th><td></td>' in page


def test_a_picture_has_a_box_for_each_spawn_until_there_are_too_many():
    few, many, most = (to_page(large(n, parallel=parallel)) for n, parallel in ((40, 8), (300, 50), (10_000, 5)))

    assert few.count('<svg class="box') == 40
    assert many.count('<svg class="box') == 6
    assert most.count('<svg class="box') == 60
    assert "9,700 spawns left out" in most


@pytest.mark.parametrize(("spawns", "bars", "areas"), [(60, 60, 0), (400, 400, 0), (401, 0, 3)])
def test_a_waterfall_has_bars_until_there_are_too_many(spawns, bars, areas):
    page = to_page(large(spawns))

    assert page.count('<rect class="bar') == bars
    assert page.count('<path class="area"') == areas


def script_of_a_mebibyte(line: str) -> str:
    return (line * (1024 * 1024 // len(line.encode()) + 1)).encode()[: 1024 * 1024].decode("utf-8", "ignore")


@pytest.mark.parametrize(
    "line", [SOURCE, "<&>" * 300 + "\n"], ids=["script", "mark-up"]
)  # fmt: skip
def test_a_large_script_of_ten_thousand_spawns_is_a_page_below_its_bound_that_says_what_it_left_out(line):
    source = script_of_a_mebibyte(line)
    page = to_page(large(10_000, source=source))

    assert len(page.encode()) < MAX_BYTES
    assert "left out" in page


def test_remarks_of_any_length_do_not_make_it_too_big():
    text = '"\u202e' * 5_000
    findings = tuple(Finding(text, Severity.ERROR, n, 1, text, text, text) for n in range(1, 201))
    risks = tuple(Risk(text, Severity.ERROR, text, text, n) for n in range(1, 3_000))
    page = to_page(replace(rich(), verdict=Verdict(findings, Reach(), 1, "3.11"), risks=risks))

    assert len(page.encode()) < MAX_BYTES
    assert "left out: the page would be too long" in page


def far_below() -> Report:
    lines = tuple(SourceLine(n, "x = 1 " * 20, "rehearsal", n == 39_000) for n in range(1, 40_001))
    return replace(rich(), source=lines, risks=(Risk("deep", Severity.ERROR, "far below", "", 35_000),))


def test_lines_with_remarks_and_spawns_are_kept_however_far_below():
    page = to_page(far_below())

    assert {'<tr id="L34998"', '<tr id="L35002"', '<tr id="L39000"'} <= set(re.findall(r'<tr id="L\d+"', page))
    assert "lines 35,003 to 38,999 are left out" in page
    assert '<a href="#L35000">line 35000</a>' in page


def test_a_page_of_a_hundred_spawns_takes_less_than_50_ms():
    report = large(100, parallel=25)
    took = []
    for _ in range(15):
        start = time.process_time()
        to_page(report)
        took.append(time.process_time() - start)

    # The fastest: the others waited for somebody else's processor.
    assert min(took) < 0.05
