"""The tasks: what is asked in words, with which inputs, and what a right run is.

A judge yields what is wrong with a run, one short sentence each; nothing yielded is right. It looks at the result, and
at the journal where the words demand how: at once, no further calls than needed, no waiting where none is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.first_try.agents import (
    PAGES,
    archive_of,
    confidence_of,
    draft_of,
    issues_of,
    label_of,
    research_of,
    summary_of,
    translation_of,
)  # fmt: skip
from benchmarks.first_try.journal import Journal
from runner.models import Json

Judge = Callable[[Any, Journal], Iterator[str]]

TEXTS = [
    "The harbour opened in 1870 and has been dredged four times since then for larger ships",
    "Rain fell for nine days",
    "A committee of seven met on Monday to discuss the budget and adjourned without a decision on Tuesday",
    "Bees dance to tell where flowers are, and the dance points away from the sun by the angle that matters",
]
QUICK = ["Acme", "Borealis", "Cobalt", "Dynamo", "Everest"]
URLS = ["https://wiki.test/tea", "https://wiki.test/sea", "https://wiki.test/salt"]


@dataclass(frozen=True, slots=True)
class Task:
    """One task. `inputs` are those of the graded run; the model sees them as an example of their form."""

    name: str
    words: str
    inputs: Json
    judge: Judge
    limits: dict[str, Json] = field(default_factory=dict)
    """Limits of the policy that differ in this task."""


TASKS: dict[str, Task] = {}


def task(words: str, inputs: Json, **limits: Json) -> Callable[[Judge], Judge]:
    """Make a task of a judge; its name is the function's."""

    def added(judge: Judge) -> Judge:
        name = judge.__name__
        TASKS[name] = Task(name, " ".join(words.split()), inputs, judge, limits)
        return judge

    return added


# --- what judges say -----------------------------------------------------------------------


def differs(result: Json, expected: Json) -> Iterator[str]:
    if result != expected:
        yield f"the result is {_short(result)}, not {_short(expected)}"


def _short(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:157]}..."


def waves(journal: Journal, most: int) -> Iterator[str]:
    if journal.waves > most:
        yield f"it spawned in {journal.waves} waves; {most} would do"


def spawns(journal: Journal, agent: str, expected: int) -> Iterator[str]:
    found = len(journal.spawned(agent))
    if found != expected:
        yield f"it asked {agent} {found} times, not {expected}"


# --- one wave ------------------------------------------------------------------------------


@task(
    """Summarise inputs["text"] in at most 5 words. The result is the summary, a text.""",
    {"text": TEXTS[0]},
)
def one_call(result: Json, journal: Journal) -> Iterator[str]:
    yield from differs(result, summary_of(TEXTS[0], 5))


@task(
    """Translate each text of inputs["texts"] into each language of inputs["languages"], all at once. The result is a
    dict from language to the list of translations, in the order of the texts.""",
    {"texts": TEXTS[:3], "languages": ["de", "fr"]},
)  # fmt: skip
def grid(result: Json, journal: Journal) -> Iterator[str]:
    yield from differs(result, {to: [translation_of(text, to) for text in TEXTS[:3]] for to in ("de", "fr")})
    yield from waves(journal, 1)


@task(
    """Summarise each text of inputs["texts"] in at most 8 words. The result is {"words": the number of words of all
    summaries together, "longest": the summary with the most letters}.""",
    {"texts": TEXTS},
)
def map_reduce(result: Json, journal: Journal) -> Iterator[str]:
    found = [summary_of(text, 8) for text in TEXTS]
    yield from differs(result, {"words": sum(len(one.split()) for one in found), "longest": max(found, key=len)})
    yield from waves(journal, 1)


@task(
    """For each URL of inputs["urls"]: read the page, summarise its text in at most 6 words, translate the summary into
    German. No page may wait for another one. The result is a dict from URL to the translated text.""",
    {"urls": URLS},
)
def chain(result: Json, journal: Journal) -> Iterator[str]:
    yield from differs(result, {url: translation_of(summary_of(PAGES[url][1], 6), "de") for url in URLS})
    yield from waves(journal, 1)


@task(
    """Have each vendor of inputs["vendors"] researched. Then, for each pair of vendors in the order of the list (first
    with second, first with third, ...), have a text drafted on the topic "A or B" (the two names), whose notes are
    exactly the text "A: <text of A's research>; B: <text of B's research>". Each draft begins as soon as its own
    two are there. The result is the list of the drafted texts.""",
    {"vendors": QUICK[:3]},
)
def pairs(result: Json, journal: Journal) -> Iterator[str]:
    found = []
    for n, a in enumerate(QUICK[:3]):
        for b in QUICK[n + 1 : 3]:
            notes = f"{a}: {research_of(a)['text']}; {b}: {research_of(b)['text']}"
            found.append(draft_of(f"{a} or {b}", notes))
    yield from differs(result, found)
    yield from spawns(journal, "research", 3)
    yield from waves(journal, 1)


@task(
    """Research the vendors of inputs["vendors"] quickly and draft one text on the topic "market" whose notes are a
    dict {"vendors": [the whole research result of each], "first": the text of the first one}. Nothing needs to wait
    in the script but for the draft. The result is the draft's number of words.""",
    {"vendors": QUICK},
)
def nested_handles(result: Json, journal: Journal) -> Iterator[str]:
    found = [research_of(vendor) for vendor in QUICK]
    yield from differs(result, len(draft_of("market", {"vendors": found, "first": found[0]["text"]}).split()))
    yield from waves(journal, 1)


@task(
    """Read the pages of inputs["urls"] and have one text drafted on the topic "pages", whose notes are the titles of
    the pages, joined by ", " in the order of the URLs. The result is the drafted text.""",
    {"urls": URLS},
)
def joined_text(result: Json, journal: Journal) -> Iterator[str]:
    yield from differs(result, draft_of("pages", ", ".join(PAGES[url][0] for url in URLS)))


@task(
    """Have the text inputs["text"] classified with inputs["labels"] by five judges (judge 0 to 4) at once. The result
    is {"label": the label that most judges chose, "votes": how many chose it}.""",
    {"text": "we sell tea and coffee", "labels": ["tea", "coffee", "water"]},
)
def voting(result: Json, journal: Journal) -> Iterator[str]:
    votes = Counter(label_of("we sell tea and coffee", ["tea", "coffee", "water"], judge) for judge in range(5))
    label, count = votes.most_common(1)[0]
    yield from differs(result, {"label": label, "votes": count})
    yield from spawns(journal, "classify", 5)
    yield from waves(journal, 1)


# --- failures ------------------------------------------------------------------------------


@task(
    """Research the vendors of inputs["vendors"], all at once; some cannot be found out. The result is {"found": a dict
    from vendor to confidence for those that could, "failed": the list of the others, in the order of inputs}.""",
    {"vendors": ["Acme", "Umbra", "Cobalt", "Gale"]},
)
def partial_failure(result: Json, journal: Journal) -> Iterator[str]:
    found = {vendor: confidence_of(vendor) for vendor in ("Acme", "Cobalt", "Gale")}
    yield from differs(result, {"found": found, "failed": ["Umbra"]})
    yield from waves(journal, 1)


@task(
    """Research the vendors of inputs["vendors"], all at once. Sources are flaky: each vendor may be tried up to three
    times in all, and no vendor may wait for the retries of another. The result is a dict from vendor to confidence.""",
    {"vendors": ["Acme", "Flux", "Everest"]},
)
def flaky(result: Json, journal: Journal) -> Iterator[str]:
    yield from differs(result, {vendor: confidence_of(vendor) for vendor in ("Acme", "Flux", "Everest")})
    yield from waves(journal, 1)
    if journal.attempts("research") != 5:
        yield f"research was called {journal.attempts('research')} times, not 5"


@task(
    """Research the vendors of inputs["vendors"], all at once. Where research fails, take what the archive says. The
    result is a dict from vendor to where its text is from ("live" or "archive").""",
    {"vendors": ["Acme", "Umbra", "Cobalt"]},
)
def second_choice(result: Json, journal: Journal) -> Iterator[str]:
    yield from differs(result, {"Acme": "live", "Umbra": "archive", "Cobalt": "live"})
    if journal.attempts("archive") != 1:
        yield f"the archive was asked {journal.attempts('archive')} times, not once"


@task(
    """Read the pages of inputs["urls"]. The result is the list, in that order, of {"url", "title"} for a page that
    could be read, and of {"url", "kind"} for one that could not, where kind is the kind of the failure.""",
    {"urls": ["https://wiki.test/tea", "https://wiki.test/gone", "https://wiki.test/sun"]},
)
def failure_kinds(result: Json, journal: Journal) -> Iterator[str]:
    yield from differs(result, [
        {"url": "https://wiki.test/tea", "title": "Tea"}, {"url": "https://wiki.test/gone", "kind": "failed"},
        {"url": "https://wiki.test/sun", "title": "Sun"},
    ])  # fmt: skip


@task(
    """Read the pages of inputs["urls"]. If at least 80 % of them could be read, the result is the list of their titles
    in order; if fewer, it is {"error": "too few", "read": how many could be}.""",
    {"urls": [*URLS, "https://wiki.test/gone", "https://wiki.test/lost"]},
)
def quorum(result: Json, journal: Journal) -> Iterator[str]:
    yield from differs(result, {"error": "too few", "read": 3})


@task(
    """The same report lies at each of inputs["mirrors"]; some are down and some are slow. Ask all at once, take the
    first text that comes, and let go of the rest. The result is that text.""",
    {"mirrors": [f"https://mirror-{n}.test/report" for n in (1, 2, 3, 4)]},
)
def mirrors(result: Json, journal: Journal) -> Iterator[str]:
    yield from differs(result, PAGES["https://mirror-3.test/report"][1])
    if journal.wall_seconds > 5:
        yield f"it took {journal.wall_seconds:.1f} s: it waited for the slow one"


@task(
    """Research the vendors of inputs["vendors"], all at once, and give them 2 seconds altogether. The result is
    {"found": a dict from vendor to confidence for those that were ready, "late": the list of the others}.""",
    {"vendors": ["Acme", "Sloth", "Cobalt"]},
)
def deadline(result: Json, journal: Journal) -> Iterator[str]:
    yield from differs(result, {"found": {"Acme": 0.9, "Cobalt": 0.8}, "late": ["Sloth"]})
    if journal.wall_seconds > 6:
        yield f"it took {journal.wall_seconds:.1f} s"


@task(
    """Have a haiku drafted on the topic "haiku of rain", with the notes inputs["notes"]. A draft of fewer than 4 words
    is no good: it may be tried again, up to 4 times in all. The result is the text of the good draft.""",
    {"notes": "rain on a tin roof"},
)
def quality_gate(result: Json, journal: Journal) -> Iterator[str]:
    yield from differs(result, draft_of("haiku of rain", "rain on a tin roof"))
    if journal.attempts("draft") > 4:
        yield f"draft was called {journal.attempts('draft')} times, more than 4"


# --- waves that depend on results ----------------------------------------------------------


@task(
    """Research the vendors of inputs["vendors"] quickly. Research those again thoroughly whose first confidence is
    below 0.6, and only those. The result is a dict from vendor to the confidence of its last research, in the order
    of inputs.""",
    {"vendors": QUICK},
)
def second_wave(result: Json, journal: Journal) -> Iterator[str]:
    final = {one: confidence_of(one, "thorough" if confidence_of(one) < 0.6 else "quick") for one in QUICK}
    yield from differs(result, final)
    if isinstance(result, dict) and list(result) != QUICK:
        yield "the vendors are not in the order of inputs"
    yield from spawns(journal, "research", 7)
    yield from waves(journal, 2)


@task(
    """Search pages for each topic of inputs["topics"], at most 3 each, and read every page that was found, each once
    even if several searches found it. The result is the sorted list of the titles.""",
    {"topics": ["water", "tea", "sun"]},
)
def fan_out(result: Json, journal: Journal) -> Iterator[str]:
    urls = {url for topic in ("water", "tea", "sun") for url in _found(topic, 3)}
    yield from differs(result, sorted(PAGES[url][0] for url in urls))
    yield from spawns(journal, "read_page", len(urls))


def _found(topic: str, limit: int) -> list[str]:
    return [url for url, (_, text, _) in PAGES.items() if topic in text.lower() and "wiki" in url][:limit]


@task(
    """Begin at inputs["start"] and read pages, following all their links, until no new page is left. Read each page
    once, skip those that cannot be read, and do not let a slow page hold up others. The result is the sorted list
    of the titles.""",
    {"start": "https://wiki.test/tea"},
)
def crawl(result: Json, journal: Journal) -> Iterator[str]:
    seen, open_ = set(), ["https://wiki.test/tea"]
    while open_:
        url = open_.pop()
        if url not in seen:
            seen.add(url)
            open_ += PAGES[url][2] if url in PAGES else []
    yield from differs(result, sorted(PAGES[url][0] for url in seen if url in PAGES))
    yield from spawns(journal, "read_page", len(seen))


@task(
    """Have a text drafted on inputs["topic"] with the notes inputs["notes"], and reviewed. While it is not approved,
    have it drafted anew with the issues of all reviews so far as feedback, oldest first; at most 6 drafts in all.
    The result is {"text": the last draft, "drafts": how many there were, "approved": whether it was approved}.""",
    {"topic": "tea", "notes": "leaves and water"},
)
def repair_loop(result: Json, journal: Journal) -> Iterator[str]:
    feedback: list[str] = []
    text = draft_of("tea", "leaves and water")
    while issues := issues_of(text):
        feedback += issues
        text = draft_of("tea", "leaves and water", feedback)
    yield from differs(result, {"text": text, "drafts": len(feedback) + 1, "approved": True})
    yield from spawns(journal, "draft", len(feedback) + 1)


@task(
    """Shorten inputs["text"] as a tree: a text of more than 12 words is cut into two halves (the first one gets the
    smaller half of the words), each is shortened in the same way, and the two results, joined by a space, are
    summarised in at most 6 words; a text of up to 12 words is summarised in at most 6 words. Summaries that do not
    need each other do not wait for each other. The result is the last summary.""",
    {"text": " ".join(TEXTS)},
)
def tree(result: Json, journal: Journal) -> Iterator[str]:
    def shortened(words: list[str]) -> str:
        if len(words) <= 12:
            return summary_of(" ".join(words), 6)
        half = len(words) // 2
        return summary_of(f"{shortened(words[:half])} {shortened(words[half:])}", 6)

    yield from differs(result, shortened(" ".join(TEXTS).split()))
    yield from waves(journal, 4)


@task(
    """Classify each text of inputs["texts"] with the labels "tea" and "other". A text about tea is then translated
    into French, any other is summarised in 4 words; no text waits for another one's. The result is the list of the
    resulting texts, in order.""",
    {"texts": ["tea from Assam is strong and dark", "coffee from Kenya is sour and light", "all the tea in China"]},
)
def routing(result: Json, journal: Journal) -> Iterator[str]:
    texts = ["tea from Assam is strong and dark", "coffee from Kenya is sour and light", "all the tea in China"]
    yield from differs(result, [translation_of(one, "fr") if "tea" in one else summary_of(one, 4) for one in texts])
    yield from spawns(journal, "translate", 2)
    yield from spawns(journal, "summarise", 1)


# --- budgets, authority, reports ------------------------------------------------------------


@task(
    """Each text of inputs["texts"] is to be summarised in 3 words, the earlier ones first; there may be more texts
    than the run may make calls. The result is {"summaries": those that could be made, in order, "left": how many
    texts were left out}.""",
    {"texts": [f"text number {n} of many" for n in range(30)]},
    spawns=12,
)
def budget(result: Json, journal: Journal) -> Iterator[str]:
    made = [summary_of(f"text number {n} of many", 3) for n in range(12)]
    yield from differs(result, {"summaries": made, "left": 18})


@task(
    """Summarise the texts of inputs["texts"] in 2 words each, with never more than 3 summaries under way at the same
    time, but always 3 as long as there are enough left. The result is the list of the summaries, in order.""",
    {"texts": [f"{n} bottles on the wall" for n in range(10)]},
)
def window(result: Json, journal: Journal) -> Iterator[str]:
    yield from differs(result, [f"{n} bottles" for n in range(10)])
    if journal.peak > 3:
        yield f"{journal.peak} were under way at once"


@task(
    """Research inputs["vendor"] and tell each person of inputs["people"] its confidence, as the message "<vendor>:
    <number of per cent, no decimals> %", with the authority to send mail and no other. Nobody is told twice,
    whatever happens. The result is the list of the ids of the messages, in order.""",
    {"vendor": "Cobalt", "people": ["ann", "bo"]},
)
def authority(result: Json, journal: Journal) -> Iterator[str]:
    yield from differs(result, [f"sent-{person}-{len('Cobalt: 80 %')}" for person in ("ann", "bo")])
    asked = [list(body["scopes"] or ()) for body in journal.spawned("notify")]
    if asked != [["mail:send"], ["mail:send"]]:
        yield f"notify was asked with the scopes {asked}"
    if any(body.get("retry") for body in journal.spawned("notify")):
        yield "a message would be sent again after a failure"


@task(
    """Research the vendors of inputs["vendors"], some of which stand in it more than once; each is to be asked about
    once. The result is a text with one line per distinct vendor, in the order of inputs: the name, padded to 10
    characters on the right, then the confidence with two decimals, padded to 6 characters on the left; and at the
    end the line "median <median of the confidences, two decimals>". Lines are joined by line feeds.""",
    {"vendors": ["Acme", "Gale", "Acme", "Cobalt", "Gale", "Dynamo"]},
)
def report(result: Json, journal: Journal) -> Iterator[str]:
    found = {one: confidence_of(one) for one in ("Acme", "Gale", "Cobalt", "Dynamo")}
    lines = [f"{name:<10}{value:>6.2f}" for name, value in found.items()]
    yield from differs(result, "\n".join([*lines, f"median {median(found.values()):.2f}"]))
    yield from spawns(journal, "research", 4)


@task(
    """Ask research and the archive about inputs["vendor"] at the same time. The result is what research says, whole,
    if its confidence is at least 0.5, else what the archive says, whole.""",
    {"vendor": "Borealis"},
)
def preference(result: Json, journal: Journal) -> Iterator[str]:
    yield from differs(result, archive_of("Borealis"))
    yield from waves(journal, 1)
