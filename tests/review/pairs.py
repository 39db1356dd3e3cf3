"""Scripts with one known weakness each, and a hardened twin: what a fault rehearsal has to name, and what it has not.

A weakness is (line of the spawn, agent, kinds that are fatal). Agents: `look`, `rate`, `write`, `other`: each returns
{"text": ..., "score": ...}; `other` is idempotent and harmless, `write` is not.
"""

from __future__ import annotations

from dataclasses import dataclass

ALL = ("failed", "timed_out", "invalid_output", "denied")
RETRIED = ("failed", "timed_out", "invalid_output")


@dataclass(frozen=True)
class Pair:
    """A weak script, what is weak in it, and its twin."""

    name: str
    weak: str
    weaknesses: frozenset[tuple[int, str, tuple[str, ...]]]
    hardened: str


def pair(name: str, weak: str, weaknesses: set[tuple[int, str, tuple[str, ...]]], hardened: str) -> Pair:
    return Pair(name, weak.strip() + "\n", frozenset(weaknesses), hardened.strip() + "\n")


PAIRS = [
    pair(
        "one result that is taken for granted",
        """
found = spawn("look", {"q": "a"}).result()
result = {"text": found["text"]}
""",
        {(1, "look", ALL)},
        """
try:
    text = spawn("look", {"q": "a"}).result()["text"]
except SpawnError:
    text = "not known"
result = {"text": text}
""",
    ),
    pair(
        "a gather in which one failure is all",
        """
found = gather([spawn("look", {"q": q}) for q in ["a", "b", "c"]])
result = {"texts": [one["text"] for one in found]}
""",
        {(1, "look", ALL)},
        """
found = gather([spawn("look", {"q": q}) for q in ["a", "b", "c"]], on_error="none")
result = {"texts": [one["text"] for one in found if one is not None]}
""",
    ),
    pair(
        "None is used like an output",
        """
found = gather([spawn("look", {"q": q}) for q in ["a", "b"]], on_error="none")
result = {"texts": [one["text"] for one in found]}
""",
        {(1, "look", ALL)},
        """
found = gather([spawn("look", {"q": q}) for q in ["a", "b"]], on_error="none")
result = {"texts": [one["text"] if one else "" for one in found]}
""",
    ),
    pair(
        "the best of nothing",
        """
found = gather([spawn("rate", {"q": "a"})], on_error="none")
best = max(one["score"] for one in found if one)
result = {"best": best}
""",
        {(1, "rate", ALL)},
        """
found = gather([spawn("rate", {"q": "a"})], on_error="none")
best = max((one["score"] for one in found if one), default=0)
result = {"best": best}
""",
    ),
    pair(
        "the mean of nothing",
        """
found = [one for one in gather([spawn("rate", {"q": "a"})], on_error="none") if one]
result = {"mean": sum(one["score"] for one in found) / len(found)}
""",
        {(1, "rate", ALL)},
        """
found = [one for one in gather([spawn("rate", {"q": "a"})], on_error="none") if one]
result = {"mean": sum(one["score"] for one in found) / max(1, len(found))}
""",
    ),
    pair(
        "the first of nothing",
        """
found = [one for one in gather([spawn("look", {"q": "a"})], on_error="none") if one]
result = {"first": found[0]["text"]}
""",
        {(1, "look", ALL)},
        """
found = [one for one in gather([spawn("look", {"q": "a"})], on_error="none") if one]
result = {"first": found[0]["text"] if found else ""}
""",
    ),
    pair(
        "a chain without a net",
        """
first = spawn("look", {"q": "a"})
second = spawn("rate", {"q": first["text"]})
result = {"score": second.result()["score"]}
""",
        {(1, "look", ALL), (2, "rate", ALL)},
        """
first = spawn("look", {"q": "a"})
second = spawn("rate", {"q": first["text"]})
done = gather([second], on_error="none")[0]
result = {"score": done["score"] if done else 0}
""",
    ),
    pair(
        "only one of two agents is caught",
        """
kept = gather([spawn("look", {"q": q}) for q in ["a", "b"]], on_error="none")
rated = spawn("rate", {"q": "x"}).result()
result = {"kept": len([one for one in kept if one]), "score": rated["score"]}
""",
        {(2, "rate", ALL)},
        """
kept = gather([spawn("look", {"q": q}) for q in ["a", "b"]], on_error="none")
rated = gather([spawn("rate", {"q": "x"})], on_error="none")[0] or {"score": 0}
result = {"kept": len([one for one in kept if one]), "score": rated["score"]}
""",
    ),
    pair(
        "a fallback that is refused with the spawn",
        """
found = spawn("look", {"q": "a"}, fallback="other").result()
result = {"text": found["text"]}
""",
        {(1, "look", ("denied",))},
        """
try:
    found = spawn("look", {"q": "a"}, fallback="other").result()
except SpawnError:
    found = {"text": ""}
result = {"text": found["text"]}
""",
    ),
    pair(
        "a retry is no net",
        """
found = spawn("other", {"q": "a"}, retry=2).result()
result = {"text": found["text"]}
""",
        {(1, "other", ALL)},
        """
try:
    found = spawn("other", {"q": "a"}, retry=2).result()
except SpawnError:
    found = {"text": ""}
result = {"text": found["text"]}
""",
    ),
    pair(
        "the wrong exception is caught",
        """
try:
    text = spawn("look", {"q": "a"}).result()["text"]
except KeyError:
    text = ""
result = {"text": text}
""",
        {(1 + 1, "look", ALL)},
        """
try:
    text = spawn("look", {"q": "a"}).result()["text"]
except (SpawnError, KeyError):
    text = ""
result = {"text": text}
""",
    ),
    pair(
        "only timeouts are caught",
        """
try:
    text = spawn("other", {"q": "a"}).result()["text"]
except SpawnTimedOut:
    text = ""
result = {"text": text}
""",
        {(2, "other", ("failed", "invalid_output", "denied"))},
        """
try:
    text = spawn("other", {"q": "a"}).result()["text"]
except SpawnError:
    text = ""
result = {"text": text}
""",
    ),
    pair(
        "a failure empties the result",
        """
found = gather([spawn("look", {"q": "a"})], on_error="none")
result = [one["text"] for one in found if one]
""",
        {(1, "look", ALL)},
        """
found = gather([spawn("look", {"q": "a"})], on_error="none")
result = [one["text"] if one else "not known" for one in found]
""",
    ),
    pair(
        "a result without a key",
        """
found = gather([spawn("look", {"q": "a"})], on_error="none")[0]
result = {"n": 1}
if found:
    result["text"] = found["text"]
""",
        {(1, "look", ALL)},
        """
found = gather([spawn("look", {"q": "a"})], on_error="none")[0]
result = {"n": 1, "text": found["text"] if found else None}
""",
    ),
    pair(
        "a script that gives up by itself",
        """
found = gather([spawn("look", {"q": q}) for q in ["a", "b"]], on_error="none")
if None in found:
    raise ValueError("one is missing")
result = {"n": len(found)}
""",
        {(1, "look", ALL)},
        """
found = gather([spawn("look", {"q": q}) for q in ["a", "b"]], on_error="none")
result = {"n": len(found), "missing": found.count(None)}
""",
    ),
    pair(
        "as many as there are",
        """
handles = [spawn("look", {"q": q}) for q in ["a", "b"]]
texts = [handle.result()["text"] for handle in as_completed(handles)]
result = {"texts": texts}
""",
        {(1, "look", ALL)},
        """
handles = [spawn("look", {"q": q}) for q in ["a", "b"]]
texts = []
for handle in as_completed(handles):
    try:
        texts.append(handle.result()["text"])
    except SpawnError:
        texts.append("")
result = {"texts": texts}
""",
    ),
    pair(
        "one of two is enough, and both are asked for",
        """
both = gather([spawn("look", {"q": "a"}), spawn("other", {"q": "a"})], min_ok=2)
result = {"text": both[0]["text"]}
""",
        {(1, "look", ALL), (1, "other", ALL)},
        """
first = first_ok([spawn("look", {"q": "a"}), spawn("other", {"q": "a"})])
result = {"text": first["text"]}
""",
    ),
    pair(
        "the second wave needs the whole first one",
        """
first = gather([spawn("look", {"q": q}) for q in ["a", "b"]], on_error="none")
second = gather([spawn("rate", {"q": one["text"]}) for one in first], on_error="none")
result = {"n": len(second)}
""",
        {(1, "look", ALL)},
        """
first = gather([spawn("look", {"q": q}) for q in ["a", "b"]], on_error="none")
second = gather([spawn("rate", {"q": one["text"]}) for one in first if one], on_error="none")
result = {"n": len(second)}
""",
    ),
    pair(
        "a then that is not caught",
        """
short = spawn("look", {"q": "a"}).then(lambda out: out["text"][:10])
result = {"short": short.result()}
""",
        {(1, "look", ALL)},
        """
short = spawn("look", {"q": "a"}).then(lambda out: out["text"][:10])
try:
    told = short.result()
except SpawnError:
    told = ""
result = {"short": told}
""",
    ),
    pair(
        "the last step is taken for granted",
        """
found = gather([spawn("look", {"q": q}) for q in ["a", "b"]], on_error="none")
texts = [one["text"] for one in found if one]
report = spawn("write", {"q": " ".join(texts)}).result()
result = {"report": report["text"]}
""",
        {(3, "write", ALL)},
        """
found = gather([spawn("look", {"q": q}) for q in ["a", "b"]], on_error="none")
texts = [one["text"] for one in found if one]
report = gather([spawn("write", {"q": " ".join(texts)})], on_error="none")[0]
result = {"report": report["text"] if report else " ".join(texts)}
""",
    ),
    pair(
        "a lookup by what may be missing",
        """
names = ["a", "b"]
found = gather([spawn("rate", {"q": name}) for name in names], on_error="none")
scores = {name: one["score"] for name, one in zip(names, found) if one}
result = {"a": scores["a"], "b": scores["b"]}
""",
        {(2, "rate", ALL)},
        """
names = ["a", "b"]
found = gather([spawn("rate", {"q": name}) for name in names], on_error="none")
scores = {name: one["score"] for name, one in zip(names, found) if one}
result = {"a": scores.get("a", 0), "b": scores.get("b", 0)}
""",
    ),
]
