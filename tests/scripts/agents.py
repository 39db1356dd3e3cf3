"""The agents of the proof corpus: what each says is a function of its inputs (of some: of the attempt, too).

`act` tells what an attempt does: after how many seconds of a held clock, and what then. The functions that the policy
names stand below it; they wait on the clock of the test. Seconds are whole 1/1024, so that sums of times are exact,
and depend on the inputs, so that outcomes come in another order than their spawns.

Some texts make trouble wherever they stand in an agent's inputs: "broken" fails, "glitch" fails once, "stuck" takes
an hour, "garbled" gives an output that breaks the promise, "hazy" gives little confidence. Not so `archive`
and `notify`, which scripts fall back to.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable
from typing import Any

Inputs = dict[str, Any]

STUCK_SECONDS = 3600.0


class Trouble(Exception):
    """The agent fails, and says why."""


def number(*parts: object) -> int:
    """Return a number that depends on nothing but these parts."""
    return zlib.crc32(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode())


def words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z0-9'-]+", text)


def _slug(text: str) -> str:
    return "-".join(words(text.lower()))[:40]


def _title(text: str) -> str:
    return " ".join(word.capitalize() for word in words(text)[:6])


# --- finding things out ----------------------------------------------------------------------


def research(inputs: Inputs, attempt: int) -> Any:
    topic, depth = inputs["topic"], inputs.get("depth", 1)
    confidence = 0.3 if "hazy" in topic.lower() else round(0.5 + number(topic) % 50 / 100, 2)
    hits = [
        {"title": f"{_title(topic)} {n}", "url": f"https://example.org/{_slug(topic)}/{n}", "score": 90 - 7 * n}
        for n in range(1, 2 + depth + number(topic) % 2)
    ]
    return {"topic": topic, "summary": f"{topic}: {len(hits)} sources agree", "confidence": confidence, "hits": hits}


def deep_research(inputs: Inputs, attempt: int) -> Any:
    topic, hints = inputs["topic"], inputs.get("hints", [])
    return {
        "topic": topic,
        "summary": f"{topic}, looked at closely" + (f" with {len(hints)} hints" if hints else ""),
        "confidence": round(0.85 + number(topic) % 10 / 100, 2),
        "sources": [f"https://library.example.org/{_slug(topic)}", *hints],
    }


def archive(inputs: Inputs, attempt: int) -> Any:
    return {"topic": inputs["topic"], "summary": f"{inputs['topic']}, from the archive", "confidence": 0.4, "hits": []}


_LISTED = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo")


def search(inputs: Inputs, attempt: int) -> Any:
    query, page, size = inputs["query"], inputs.get("page", 1), 4
    found = [f"{_slug(query)}-{name}" for name in _LISTED[: 3 + number(query) % 9]]
    shown = found[(page - 1) * size : page * size]
    return {
        "results": [{"id": one, "title": _title(one), "relevance": number(one) % 100} for one in shown],
        "next_page": page + 1 if page * size < len(found) else None,
        "total": len(found),
    }


def fetch(inputs: Inputs, attempt: int) -> Any:
    url = inputs["url"]
    if not url.startswith("https://"):
        raise Trouble(f"cannot fetch {url}: https only")
    depth = url.count("/") - 2
    links = [f"{url.rstrip('/')}/{name}" for name in ("a", "b", "c")[: number(url) % 3 + 1]] if depth < 3 else []
    return {"url": url, "title": _title(url.split("//")[1]), "body": f"The page at {url} has {len(links)} links.",
            "links": links}  # fmt: skip


def answer(inputs: Inputs, attempt: int) -> Any:
    question, context = inputs["question"], inputs.get("context")
    length = len(context if isinstance(context, str) else json.dumps(context)) if context is not None else 0
    return {
        "answer": f"{question.rstrip('?')}: yes" if number(question) % 2 else f"{question.rstrip('?')}: no",
        "confidence": min(0.95, round(0.4 + number(question) % 30 / 100 + length / 1000, 3)),
        "used_context": context is not None,
    }


def lookup_price(inputs: Inputs, attempt: int) -> Any:
    sku, region = inputs["sku"], inputs.get("region", "eu")
    if sku.startswith("X-"):
        raise Trouble(f"no such article: {sku}")
    cents = 500 + number(sku) % 20000 + {"eu": 0, "us": 150, "asia": -75}[region]
    return {"sku": sku, "region": region, "cents": cents, "in_stock": number(sku, "stock") % 4 != 0}


# --- reading and judging ---------------------------------------------------------------------


def summarise(inputs: Inputs, attempt: int) -> Any:
    text, most = inputs["text"], inputs.get("max_words", 12)
    found = words(text)
    return {"summary": " ".join(found[:most]), "words": len(found)}


def classify(inputs: Inputs, attempt: int) -> Any:
    text, labels = inputs["text"], inputs["labels"]
    named = [label for label in labels if label.lower() in text.lower()]
    label = named[0] if named else labels[number(text) % len(labels)]
    return {"label": label, "confidence": 0.95 if named else 0.55}


def extract(inputs: Inputs, attempt: int) -> Any:
    """Reads `name: value` out of a text."""
    found = dict(re.findall(r"(\w+)\s*[:=]\s*([^;,\n]+)", inputs["text"]))
    return {
        "values": {name: found[name].strip() if name in found else None for name in inputs["fields"]},
        "missing": [name for name in inputs["fields"] if name not in found],
    }


def score(inputs: Inputs, attempt: int) -> Any:
    item = inputs["item"]
    points = number(item, inputs.get("criteria", "")) % 101
    return {"score": points, "reason": "strong" if points >= 66 else "fair" if points >= 33 else "weak"}


def judge(inputs: Inputs, attempt: int) -> Any:
    answers = inputs["answers"]
    if not answers:
        raise Trouble("there is nothing to judge")
    lengths = [len(one) for one in answers]
    winner = lengths.index(max(lengths))
    return {"winner": winner, "reason": f"answer {winner} says most"}


def critic(inputs: Inputs, attempt: int) -> Any:
    """Has an issue with each of four things that a draft does not name."""
    issues = [f"add {want}" for want in ("goals", "risks", "costs", "dates") if want not in inputs["draft"].lower()]
    return {"approved": not issues, "issues": issues}


def vote(inputs: Inputs, attempt: int) -> Any:
    answers = ("yes", "no", "unsure")
    return {"answer": answers[number(inputs["question"], inputs["voter"]) % 3], "voter": inputs["voter"]}


# --- making things ---------------------------------------------------------------------------


def write(inputs: Inputs, attempt: int) -> Any:
    text, context = inputs["instructions"], inputs.get("context")
    told = "" if context is None else f" [{context if isinstance(context, str) else json.dumps(context, sort_keys=True)}]"
    return {"text": f"{text.strip()}{told}"}


def translate(inputs: Inputs, attempt: int) -> Any:
    return {"text": f"<{inputs['language']}> {inputs['text']}", "language": inputs["language"]}


def merge(inputs: Inputs, attempt: int) -> Any:
    parts = [part if isinstance(part, str) else json.dumps(part, sort_keys=True) for part in inputs["parts"]]
    return {"text": inputs.get("separator", " | ").join(parts), "count": len(parts)}


def plan(inputs: Inputs, attempt: int) -> Any:
    goal = _slug(inputs["goal"])
    count = inputs.get("steps", 4)
    steps = [
        {"name": f"{goal}-{n}", "needs": [f"{goal}-{m}" for m in range(1, n) if n % m == 0 and m > 1] or
         ([f"{goal}-1"] if n > 1 else [])}
        for n in range(1, count + 1)
    ]  # fmt: skip
    return {"steps": steps}


def expand(inputs: Inputs, attempt: int) -> Any:
    """A tree: each node has up to three children, down to the fourth level."""
    node = inputs["node"]
    level = node.count(".")
    children = [f"{node}.{n}" for n in range(1, 1 + number(node) % 4)] if level < 3 else []
    return {"node": node, "value": number(node, "value") % 100, "children": children}


def write_code(inputs: Inputs, attempt: int) -> Any:
    """Writes code with some defects, one for each `!` of the task."""
    return {"code": f"def solve(): ...  # {inputs['task'].replace('!', '')}" + " BUG" * inputs["task"].count("!")}


def check_code(inputs: Inputs, attempt: int) -> Any:
    bugs = inputs["code"].count("BUG")
    return {"ok": bugs == 0, "errors": [f"defect {n}" for n in range(1, bugs + 1)]}


def fix_code(inputs: Inputs, attempt: int) -> Any:
    """Mends one defect at a time."""
    return {"code": inputs["code"].replace(" BUG", "", 1) if inputs["errors"] else inputs["code"]}


# --- acting on the world ---------------------------------------------------------------------


def publish(inputs: Inputs, attempt: int) -> Any:
    return {"id": f"doc-{number(inputs['title'], inputs['body']) % 10000:04}", "title": inputs["title"]}


def notify(inputs: Inputs, attempt: int) -> Any:
    return {"sent": True, "channel": inputs["channel"]}


# --- ill-behaved ones ------------------------------------------------------------------------


def flaky(inputs: Inputs, attempt: int) -> Any:
    """Fails as often as it is told to."""
    if attempt <= inputs.get("fails", 1):
        raise Trouble(f"try {attempt} of {inputs['task']} failed")
    return {"task": inputs["task"], "attempt": attempt}


def slow(inputs: Inputs, attempt: int) -> Any:
    return {"task": inputs["task"], "took": inputs["seconds"]}


def picky(inputs: Inputs, attempt: int) -> Any:
    """Takes whole numbers, and refuses multiples of three."""
    if inputs["n"] % 3 == 0:
        raise Trouble(f"{inputs['n']} is not to my taste")
    return {"n": inputs["n"], "square": inputs["n"] ** 2}


def sloppy(inputs: Inputs, attempt: int) -> Any:
    """Forgets half of its output at the first attempt, when the task has an odd number of letters."""
    if attempt == 1 and len(inputs["task"]) % 2:
        return {"task": inputs["task"]}
    return {"task": inputs["task"], "grade": "ABC"[number(inputs["task"]) % 3]}


# --- how long they take, and what makes trouble ----------------------------------------------

SECONDS: dict[str, tuple[float, float]] = {
    "research": (2, 6), "deep_research": (15, 20), "archive": (1, 1), "search": (1, 2), "fetch": (0.5, 3),
    "answer": (2, 4), "lookup_price": (0.25, 1), "summarise": (1, 2), "classify": (0.5, 1), "extract": (0.5, 2),
    "score": (1, 3), "judge": (3, 2), "critic": (2, 2), "vote": (1, 5), "write": (4, 6), "translate": (1, 2),
    "merge": (0.5, 0.5), "plan": (3, 3), "expand": (1, 2), "write_code": (5, 5), "check_code": (2, 1),
    "fix_code": (3, 3), "publish": (1, 1), "notify": (0.25, 0.5), "flaky": (1, 1), "slow": (0, 0), "picky": (0.5, 1),
    "sloppy": (1, 1),
}  # fmt: skip
"""Agent → the least seconds, and how many more at most."""

AGENTS: dict[str, Callable[[Inputs, int], Any]] = {name: globals()[name] for name in SECONDS}


def seconds_of(agent: str, inputs: Inputs) -> float:
    if agent == "slow":
        return round(inputs["seconds"] * 1024) / 1024
    least, more = SECONDS[agent]
    return least + int(number(agent, inputs) % 1021 * more) / 1024


def act(agent: str, inputs: Inputs, attempt: int) -> tuple[float, Any]:
    """Return after how many seconds the attempt is over, and its output, or the Trouble that it had."""
    text = json.dumps(inputs, ensure_ascii=False).lower()
    seconds = seconds_of(agent, inputs)
    if agent in ("archive", "notify"):
        return seconds, AGENTS[agent](inputs, attempt)
    if "stuck" in text:
        return STUCK_SECONDS, Trouble("it took an hour and nothing came of it")
    if "broken" in text or ("glitch" in text and attempt == 1):
        return seconds, Trouble(f"{agent} is out of order")
    if "garbled" in text:
        return seconds, {"noise": 1}
    try:
        return seconds, AGENTS[agent](inputs, attempt)
    except Trouble as trouble:
        return seconds, trouble
