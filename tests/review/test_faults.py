"""The fault rehearsal names the weaknesses that are known, and none in a hardened twin."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from runner import Runner, Script
from runner.engine.reviewing import Asked, Review
from runner.policy.model import AgentEntry
from runner.rehearsal.mocks import Mocked
from runner.review.report import FaultsView
from runner.seams import Call
from tests.review.pairs import PAIRS, Pair
from tests.runs import policy_of

TEXT = {"type": "object", "properties": {"text": {"type": "string"}, "score": {"type": "number"}}, "required": ["text", "score"]}
ASKED = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
POLICY = policy_of(
    agents={
        name: {"description": name, "python": "nowhere:to_be_found", "input": ASKED, "output": TEXT, "effects": effects}
        for name, effects in {"look": "read", "rate": "read", "other": "none", "write": "read"}.items()
    }
)
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Answers:
    """Every agent answers after a time of its own."""

    def answer(self, entry: AgentEntry, call: Call) -> Mocked:
        seconds = 1 + len(entry.name) + call.spawn / 64
        return Mocked(seconds, json.dumps({"text": f"{entry.name} of {call.inputs['q']}", "score": call.spawn}))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Runner]:
    home: Path = tmp_path_factory.mktemp("faults")
    home.chmod(0o700)
    async with Runner(home=home, sandbox="process", waiting_guests=2) as made:
        yield made


async def faults_of(runner: Runner, source: str) -> FaultsView:
    asked = Asked(Script("test", source.encode()), POLICY, {}, Answers, multiple_faults=0)
    report = await Review(asked, lambda: runner._guest(POLICY)).run()
    assert report.rehearsal is not None and report.rehearsal.state == "done", report.rehearsal
    assert report.faults is not None
    return report.faults


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
async def test_a_known_weakness_is_named_with_its_line_and_what_is_fatal(pair: Pair, runner: Runner):
    faults = await faults_of(runner, pair.weak)

    assert {(weak.line, weak.agent, weak.kinds) for weak in faults.weaknesses} == pair.weaknesses


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
async def test_a_hardened_twin_has_none(pair: Pair, runner: Runner):
    faults = await faults_of(runner, pair.hardened)

    assert (faults.weaknesses, faults.survived) == ((), faults.cases)
