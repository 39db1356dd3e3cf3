"""Record the journals of this version of the dialect and of Python, once:

    .venv/bin/python -m tests.journals.make

They stand for the journals that people will have. So those of a version that is out are never made again, whatever
changes: a change after which they no longer replay breaks what was promised (DESIGN.md, rule 15). A dialect or Python
that is new gets a folder of its own beside them. Until the first version is out its folder may be made anew, where the
format of the journal was changed on purpose: remove it first.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.events import EventKind
from runner.guest.dialect import VERSION as DIALECT
from runner.policy.model import Policy
from tests.held import run_held
from tests.journals.kept import Row, rows_of, save, with_script
from tests.runs import ANY_OBJECT, agent, policy_of

HERE = Path(__file__).parent
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
FOLDER = HERE / f"dialect{DIALECT}-python{PYTHON}"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Journal:
    """One that is kept. `at` (what, handle) is where its replay diverges, as `swap` changes its script."""

    name: str
    features: str
    script: str
    inputs: Any = None
    limits: tuple[tuple[str, Any], ...] = ()
    swap: tuple[str, str] | None = None
    at: tuple[str, int] | None = None
    cut: str = ""
    """The kind of the event before which its host died; "" where it did not."""


GROWING = """
todo, seen = [spawn("a", {"n": n, "s": 5 - n}) for n in range(4)], []
for h in as_completed(todo):
    n = h.result()["n"]
    seen.append(n)
    if n < 8:
        todo.append(spawn("b", {"n": n + 4, "s": 1 + n % 3}))
result = seen
"""
RACES = """
fast = first_ok([spawn("a", {"s": s, "fail": s < 2}) for s in (1, 2, 9)])
late = gather([spawn("a", {"s": s}) for s in (1, 3, 700)], timeout=5, on_error="none")
some = gather([spawn("b", {"s": s}) for s in (1, 2, 3, 4)], enough=2, on_error="none")
result = {"fast": fast, "late": late, "some": some}
"""
ATTEMPTS = """
again = spawn("a", {"s": 1, "good": 3}, retry=3)
other = spawn("a", {"fail": True}, fallback=["b"], label="falls back")
gate = spawn("a", {"s": 2, "score": 3}, accept={"type": "object", "properties": {"score": {"minimum": 5}}})
slow = spawn("b", {"s": 90}, timeout=2.5)
result = [again.result(), other.result(), gate.error.kind, slow.error.kind, slow.error.attempts]
"""
DERIVED = """
def best(output):
    if output["n"] == 2:
        raise ValueError("not two")
    if output["n"] == 3:
        return {"other": spawn("b", {"n": 30}), "n": output["n"]}
    return output["n"] * 10
hs = [spawn("a", {"n": n, "s": n}) for n in (1, 2, 3)]
made = [h.then(best) for h in hs]
text = spawn("b", {"text": f"of {hs[0]['n']} and {made[0]}", "part": hs[2], "deep": [{"x": made[2]["n"]}]})
lost = spawn("b", {"of": made[1]})
result = [gather(made, on_error="none"), text.result(), lost.error.kind, lost.error.cause.kind]
"""
CANCELS = """
hs = [spawn("a", {"n": n, "s": 10 + n}) for n in range(5)]
hs[1].cancel()
made = hs[2].then(lambda output: output["n"])
made.cancel()
sleep(3.5)
hs[3].cancel()
result = [h.error.kind if h.error else h.result()["n"] for h in hs] + [made.error.kind]
"""
TIME_AND_CHANCE = """
import random, time, uuid
from datetime import datetime, timezone
began = time.time()
names = random.sample(["ann", "bob", "cid", "dee"], 2)
h = spawn("a", {"names": names, "id": str(uuid.uuid4()), "s": 7})
sleep(2)
middle = datetime.now(timezone.utc).isoformat()
h.result()
result = [began, middle, time.time() - began, names, random.random(), str(uuid.uuid4())]
"""
BIG = """
hs = [spawn("a", {"big": letter, "times": 40_000}) for letter in "xé"]
both = spawn("b", {"text": f"{hs[0]['big']}{hs[1]['big']}", "s": 3})
result = [len(h.result()["big"]) for h in hs] + [len(both.result()["text"])]
"""
RAISES = """
try:
    spawn("a", {"fail": True}).result()
except SpawnError as error:
    log("it failed", kind=error.kind)
print("now without a net")
def inner():
    return gather(spawn("b", {"fail": True}), spawn("a", {"s": 99}))
inner()
"""
SPAWNS = """
for n in range(100):
    spawn("a", {"n": n}).result()
"""
SLEEPS = """
print("good night")
spawn("a", {"s": 2}).result()
h = spawn("a", {"s": 900})
sleep(3600)
"""
LOOP = """
out = []
for topic in inputs["topics"]:
    found = spawn("a", {"topic": topic}, label=topic)
    out.append(spawn("b", {"found": found, "words": 12}))
result = gather(out)
"""
TOPICS = {"topics": ["tea", "coffee", "cocoa"]}

JOURNALS = (
    Journal("growing", "as_completed over a list that grows", GROWING),
    Journal("races", "first_ok, gather with timeout, enough", RACES),
    Journal("attempts", "retries, fallbacks, accept, timeouts of an attempt", ATTEMPTS),
    Journal("derived", "then, parts, texts, handles in inputs and results, causes", DERIVED),
    Journal("cancels", "cancelled spawns and thens, sleep", CANCELS),
    Journal("time-and-chance", "time, datetime, random, uuid4", TIME_AND_CHANCE),
    Journal("big", "values beside the events", BIG),
    Journal("raises", "print, log, an error that ends the run", RAISES),
    Journal("spawns", "a limit that the guest says", SPAWNS, limits=(("spawns", 5), ("parallel", 5))),
    Journal("sleeps", "a limit that the host keeps", SLEEPS, limits=(("wall", "60s"),)),
    Journal("died", "a host that died in the middle of an answer", GROWING, cut="answered"),
    Journal(
        "other-inputs", "diverging: the inputs of a spawn", LOOP, TOPICS,
        swap=('"words": 12', '"words": 12 if topic != "coffee" else 13'), at=("spawn", 4),
    ),
    Journal(
        "other-order", "diverging: spawns in another order", LOOP, TOPICS,
        swap=('inputs["topics"]', 'inputs["topics"][::-1]'), at=("spawn", 1),
    ),
    Journal(
        "other-wait", "diverging: a wait that has a timeout", LOOP, TOPICS,
        swap=("gather(out)", "gather(out, timeout=60)"), at=("wait", 0),
    ),
    Journal(
        "one-more", "diverging: one more spawn at the end", LOOP, TOPICS,
        swap=("result = gather(out)", 'result = gather(out)\nspawn("a", {"more": True}).result()'), at=("spawn", 7),
    ),
    Journal(
        "one-less", "diverging: one spawn less", LOOP, TOPICS,
        swap=('in inputs["topics"]', 'in inputs["topics"][:2]'), at=("wait", 0),
    ),
    Journal(
        "other-then", "diverging: what a then is made to", DERIVED, swap=('output["n"] * 10', 'output["n"] * 11'),
        at=("settled", 4),
    ),
    Journal(
        "other-cancel", "diverging: another spawn is cancelled", CANCELS, swap=("hs[1].cancel", "hs[4].cancel"),
        at=("cancel", 5),
    ),
    Journal("other-end", "diverging: another result", LOOP, TOPICS, swap=("gather(out)", "gather(out)[:2]"), at=("finished", 0)),
)  # fmt: skip


def act(name: str, inputs: dict[str, Any], attempt: int) -> tuple[float, Any]:
    """Take `s` seconds, then return the inputs; fail where they say so, or until the attempt that they name."""
    if (inputs.get("fail") and name == "a") or inputs.get("fail") == "all" or attempt < inputs.get("good", 1):
        return inputs.get("s", 1), ValueError(f"{name} will not")
    output = {**inputs, "big": inputs["big"] * inputs["times"]} if "times" in inputs else inputs
    return inputs.get("s", 1), {"agent": name, **output}


def policy(limits: dict[str, Any]) -> Policy:
    agents = {
        name: agent("echo", output=ANY_OBJECT, timeout="60s", idempotent=True, retries=3, description=f"agent {name}")
        for name in ("a", "b")
    }
    made = policy_of(limits={"wall": "2h", "parallel": 3, **limits}, agents=agents)
    return replace(made, folder=Path("/nowhere"))


async def recorded(home: Path, journal: Journal) -> list[Row]:
    """Run a script and return its events, as `journal` wants them to be kept."""
    ran = await run_held(
        home, journal.script, inputs=journal.inputs, policy=policy(dict(journal.limits)), act=act, seed=11
    )
    rows = rows_of(home, ran.result.run)
    if journal.cut:
        middle = len(rows) // 2
        rows = rows[: next(place for place in range(middle, len(rows)) if rows[place].kind == journal.cut)]
    if journal.swap is not None:
        old, new = journal.swap
        assert journal.script.count(old) == 1, journal.name
        rows = with_script(rows, journal.script.replace(old, new))
    return rows


def main() -> None:
    FOLDER.mkdir()
    manifest = {}
    for journal in JOURNALS:
        with tempfile.TemporaryDirectory() as home:
            rows = asyncio.run(recorded(Path(home), journal))
        save(FOLDER / f"{journal.name}.jsonl", rows)
        last = rows[-1]
        state = last.says("state") if last.kind == EventKind.RUN_FINISHED else "interrupted"
        manifest[journal.name] = {"features": journal.features, "state": state, "diverges": journal.at}
    told = {"dialect": DIALECT, "python": PYTHON, "journals": manifest}
    (FOLDER / MANIFEST).write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
