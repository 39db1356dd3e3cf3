"""`orchestrate`: a chat function writes, the check answers, what it accepts is run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner import Runner, Script
from runner.errors import ExitCode, NotAccepted, NotDone, ReviewNeeded, UsageError
from runner.integrations import Orchestrated, orchestrate
from runner.integrations.writing import form
from runner.models import RunState
from runner.review.keys import new_reviewer_key
from tests.callers import attempt_began
from tests.runs import agent, policy_of

POLICY = policy_of(agents={"echo": agent("echo"), "slow": agent("slow", timeout="60s")})
REQUIRED = policy_of(agents={"echo": agent("echo")}, review="required")
GOOD = 'result = gather([spawn("echo", {"say": n}) for n in inputs["names"]])\n'
BAD = 'import os\nresult = spawn("ech", {}).result()\n'
FENCED = f"Here is the script:\n\n```python\n{GOOD}```\nIt asks in parallel.\n"
FAILS = 'said = gather([spawn("echo", {"say": n}) for n in inputs["names"]])\nresult = said[7]\n'
MENDED = 'said = gather([spawn("echo", {"say": n}) for n in inputs["names"]])\nresult = said[-1]\n'
INPUTS = {"names": ["ann", "bob"]}


class Model:
    """Answers as it was told to, and keeps what it was asked."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[list[dict[str, str]]] = []

    def __call__(self, messages: list[dict[str, str]]) -> str:
        self.asked.append(messages)
        return self.answers.pop(0)


class AsyncModel(Model):
    async def __call__(self, messages: list[dict[str, str]]) -> str:  # type: ignore[override]
        return super().__call__(messages)


@pytest.fixture
async def carried_out(own_home: Path) -> Any:
    async with Runner(home=own_home, sandbox="process") as runner:

        async def carry_out(ask: Callable[..., Any], policy: Any = POLICY, **options: Any) -> Orchestrated:
            given = {"inputs": INPUTS, "runner": runner, **options}
            return await orchestrate(ask, "Let echo say each name.", policy=policy, **given)

        carry_out.runner = runner  # type: ignore[attr-defined]
        yield carry_out


@pytest.mark.parametrize("kind", [Model, AsyncModel])
async def test_a_script_that_is_accepted_at_once_is_run(carried_out: Any, kind: type[Model]) -> None:
    model = kind(FENCED)

    done = await carried_out(model, submitter="ann")

    assert done.value == [{"said": "ann"}, {"said": "bob"}]
    assert done.script == Script("script", GOOD.encode())
    assert [draft.result for draft in done.drafts] == [done.result]
    assert [verdict.accepted for verdict in done.verdicts] == [True]
    assert done.needed is None
    begun = next(carried_out.runner.events(done.result.run)).body
    assert (begun["door"], begun["submitter"]) == ("library", "ann")
    assert model.asked == [
        [
            {"role": "system", "content": carried_out.runner.prompt(POLICY)},
            {"role": "user", "content": "Let echo say each name.\n\nThe form of `inputs`: {'names': [str] of 2}"},
        ]
    ]


async def test_what_the_check_remarks_goes_back_until_it_accepts(carried_out: Any) -> None:
    model = Model(BAD, GOOD)

    done = await carried_out(model)

    assert done.result.state is RunState.DONE
    assert [draft.verdict.accepted for draft in done.drafts] == [False, True]
    assert [draft.result for draft in done.drafts] == [None, done.result]
    first, second = model.asked
    assert second[:3] == [*first, {"role": "assistant", "content": BAD}]
    assert second[3]["role"] == "user"
    assert second[3]["content"].startswith("The script is rejected, with 2 errors:\n- line 1 `os`: module ")
    assert "Agents that exist: echo, slow." in second[3]["content"]


async def test_an_answer_with_several_fences_is_told_to_have_one(carried_out: Any) -> None:
    model = Model(f"```python\n{GOOD}```\nor\n```python\n{GOOD}```\n", GOOD)

    await carried_out(model)

    assert model.asked[1][-1]["content"].startswith("The answer has not exactly one Markdown code fence: answer with the")


async def test_after_its_tries_nothing_was_started_and_every_draft_is_there(carried_out: Any) -> None:
    model = Model(BAD, "", BAD)

    with pytest.raises(NotAccepted) as given_up:
        await carried_out(model, tries=3)

    assert given_up.value.message.startswith("no script was accepted in 3 tries; of the last one, line 1: ")
    assert given_up.value.exit_code is ExitCode.REJECTED
    assert [draft.script.text for draft in given_up.value.drafts] == [BAD, "", BAD]
    assert list(carried_out.runner.runs()) == []


async def test_a_failed_run_is_the_result_where_nothing_is_to_be_mended(carried_out: Any) -> None:
    done = await carried_out(Model(FAILS))

    assert done.result.state is RunState.FAILED
    with pytest.raises(NotDone, match="is failed, not done: list index out of range") as not_done:
        done.value  # noqa: B018
    assert not_done.value.result is done.result


@pytest.mark.parametrize("reuse", [False, True])
async def test_why_a_run_failed_goes_back_and_paid_outcomes_are_taken_where_that_was_said(carried_out: Any, reuse: bool) -> None:
    model = Model(FAILS, BAD, MENDED)

    done = await carried_out(model, mends=1, reuse=reuse)

    assert done.value == {"said": "bob"}
    assert [(draft.verdict.accepted, draft.result and draft.result.state) for draft in done.drafts] == [
        (True, RunState.FAILED), (False, None), (True, RunState.DONE),
    ]  # fmt: skip
    assert done.result.usage.attempts == (0 if reuse else 2)
    assert model.asked[1][-1]["content"] == (
        "The script was accepted and ran, and raised at line 2: IndexError: list index out of range\n"
        "Its spawns: 2 ok.\nCorrect that, and answer with the whole script and nothing else."
    )


async def test_a_mend_that_no_check_accepts_leaves_the_run_that_failed(carried_out: Any) -> None:
    done = await carried_out(Model(FAILS, BAD, BAD), tries=2, mends=3)

    assert done.result.state is RunState.FAILED
    assert [draft.verdict.accepted for draft in done.drafts] == [True, False, False]
    assert done.script.text == FAILS


async def test_a_policy_that_asks_for_a_decision_gives_back_what_approves_it(carried_out: Any, own_home: Path) -> None:
    done = await carried_out(Model(GOOD), REQUIRED)

    assert done.result is None
    assert done.needed.hint.startswith(f"runner approve {done.script.digest[:12]}")
    with pytest.raises(ReviewNeeded):
        done.value  # noqa: B018
    new_reviewer_key(own_home, "ann")
    runner = carried_out.runner
    await runner.approve(done.script, reason="looked at", policy=REQUIRED)
    assert (await runner.run(done.script, policy=REQUIRED, inputs=INPUTS)).state is RunState.DONE


async def test_cancelling_stops_the_run(carried_out: Any) -> None:
    running = asyncio.ensure_future(carried_out(Model('result = spawn("slow", {}).result()\n')))
    runner = carried_out.runner
    run = await attempt_began(runner)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert runner.view(run).state is RunState.STOPPED


async def test_what_a_chat_function_raises_comes_through(carried_out: Any) -> None:
    def ask(messages: Any) -> str:
        raise ConnectionError("no model")

    with pytest.raises(ConnectionError, match="no model"):
        await carried_out(ask)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ask": lambda messages: None}, 'the chat function returned "NoneType"; it returns the text of the answer'),
        ({"tries": 0}, "tries are at least 1, mends at least 0"),
        ({"inputs": {"when": object()}}, "inputs are no exact JSON: "),
    ],
)
async def test_a_call_that_cannot_be_served_says_why(carried_out: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        await carried_out(options.pop("ask", Model()), **options)

    assert refused.value.message.startswith(message)


def test_the_form_of_inputs_tells_keys_and_types_and_no_value() -> None:
    inputs = {"a": "hunter2", "b": [1, 2, None], "c": {"d": {"e": {"f": {"g": 1}}}}, "x\x1b[2J": 1.5, "l": []}

    assert form(inputs) == "{'a': str, 'b': [int | None] of 3, 'c': {'d': {'e': {'f': {...}}}}, 'x\\x1b[2J': float, 'l': [] of 0}"
    assert form({str(n): True for n in range(31)}).endswith("'29': bool, ...}")
