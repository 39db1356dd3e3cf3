"""A rehearsal is the broker of live runs: with the same values after the same delays both write the same journal.

The live side is the real Runner on a held clock with the agents of the corpus; in rehearsal the same agents are mocks.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner import Runner, Script
from runner.events import comparable
from runner.guest.wire import compact
from runner.policy.model import AgentEntry
from runner.rehearsal.mocks import Mocked
from runner.seams import Call
from tests.held import run_held
from tests.long import every
from tests.runs import ANY_OBJECT, agent, policy_of
from tests.scripts import agents
from tests.scripts.cases import CASES, Case
from tests.scripts.test_accepted import policy_of as corpus_policy

SEED = 7
CHOSEN = every([case for case in CASES if not case.open], nth=12)


class Acted:
    """The agents of the corpus as mocks."""

    def __init__(self, act: Any = agents.act) -> None:
        self._act = act

    def answer(self, entry: AgentEntry, call: Call) -> Mocked:
        seconds, output = self._act(entry.name, call.inputs, call.attempt)
        if isinstance(output, Exception):
            return Mocked(seconds, kind="failed", message=str(output))
        return Mocked(seconds, compact(output))


@pytest.mark.parametrize("case", CHOSEN, ids=lambda case: case.name)
async def test_a_script_of_the_corpus_goes_in_rehearsal_as_it_goes_live(case: Case, tmp_path: Path) -> None:
    policy = corpus_policy(case)
    live = await run_held(
        tmp_path / "live", case.source, policy=policy, inputs=case.inputs_copy(), seed=SEED, act=agents.act
    )
    async with Runner(home=tmp_path / "rehearsal", sandbox="process") as runner:
        report = await runner.rehearse(
            Script("test", case.source.encode()), policy=policy, inputs=case.inputs_copy(), seed=SEED, mocks=Acted()
        )

    assert comparable(report.events) == comparable(live.events)
    assert report.seconds == pytest.approx(live.result.usage.wall_seconds, abs=1e-5)
    assert report.sequential_seconds == pytest.approx(live.result.usage.sequential_seconds, abs=1e-5)


# --- drawn programs ----------------------------------------------------------------------------

POLICY = policy_of(
    limits={"wall": "2h", "parallel": 3},
    agents={name: agent("echo", output=ANY_OBJECT, timeout="30s", idempotent=True) for name in ("a", "b")},
)


def act(name: str, inputs: dict[str, Any], attempt: int) -> tuple[float, Any]:
    if attempt < inputs.get("good", 1):
        return inputs["s"], ValueError(f"{name} will not")
    return inputs["s"], {"agent": name, "s": inputs["s"]}


@st.composite
def programs(draw: Any) -> str:
    """Waves of spawns that need each other, fail, are retried, cancelled, waited for in several ways."""
    lines = ["hs = []"]
    count = 0
    for _ in range(draw(st.integers(1, 4))):
        for _ in range(draw(st.integers(1, 3))):
            # No two things happen at the same time: each takes another part of a second.
            seconds = draw(st.integers(0, 40)) + (count + 1) / 64
            inputs = [f'"s": {seconds}', f'"good": {draw(st.integers(1, 3))}']
            if count and draw(st.booleans()):
                inputs.append(f'"of": hs[{draw(st.integers(0, count - 1))}]')
            retry = draw(st.sampled_from(["", ", retry=1", ", retry=2", ', fallback="b"']))
            lines.append(f'hs.append(spawn("a", {{{", ".join(inputs)}}}{retry}))')
            count += 1
        lines.append(draw(st.sampled_from([
            'gather(hs, on_error="none")', 'gather(hs, on_error="none", timeout=7.3)', "sleep(3.7)", "hs[0].cancel()",
            'gather(hs, on_error="none", enough=1)', "hs[-1].error", "pass",
        ])))  # fmt: skip
    return "\n".join([*lines, "result = [h.error.kind if h.error else h.result() for h in as_completed(hs)]"])


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(programs())
def test_a_drawn_program_goes_in_rehearsal_as_it_goes_live(tmp_path: Path, program: str) -> None:
    async def both() -> None:
        live = await run_held(tmp_path / "live", program, policy=POLICY, act=act, seed=SEED)
        async with Runner(home=tmp_path / "rehearsal", sandbox="process") as runner:
            report = await runner.rehearse(Script("test", program.encode()), policy=POLICY, seed=SEED, mocks=Acted(act))

        assert comparable(report.events) == comparable(live.events)

    asyncio.run(both())
