"""The check over the scripts of the corpus, as they are and damaged: what it tells is true, and it never fails."""

from __future__ import annotations

import keyword
import random
import re
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.check import check
from runner.models import Script
from runner.policy import load_policy
from tests.scripts.cases import CASES, Case

POLICY = load_policy(Path(__file__).parents[1] / "scripts/policy.yaml")
# A run that the spawn limit ends has fewer spawns than the bounds of a run in which nothing raises.
WHOLE = [case for case in CASES if "spawns" not in case.limits]
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")


def bound(told: str, case: Case) -> int:
    names = {"inputs": case.inputs_copy(), "limits": SimpleNamespace(spawns=POLICY.limits.spawns), "len": len, "max": max}
    return eval(told, {"__builtins__": {}}, names)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_script_of_the_corpus_is_rejected(case: Case) -> None:
    assert [one for one in check(Script(case.name, case.source.encode()), POLICY).findings if one.severity == "error"] == []


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: case.name)
def test_the_spawns_of_a_run_lie_within_the_bounds_that_the_check_tells(case: Case) -> None:
    reach = check(Script(case.name, case.source.encode()), POLICY).reach
    spawned = sum(case.counts.values())

    assert bound(reach.spawns_lower, case) <= spawned <= bound(reach.spawns_upper, case)
    assert reach.spawns_at_least <= spawned
    assert reach.spawns_at_most is None or spawned <= reach.spawns_at_most


def test_bounds_are_told_as_numbers_or_expressions_for_most_of_the_corpus() -> None:
    """A bound that is always the policy's limit would be true and of no use."""
    told = [check(Script(case.name, case.source.encode()), POLICY).reach for case in CASES]

    assert sum(reach.spawns_upper != "limits.spawns" for reach in told) >= 0.6 * len(told)
    assert sum(reach.longest_chain is not None for reach in told) >= 0.6 * len(told)


def damaged(source: str, chance: random.Random) -> str:
    """Return a script with a few of its words left out, doubled, or replaced by others."""
    words = _TOKEN.findall(source)
    names = [at for at, word in enumerate(words) if word.isidentifier() and not keyword.iskeyword(word)]
    for at in chance.sample(names, min(len(names), chance.randint(1, 6))):
        words[at] = chance.choice([words[chance.choice(names)], "spawn", "result", "inputs", "gather", "spawn('fax')", "h[0]"])
    if chance.random() < 0.3:
        words[chance.randrange(len(words))] = chance.choice(["", "(", ")", "\n", " "])
    return "".join(words)


@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_script_gets_a_verdict_too(seed: int) -> None:
    chance = random.Random(seed)
    parsed = 0
    for _ in range(60):
        source = damaged(chance.choice(CASES).source, chance)
        verdict = check(Script("damaged", source.encode()), POLICY)

        parsed += not any(one.rule == "syntax" for one in verdict.findings)
        for one in verdict.findings:
            assert one.line >= 1 and one.column >= 1 and one.message and one.fix, asdict(one)
    assert parsed >= 10
