"""The page of a report in headless Chromium: silent, alone, reachable with the keyboard, readable in every light."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runner.review.page import to_page
from runner.review.report import Report
from tests.browser import browser, served
from tests.unit.reports_by_hand import hostile, large, rejected, rich

REPORTS = {"rich": rich(), "hostile": hostile(), "rejected": rejected(), "100": large(100, parallel=25), "5000": large(5_000)}
SCREENS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1200, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1200, "height": 900}},
    "mobile": {"color_scheme": "light", "viewport": {"width": 375, "height": 800}},
}
# Everything that a keyboard stops at, in the order of the document; what is in closed details is not.
STOPS = """() => [...document.querySelectorAll('a[href], summary, [tabindex="0"]')]
    .filter(one => one.tagName === 'SUMMARY' || !one.closest('details:not([open])'))
    .map(one => one.outerHTML.slice(0, 80))"""
FOCUSED = """() => { const one = document.activeElement; const style = getComputedStyle(one);
    return one === document.body ? null : [one.outerHTML.slice(0, 80), style.outlineStyle, parseFloat(style.outlineWidth)] }"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for all of these: each start takes a second or two."""
    with browser() as opened_browser:
        yield opened_browser


@contextmanager
def opened(chromium: Any, report: Report, *, until: str = "load", **screen: Any) -> Iterator[Any]:
    """Yield the page of a report in a browser. Whatever the page says or asks for is an error."""
    said: list[str] = []
    with served(to_page(report)) as server:
        page = chromium.new_page(**(screen or SCREENS["light"]))
        page.on("console", lambda message: said.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: said.append(request.url))
        page.goto(server.url, wait_until=until)
        yield page
        page.close()
    # A page is asked for, and its icon is one that needs no request.
    assert [one for one in said if one not in (server.url, "data:,")] == []
    assert server.asked == ["/"]


@pytest.mark.parametrize("name", REPORTS)
def test_a_page_says_nothing_asks_for_nothing_and_fits_any_screen(chromium, name):
    # Half a second in which nothing is asked for.
    with opened(chromium, REPORTS[name], until="networkidle") as page:
        for screen in SCREENS.values():
            page.set_viewport_size(screen["viewport"])

            assert page.evaluate("document.documentElement.scrollWidth") <= screen["viewport"]["width"]


# Each look takes axe-core seconds: the pages of many spawns are made of nothing else.
@pytest.mark.parametrize(
    ("name", "screen"),
    [("rich", "light"), ("rich", "dark"), ("rich", "mobile"), ("hostile", "dark"), ("rejected", "light"), ("large", "light")],
)
def test_a_page_breaks_no_rule_of_accessibility(chromium, name, screen):
    from axe_playwright_python.sync_playwright import Axe

    report = large(100, source="spawn('a')\n" * 10) if name == "large" else REPORTS[name]
    with opened(chromium, report, **SCREENS[screen]) as page:
        # What is closed is looked at as well.
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        found = Axe().run(page).response

        assert [(one["id"], one["nodes"][0]["html"], one["nodes"][0]["failureSummary"]) for one in found["violations"]] == []
        assert len(found["passes"]) > 15


def test_a_hostile_script_gets_no_element_and_no_code_into_its_page(chromium):
    with opened(chromium, hostile()) as page:
        found = page.evaluate("""() => [document.scripts.length, document.images.length, document.querySelectorAll('iframe, object, base, form').length,
            [...document.querySelectorAll('*')].filter(one => [...one.attributes].some(with_ => with_.name.startsWith('on'))).length]""")

        assert found == [0, 0, 0, 0]
        assert "<script>alert(1)</script>" in page.inner_text("main")


def test_the_policy_of_a_page_stops_what_would_have_got_past_the_escaping(chromium):
    """As if it had: the page with a script, an image, a style and a frame in it asks for nothing and runs nothing."""
    evil = (
        "<script>document.title = 'run'</script><img src='/image.png' onerror='document.title = 1'><style>main{display:none}</style>"
        "<link rel=stylesheet href=/sheet.css><iframe src=/frame></iframe><p style='position:fixed'>"
    )
    with served(to_page(rich()).replace("<footer>", f"{evil}<footer>")) as server:
        page = chromium.new_page()
        page.goto(server.url, wait_until="networkidle")

        assert page.title() == "Review of vendors"
        assert page.is_visible("main")
        assert page.evaluate("getComputedStyle(document.querySelector('p[style]')).position") == "static"
        assert server.asked == ["/"]


def test_the_keyboard_reaches_every_link_picture_and_fold_in_the_order_of_the_page(chromium):
    with opened(chromium, rich()) as page:
        expected = page.evaluate(STOPS)
        reached = []
        for _ in range(len(expected) + 5):
            page.keyboard.press("Tab")
            if (found := page.evaluate(FOCUSED)) is None:
                break
            reached.append(found)

        assert [text for text, _, _ in reached] == expected
        assert all(style != "none" and width >= 2 for _, style, width in reached)
        assert len(expected) > 25


def test_a_fold_opens_with_enter_and_a_link_leads_to_its_line(chromium):
    with opened(chromium, rich()) as page:
        page.focus("summary")
        page.keyboard.press("Enter")
        page.focus('a[href="#L13"]')
        page.keyboard.press("Enter")

        assert page.evaluate("document.querySelector('details').open")
        assert page.evaluate("document.querySelector('tr:target').id") == "L13"
        assert page.evaluate("document.querySelector('#L13').getBoundingClientRect().top") < 900


def test_on_paper_what_is_folded_is_open(chromium):
    with opened(chromium, rich()) as page:
        page.emulate_media(media="print")
        heights = page.evaluate("[...document.querySelectorAll('details')].map(one => one.lastElementChild.getBoundingClientRect().height)")

        assert len(heights) == 5
        assert min(heights) > 10
        assert not page.is_visible("nav")


# What text stands on, by the page's variables: (text, ground).
TEXTS = [
    (text, ground) for text in ("fg", "muted", "link", "ok", "warn", "bad") for ground in ("bg", "raised")
] + [("fg", "warn-bg"), ("fg", "bad-bg"), ("warn", "warn-bg"), ("bad", "bad-bg"), ("ok", "ok-bg")]  # fmt: skip
LINES = [("strong", "bg"), ("hot", "bg"), ("bad", "bg"), ("bar", "bg"), ("ok", "bg"), ("hot", "raised"), ("warn", "warn-bg"), ("bad", "bad-bg")]
CONTRAST = """(pairs) => {
    const style = getComputedStyle(document.documentElement);
    const light = name => {
        const parts = style.getPropertyValue('--' + name).trim().slice(1).replace(/^(.)(.)(.)$/, '$1$1$2$2$3$3').match(/../g);
        const [r, g, b] = parts.map(part => parseInt(part, 16) / 255).map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b };
    return pairs.map(([one, other]) => { const found = [light(one), light(other)].sort((a, b) => b - a); return (found[0] + 0.05) / (found[1] + 0.05) }) }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_pair_of_text_and_ground_and_every_line_has_contrast(chromium, scheme):
    with opened(chromium, rich(), **SCREENS[scheme]) as page:
        texts, found = page.evaluate(CONTRAST, TEXTS), page.evaluate(CONTRAST, LINES)

        assert [(pair, round(ratio, 2)) for pair, ratio in zip(TEXTS, texts, strict=True) if ratio < 4.5] == []
        assert [(pair, round(ratio, 2)) for pair, ratio in zip(LINES, found, strict=True) if ratio < 3] == []


# A text of a picture that leaves its box, or lies over another one of the same picture, by more than a pixel.
OVERLAPS = """() => [...document.querySelectorAll('svg[role=img]')].flatMap(picture => {
    const whole = picture.getBoundingClientRect();
    const texts = [...picture.querySelectorAll('text')].map(one => [one.textContent, one.getBoundingClientRect(), one.parentNode.getBoundingClientRect()]);
    const out = texts.filter(([, box, around]) => box.width && (box.left < whole.left - 1 || box.right > Math.min(whole.right, around.right) + 1));
    const over = texts.filter(([, a], i) => texts.some(([, b], j) => j > i && a.width && b.width &&
        Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1));
    return [...out, ...over].map(([text]) => text) })"""


@pytest.mark.parametrize("name", ["rich", "hostile", "100", "5000"])
def test_no_text_of_a_picture_leaves_its_place_or_lies_over_another(chromium, name):
    with opened(chromium, REPORTS[name]) as page:
        assert page.evaluate(OVERLAPS) == []


@pytest.mark.parametrize("screen", SCREENS)
def test_pictures_of_a_page_are_taken_for_a_person_to_look_at(chromium, screen, tmp_path):
    """RUNNER_SCREENSHOTS names a folder in which they are kept."""
    folder = Path(os.environ.get("RUNNER_SCREENSHOTS") or tmp_path)
    with opened(chromium, rich(), **SCREENS[screen]) as page:
        page.screenshot(path=folder / f"report-{screen}.png", full_page=True)

    assert (folder / f"report-{screen}.png").read_bytes().startswith(b"\x89PNG")
