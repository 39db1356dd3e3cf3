"""The tools for models' APIs: definitions that the SDKs know, calls of their own types answered by real runs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic as anthropic_sdk
import httpx2
import openai as openai_sdk
import pytest
from anthropic.types import ToolParam, ToolUseBlock
from openai.types.chat import ChatCompletionMessageFunctionToolCall
from openai.types.responses import ResponseFunctionToolCall
from pydantic import TypeAdapter

from runner import Runner
from runner.engine import envelope as whole
from runner.errors import PolicyError, UsageError
from runner.integrations import anthropic, openai, orchestrate
from runner.integrations.blocking import blocking
from runner.integrations.core import MAX_DESCRIPTION, NAMES, Caller
from runner.integrations.envelope import FIELDS
from runner.models import MIB, Finding, RunError, RunResult, RunState, Severity
from tests.callers import attempt_began
from tests.runs import agent, policy_of

POLICY = policy_of(agents={"echo": agent("echo"), "slow": agent("slow", timeout="60s")})
REQUIRED = policy_of(agents={"echo": agent("echo")}, review="required")
GOOD = 'result = spawn("echo", {"say": inputs["name"]}).result()["said"]\n'
BAD = 'result = spawn("ech", {}).result()\n'
ROOT = Path(__file__).parents[2]
CANARY = "canary-5f1d0c6e"


@pytest.fixture
async def runner(own_home: Path) -> AsyncIterator[Runner]:
    async with Runner(home=own_home, sandbox="process") as entered:
        yield entered


def ran(answer: Any) -> dict[str, Any]:
    return json.loads(answer)


def test_importing_a_door_loads_no_library() -> None:
    doors = ", ".join(f"runner.integrations.{name}" for name in ("anthropic", "openai", "langgraph", "crewai", "claude"))
    program = f"import sys, {doors}; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert not {"anthropic", "openai", "langgraph", "langchain_core", "crewai", "claude_agent_sdk"} & set(done.stdout.split())


# --- definitions -----------------------------------------------------------------------------


def test_definitions_are_what_the_sdks_take() -> None:
    for definition in anthropic.tool(POLICY).definitions:
        TypeAdapter(ToolParam).validate_python(definition, extra="forbid")

    assert [one["name"] for one in anthropic.tool(POLICY).definitions] == ["run_script", "review_script"]
    assert openai.tool(POLICY).definitions[0] == {
        "type": "function",
        "function": {
            "name": "run_script", "description": Caller(POLICY).described("run_script"),
            "parameters": Caller(POLICY).parameters("run_script"),
        },
    }  # fmt: skip
    assert openai.tool(POLICY, api="responses").definitions[1] == {
        "type": "function", "name": "review_script", "description": Caller(POLICY).described("review_script"),
        "parameters": Caller(POLICY).parameters("review_script"), "strict": False,
    }  # fmt: skip


def test_how_to_write_a_script_stands_where_no_vendor_cuts_it_off() -> None:
    caller = Caller(POLICY)

    assert all(len(caller.described(name)) <= MAX_DESCRIPTION for name in NAMES)
    assert caller.parameters("run_script")["properties"]["source"]["description"].endswith(Runner().prompt(POLICY))


def test_a_policy_that_cannot_be_used_is_refused_when_the_tools_are_made(tmp_path: Path) -> None:
    with pytest.raises(PolicyError):
        anthropic.tool(tmp_path / "none.yaml")


# --- handlers --------------------------------------------------------------------------------


@pytest.mark.parametrize("as_dict", [False, True])
async def test_a_tool_use_of_anthropic_is_answered_with_the_envelope(runner: Runner, as_dict: bool) -> None:
    block: Any = ToolUseBlock(type="tool_use", id="toolu_1", name="run_script", input={"source": GOOD, "inputs": {"name": "ann"}})
    tools = anthropic.tool(POLICY, runner=runner)
    if as_dict:
        block = block.model_dump()

    answer = await tools.handle(block)

    assert tools.owns(block)
    assert (answer["type"], answer["tool_use_id"], answer["is_error"]) == ("tool_result", "toolu_1", False)
    assert ran(answer["content"]) == {
        "version": 1, "run": next(iter(runner.runs())).run, "script": "script", "state": "done", "result": "ann",
        "error": None, "spawns": {"ok": 1}, "findings": [], "advice": None, "omitted_bytes": 0,
    }  # fmt: skip


async def test_calls_of_both_apis_of_openai_are_answered_in_their_forms(runner: Runner) -> None:
    arguments = json.dumps({"source": f"```python\n{GOOD}```", "inputs": {"name": "bob"}})
    chat = ChatCompletionMessageFunctionToolCall(
        id="call_1", type="function", function={"name": "run_script", "arguments": arguments}  # type: ignore[arg-type]
    )
    item = ResponseFunctionToolCall(type="function_call", call_id="call_2", name="run_script", arguments=arguments)
    of_chat, of_responses = openai.tool(POLICY, runner=runner), openai.tool(POLICY, api="responses", runner=runner)

    message, output = await of_chat.handle(chat), await of_responses.handle(item)

    assert of_chat.owns(chat) and of_responses.owns(item)
    assert (message["role"], message["tool_call_id"], ran(message["content"])["result"]) == ("tool", "call_1", "bob")
    assert (output["type"], output["call_id"], ran(output["output"])["result"]) == ("function_call_output", "call_2", "bob")


async def test_a_script_that_is_refused_comes_back_with_findings_and_what_to_do(runner: Runner) -> None:
    answer = ran((await anthropic.tool(POLICY, runner=runner).handle(use({"source": BAD})))["content"])

    assert (answer["state"], answer["result"], answer["error"]["kind"]) == ("rejected", None, "agent-not-in-policy")
    assert [(one["rule"], one["line"], bool(one["fix"])) for one in answer["findings"]] == [("agent-not-in-policy", 1, True)]
    assert answer["advice"].startswith("The script is rejected, with 1 error:")
    assert "Agents that exist: echo, slow." in answer["advice"]


async def test_a_script_that_needs_a_decision_is_not_run_and_the_model_is_told_what_approves_it(runner: Runner) -> None:
    result = await anthropic.tool(REQUIRED, runner=runner).handle(use({"source": GOOD}))
    answer = ran(result["content"])

    assert result["is_error"] is True
    assert (answer["run"], answer["state"], answer["error"]["kind"]) == (None, None, "ReviewNeeded")
    assert "runner approve " in answer["advice"]
    assert answer["advice"].startswith("A person must decide before this script runs. Do not write another one")


async def test_a_run_that_failed_says_why(runner: Runner) -> None:
    answer = ran((await anthropic.tool(POLICY, runner=runner).handle(use({"source": GOOD})))["content"])

    assert (answer["state"], answer["error"]["kind"], answer["error"]["line"]) == ("failed", "KeyError", 1)
    assert answer["advice"] == (
        "The script was accepted and ran, and raised at line 1: KeyError: 'name'\n"
        "Correct that, and answer with the whole script and nothing else."
    )


async def test_a_review_tells_without_calling_an_agent(runner: Runner) -> None:
    block = use({"source": GOOD, "inputs": {"name": "ann"}}, name="review_script")
    answer = ran((await anthropic.tool(POLICY, runner=runner).handle(block))["content"])

    assert (answer["accepted"], answer["rehearsal"]["state"], answer["rehearsal"]["calls"]) == (True, "done", {"echo": {"ok": 1}})
    assert (await anthropic.tool(POLICY, runner=runner).handle(use({"source": BAD}, name="review_script")))["is_error"] is True
    assert list(runner.runs()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (None, 'run_script takes "source", a text, and "inputs", an object'),
        ({"inputs": {}}, 'run_script takes "source", a text, and "inputs", an object'),
        ({"source": 3}, 'run_script takes "source", a text, and "inputs", an object'),
        ({"source": GOOD, "inputs": '{"name": "ann"}'}, 'run_script takes "source", a text, and "inputs", an object'),
        ({"source": GOOD, "policy": "/etc/other.yaml"}, 'run_script has no parameter "policy"; it takes "source", a text, and "inputs", an object'),
        ({"source": "x" * (16 * MIB + 1)}, "a script of 16,777,217 characters; at most 16 MiB are read"),
        ({"source": GOOD, "inputs": {"n": float("nan")}}, "inputs are no exact JSON: "),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_a_model_got_wrong_is_answered_and_nothing_was_started(runner: Runner, arguments: Any, message: str) -> None:
    result = await anthropic.tool(POLICY, runner=runner).handle(use(arguments))
    answer = ran(result["content"])

    assert result["is_error"] is True
    assert answer["state"] is None
    assert answer["error"]["message"].startswith(message)
    assert list(runner.runs()) == []


@pytest.mark.parametrize("arguments", ["{", "[1]", "[" * 100_000])
async def test_arguments_that_are_no_object_are_answered(runner: Runner, arguments: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "run_script", "arguments": arguments}}

    answer = await openai.tool(POLICY, runner=runner).handle(call)

    assert ran(answer["content"])["error"]["kind"] == "UsageError"


async def test_a_call_of_something_else_is_the_programs_to_handle(runner: Runner) -> None:
    other = use({}, name="get_weather")
    tools = anthropic.tool(POLICY, runner=runner)

    assert not tools.owns(other)
    with pytest.raises(UsageError, match='"get_weather" is none of run_script, review_script'):
        await tools.handle(other)


async def test_cancelling_a_handler_stops_the_run(runner: Runner) -> None:
    handling = asyncio.ensure_future(anthropic.tool(POLICY, runner=runner).handle(use({"source": 'spawn("slow", {}).result()\nresult = 1\n'})))
    run = await attempt_began(runner)

    handling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handling

    assert runner.view(run).state is RunState.STOPPED


async def test_a_policy_that_trust_does_not_let_the_library_use_is_answered(runner: Runner, own_home: Path) -> None:
    trusted = own_home / "trust.yaml"
    trusted.touch(mode=0o600)
    trusted.write_text("version: 1\npolicies: {library: []}\n")

    answer = ran((await anthropic.tool(POLICY, runner=runner).handle(use({"source": GOOD})))["content"])

    assert answer["error"]["message"] == f'policy "test" (digest "{POLICY.digest[:12]}") is none that trust.yaml lets the library use'


# --- from code that is not async ---------------------------------------------------------------


def test_what_a_call_within_a_loop_raises_comes_through() -> None:
    async def fails() -> None:
        raise LookupError("no")

    async def inside() -> None:
        blocking(fails, Caller(POLICY))

    with pytest.raises(LookupError, match="no"):
        asyncio.run(inside())


def test_an_interrupt_of_the_wait_cancels_the_call() -> None:
    seen: list[str] = []

    async def endless() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def inside() -> None:
        blocking(endless, Caller(POLICY))

    # Of a loop that does not heed the signal itself, as asyncio.run does for the first one.
    loop = asyncio.new_event_loop()
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(inside())
    loop.close()

    assert seen == ["cancelled"]


# --- the envelope ----------------------------------------------------------------------------


def test_its_fields_are_those_of_the_envelope_of_the_command_line() -> None:
    result = RunResult("r", RunState.DONE, result=[1], script="s", spawns={"ok": 1})
    told = Caller(POLICY).told(result)

    assert list(told) == [*FIELDS, "advice", "omitted_bytes"]
    assert {name: told[name] for name in FIELDS} == {name: whole.of_result(result)[name] for name in FIELDS}


def test_a_result_that_is_too_large_for_a_model_is_counted_and_can_be_found() -> None:
    result = RunResult("run-7", RunState.DONE, result="é" * 100)
    told = Caller(POLICY, most_bytes=100).told(result)

    assert (told["state"], told["result"], told["omitted_bytes"]) == ("done", None, 202)
    assert told["advice"] == (
        "The result has 202 bytes; 100 are handed over. Run a script that returns less of it. Whoever started this finds "
        "the whole in run run-7."
    )


def test_what_scripts_and_agents_wrote_is_bounded_and_hides_nothing() -> None:
    error = RunError("ValueError", "\x1b[2Jboo\u202e" + "x" * 10_000, 1, trace=tuple((n, "f") for n in range(50)))
    finding = Finding("r", Severity.ERROR, 1, 1, "t" * 10_000, "m\x07", "f")
    told: Any = Caller(POLICY).told(RunResult("r", RunState.FAILED, error=error, findings=(finding,) * 50))

    assert (len(told["error"]["message"]), told["error"]["message"][:4], len(told["error"]["trace"])) == (2_000, "boox", 20)
    assert len(told["findings"]) == 20
    assert (len(told["findings"][0]["text"]), told["findings"][0]["message"]) == (200, "m")
    assert len(told["advice"]) < 2_300 and "\x1b" not in told["advice"]


# --- chat functions --------------------------------------------------------------------------


def replies(*answers: dict[str, Any], seen: list[Any]) -> httpx2.MockTransport:
    left = list(answers)

    def reply(request: httpx2.Request) -> httpx2.Response:
        seen.append(json.loads(request.content))
        return httpx2.Response(200, json=left.pop(0))

    return httpx2.MockTransport(reply)


def message(text: str, stop_reason: str = "end_turn") -> dict[str, Any]:
    return {
        "id": "m", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": stop_reason, "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1}, "content": [{"type": "text", "text": text}] if text else [],
    }  # fmt: skip


def completion(text: str | None, finish_reason: str = "stop") -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": text}}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-x", "choices": [choice]}


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_orchestrate_with_the_client_of_anthropic(runner: Runner, asynchronous: bool) -> None:
    seen: list[Any] = []
    transport = replies(message(BAD), message(f"```python\n{GOOD}```"), seen=seen)
    client: Any = anthropic_sdk.Anthropic(api_key=CANARY, http_client=httpx2.Client(transport=transport))
    if asynchronous:
        client = anthropic_sdk.AsyncAnthropic(api_key=CANARY, http_client=httpx2.AsyncClient(transport=transport))

    done = await orchestrate(
        anthropic.ask_with(client, model="claude-x"), "Say it.", policy=POLICY, inputs={"name": "ann"}, runner=runner
    )

    assert done.value == "ann"
    assert (seen[0]["model"], seen[0]["system"], seen[0]["max_tokens"]) == ("claude-x", runner.prompt(POLICY), 8192)
    assert [one["role"] for one in seen[1]["messages"]] == ["user", "assistant", "user"]
    assert CANARY not in json.dumps(seen)


async def test_orchestrate_with_the_client_of_openai(runner: Runner) -> None:
    seen: list[Any] = []
    transport = replies(completion(BAD), completion(GOOD), seen=seen)
    client = openai_sdk.AsyncOpenAI(api_key=CANARY, base_url="http://models.example/v1", http_client=httpx2.AsyncClient(transport=transport))

    done = await orchestrate(
        openai.ask_with(client, model="gpt-x", temperature=0), "Say it.", policy=POLICY, inputs={"name": "bob"}, runner=runner
    )

    assert done.value == "bob"
    assert (seen[0]["model"], seen[0]["temperature"]) == ("gpt-x", 0)
    assert [one["role"] for one in seen[1]["messages"]] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (message(GOOD, "max_tokens"), 'the answer of model "m" was cut off (max_tokens)'),
        (message("", "refusal"), 'the answer of model "m" has no text (refusal)'),
        (completion(GOOD, "length"), 'the answer of model "m" was cut off (length)'),
        (completion(None, "content_filter"), 'the answer of model "m" has no text (content_filter)'),
    ],
    ids=["cut", "refused", "cut-openai", "refused-openai"],
)
async def test_an_answer_that_was_cut_off_is_not_taken_for_a_script(said: dict[str, Any], problem: str) -> None:
    transport = replies(said, seen=[])
    if said.get("type") == "message":
        ask = anthropic.ask_with(anthropic_sdk.Anthropic(api_key="k", http_client=httpx2.Client(transport=transport)), model="m")
    else:
        ask = openai.ask_with(openai_sdk.OpenAI(api_key="k", http_client=httpx2.Client(transport=transport)), model="m")

    with pytest.raises(UsageError) as refused:
        await ask([{"role": "user", "content": "x"}])  # type: ignore[misc]

    assert refused.value.message == problem


def use(arguments: Any, *, name: str = "run_script") -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_1", "name": name, "input": arguments}
