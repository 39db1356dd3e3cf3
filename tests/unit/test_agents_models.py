"""Agents that are models of a vendor, on the vendor's own library and a server that speaks its format."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.agents import Setting, build_agent
from runner.errors import AgentFault, PolicyError
from runner.policy.model import Reference
from runner.seams import Agent, Call
from runner.seams.agents import ModelUsage
from tests.unit.agents_by_hand import HandCredential, call, entry, open_folder
from tests.vendors import Say, Vendors

KEY = "canary-key-f3c1a7"
TOKEN = "canary-token-9b2e44"
ANSWER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
APIS = {"anthropic": {}, "chat": {}, "responses": {"api": "responses"}}
CUT = {"anthropic": "max_tokens", "chat": "length", "responses": "max_output_tokens"}

FUNCTIONS = """
import asyncio
from runner.agents import AgentError
async def double(inputs): return {"twice": 2 * inputs["x"]}
def halve(inputs): return {"half": inputs["x"] / 2}
async def crm(inputs, call): return (await call.http.get(f"http://crm/{inputs['x']}")).json()
def sync_crm(inputs, call): return call.http.get(f"http://crm/{inputs['x']}").json()
async def told(inputs, call): return {"token": call.tokens["crm"]}
async def raises(inputs): raise ValueError("/etc/passwd has hunter2")
def sync_raises(inputs): raise ValueError("/etc/passwd has hunter2")
async def says(inputs): raise AgentError("customer 7 is unknown")
async def large(inputs): return "x" * 100_000
async def garbage(inputs): return {1, 2}
async def hang(inputs): await asyncio.sleep(600)
"""
ARGUMENTS = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}

Make = Callable[..., Agent]


@pytest.fixture
def vendors() -> Iterator[Vendors]:
    with Vendors() as server:
        yield server


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as found:
        (found / "tools.py").write_text(FUNCTIONS)
        yield found


@pytest.fixture
async def make(vendors: Vendors, folder: Path, api: str) -> AsyncIterator[Make]:
    """Returns agents of one API: with the output's schema, functions by name, and options."""
    made: list[Agent] = []

    def build(output: Any = ANSWER, *functions: str, key: Any = KEY, without: Any = (), **options: Any) -> Agent:
        tools = {name: {"description": name, "python": f"tools:{name}", "input": ARGUMENTS} for name in functions}
        base = {"base_url": vendors.url} if api == "anthropic" else {"base_url": f"{vendors.url}/v1"}
        written = {"model": "m-1", "api_key": Reference("env", ("KEY",)), **base, **APIS[api], **options}
        written = {name: value for name, value in written.items() if name not in without}
        found = entry("anthropic" if api == "anthropic" else "openai", {**written, **({"tools": tools} if tools else {})})
        read = key if callable(key) else lambda reference: key
        made.append(build_agent(replace(found, output_schema=output), Setting(folder, read_reference=read)))
        return made[-1]

    yield build
    for agent in made:
        await agent.close()


each_api = pytest.mark.parametrize("api", APIS)


async def fault_of(agent: Agent, attempt: Call) -> AgentFault:
    with pytest.raises(AgentFault) as raised:
        await agent.run(attempt)
    return raised.value


def told(fault: AgentFault) -> tuple[str, str, bool, float | None]:
    return str(fault.kind), fault.message, fault.lost, fault.slow_down


@each_api
async def test_a_model_is_told_system_and_inputs_and_asked_for_the_outputs_schema(make, vendors, caplog):
    caplog.set_level("DEBUG")
    attempt = call({"n": 7})
    output = await make(system="Be brief.").run(attempt)
    (asked,) = vendors.requests

    assert output == {"n": 7}
    assert attempt.usage == ModelUsage("m-1", 10, 5)
    assert asked.inputs == {"n": 7} and b"Be brief." in asked.body and asked.json["model"] == "m-1"
    assert asked.schema == {**ANSWER, "additionalProperties": False}
    assert asked.headers["traceparent"] == attempt.traceparent
    assert asked.headers["idempotency-key"] == "run-1:7:2:0"
    assert vendors.said(KEY) == ["authorization 0"] and KEY not in caplog.text


@each_api
async def test_without_a_schema_the_models_text_is_the_output(make, vendors):
    vendors.say(Say(text="Good morning."))

    assert await make(None).run(call("hello")) == {"text": "Good morning."}
    assert vendors.requests[0].schema is None


@each_api
async def test_an_output_that_is_no_object_is_asked_for_within_one(make, vendors):
    numbers = {"type": "array", "items": {"type": "integer"}}

    assert await make(numbers).run(call([1, 2])) == [1, 2]
    assert vendors.requests[0].schema["properties"] == {"value": numbers}


@each_api
@pytest.mark.parametrize(
    ("say", "kind", "message", "lost", "slow_down"),
    [
        (Say(status=400), "failed", "answered with status 400", False, None),
        (Say(status=404), "failed", "answered with status 404", False, None),
        (Say(status=302, headers={"location": "/v1/other"}), "failed", "answered with status 302", False, None),
        (Say(status=401), "unauthorised", "answered with status 401: it does not accept its credential", False, None),
        (Say(status=403), "unauthorised", "answered with status 403: it does not accept its credential", False, None),
        (Say(status=429, headers={"retry-after": "7"}), "failed", "answered with status 429", False, 7.0),
        (Say(status=429), "failed", "answered with status 429", False, 0.0),
        (Say(status=529, headers={"retry-after-ms": "500"}), "failed", "answered with status 529", False, 0.5),
        (Say(status=500), "failed", "answered with status 500", True, None),
        (Say(cut=40), "failed", "broke off", True, None),
        (Say(body=b"<html>busy</html>"), "invalid_output", "returned what is no JSON", False, None),
        (Say(body=b"[]"), "invalid_output", "returned what is no JSON", False, None),
        (Say(body=b'{"usage": NaN}'), "invalid_output", "returned what is no JSON", False, None),
        (Say(text="Certainly! Here it is."), "invalid_output", "returned what is no JSON", False, None),
        (Say(body=b"x" * 2_000_000), "invalid_output", "returned more than 65536 bytes", False, None),
        (Say(text="x" * 70_000), "invalid_output", "returned more than 65536 bytes", False, None),
        (Say(headers={"content-encoding": "gzip"}), "invalid_output", "returned what is no JSON", False, None),
        (Say(text=f'{{"n": "{KEY}"}}'), "invalid_output", "returned a value that its policy keeps by reference", False, None),
    ],
)  # fmt: skip
async def test_an_answer_that_is_none_becomes_one_clear_fault(make, vendors, say, kind, message, lost, slow_down):
    vendors.say(say)
    fault = await fault_of(make(), call({"n": 7}))

    assert told(fault) == (kind, f'agent "a" {message}', lost, slow_down)
    assert len(vendors.requests) == 1 and KEY not in fault.detail


@each_api
async def test_a_server_that_repeats_the_key_in_an_error_does_not_bring_it_into_the_journal(make, vendors):
    vendors.say(Say(status=401, body=f'{{"error": {{"message": "bad key {KEY}"}}}}'.encode()))
    fault = await fault_of(make(), call({"n": 7}))

    assert fault.detail == '{"error": {"message": "bad key [redacted]"}}'


@each_api
async def test_a_key_that_a_server_hides_between_control_characters_does_not_come_into_the_journal(make, vendors):
    vendors.say(Say(status=401, body=f"bad key {KEY[:9]}\x01{KEY[9:]}!".encode()))
    fault = await fault_of(make(), call({"n": 7}))

    assert fault.detail == "bad key [redacted]!"


@each_api
async def test_an_output_that_repeats_the_key_by_escapes_is_refused(make, vendors):
    vendors.say(Say(text='{"n": "\\u0063' + KEY[1:] + '"}'))
    fault = await fault_of(make(), call({"n": 7}))

    assert told(fault) == ("invalid_output", 'agent "a" returned a value that its policy keeps by reference', False, None)


@each_api
async def test_a_server_that_names_its_model_by_the_key_does_not_bring_it_into_the_journal(make, vendors):
    vendors.say(Say(model=f"m-{KEY[:9]}\x01{KEY[9:]}"))
    attempt = call({"n": 7})
    await make().run(attempt)

    assert attempt.usage == ModelUsage("m-[redacted]", 10, 5)


@each_api
@pytest.mark.parametrize("charset", ["charset=punycode", "charset*0=puny; charset*1=code", "charset=utf-16"])
async def test_no_answer_is_decoded_by_a_codec_that_its_server_names(make, vendors, monkeypatch, charset):
    # It takes 3 s for 240 kB; here it takes nothing, and fails the test.
    decoded = []
    monkeypatch.setattr("encodings.punycode.punycode_decode", lambda *asked: decoded.append(asked) or "")
    vendors.say(Say(status=400, body="busy-kva ü".encode(), headers={"content-type": f"text/plain; {charset}"}))
    fault = await fault_of(make(), call({"n": 7}))

    assert fault.detail == "busy-kva ü"
    assert decoded == []


@each_api
async def test_what_is_not_in_the_schema_is_left_to_the_broker(make, vendors):
    vendors.say(Say(value={"n": "seven", "more": 1}))

    assert await make().run(call({"n": 7})) == {"n": "seven", "more": 1}


@each_api
async def test_usage_is_recorded_of_answers_that_come_to_nothing(make, vendors, api):
    stopped, declined = call({"n": 7}), call({"n": 7})
    vendors.say(Say(text="{", stop=CUT[api], tokens=(100, 50)))
    cut = await fault_of(make(max_tokens=50), stopped)
    vendors.say(Say(text="no", stop="refusal" if api == "anthropic" else "content_filter", tokens=(3, 2)))
    refused = await fault_of(make(), declined)

    assert told(cut) == ("invalid_output", 'agent "a" had no room for its answer: its max_tokens is 50', False, None)
    assert told(refused) == ("failed", 'agent "a" declined to answer', False, None)
    assert stopped.usage == ModelUsage("m-1", 100, 50)
    assert declined.usage == ModelUsage("m-1", 3, 2)


@each_api
async def test_a_server_that_is_down_was_asked_nothing(make, vendors):
    agent = make()
    vendors.close()
    fault = await fault_of(agent, call({"n": 7}))

    assert told(fault) == ("failed", 'agent "a" could not be reached', False, None)


@each_api
async def test_a_cancelled_attempt_hangs_up(make, vendors):
    vendors.say(Say(hold=threading.Event()))
    attempt = asyncio.ensure_future(make().run(call({"n": 7})))
    await vendors.got(1)
    attempt.cancel()
    await asyncio.wait([attempt])

    assert attempt.cancelled()
    assert await asyncio.to_thread(vendors.hung_up.wait, 10)


@each_api
async def test_attempts_at_once_do_not_mix_their_inputs_their_keys_and_their_usage(make, vendors):
    vendors.answer = lambda request: Say(tokens=(request.inputs["n"], 1))
    keys = iter(f"key-{n:02}-of-an-attempt" for n in range(30))
    agent = make(key=lambda reference: next(keys))
    attempts = [call({"n": n}) for n in range(30)]
    outputs = await asyncio.gather(*(agent.run(attempt) for attempt in attempts))

    assert outputs == [{"n": n} for n in range(30)]
    assert [attempt.usage for attempt in attempts] == [ModelUsage("m-1", n, 1) for n in range(30)]
    assert len({request.headers["authorization"] for request in vendors.requests}) == 30


@each_api
async def test_what_the_vendors_libraries_would_take_from_the_environment_is_not_sent(make, vendors, monkeypatch):
    for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "ambient-credential")
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "ambient-credential-id")
    for name in ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/ambient")
    names = ["X-Secret", "Cookie", "Host", "User-Agent", "Accept", "Content-Type", "authorization", "Authorization", "X-Api-Key", "api-key",
             "anthropic-version", "Anthropic-Beta", "traceparent", "Traceparent", "Idempotency-Key", "X-Stainless-OS", "OpenAI-Project"]  # fmt: skip
    for name in ("ANTHROPIC_CUSTOM_HEADERS", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "\n".join(f"{header}: ambient {n}" for n, header in enumerate(names)))
    await make().run(call({"n": 7}))
    await make(without=["api_key"]).run(call({"n": 7}))

    assert vendors.said("ambient") == []
    assert [request.headers["authorization"] for request in vendors.requests] == [f"Bearer {KEY}", "Bearer none"]
    assert all(request.headers["traceparent"] == call().traceparent for request in vendors.requests)


@each_api
async def test_the_headers_of_a_request_are_these_and_no_others(make, vendors, api):
    await make().run(call({"n": 7}))
    (asked,) = vendors.requests

    version = {"anthropic-version": asked.headers.get("anthropic-version")} if api == "anthropic" else {}
    assert asked.headers == {
        "host": vendors.url.removeprefix("http://"), "content-length": str(len(asked.body)), "accept": "application/json",
        "accept-encoding": "identity", "content-type": "application/json", "user-agent": "runner", "authorization": f"Bearer {KEY}",
        "traceparent": call().traceparent, "idempotency-key": "run-1:7:2:0", **version,
    }  # fmt: skip
    assert api != "anthropic" or len(version["anthropic-version"]) == len("2026-01-01")


@each_api
async def test_a_key_that_cannot_be_read_ends_the_attempt_before_anything_is_sent(make, vendors):
    def read(reference: Reference) -> str:
        raise PolicyError(f"{reference} is not set")

    fault = await fault_of(make(key=read), call({"n": 7}))

    assert told(fault) == ("failed", 'agent "a" could not be started', False, None)
    assert "env:KEY cannot be read: env:KEY is not set" in fault.detail
    assert vendors.requests == []


@each_api
async def test_a_key_that_no_header_can_carry_is_told_of_without_it(make, vendors):
    fault = await fault_of(make(key=f"{KEY}\x01more"), call({"n": 7}))

    assert told(fault) == ("failed", 'agent "a" could not be started', False, None)
    assert fault.detail == "env:KEY has characters that no header can carry"
    assert vendors.requests == []


@each_api
async def test_facts_say_what_the_model_is_told_and_ask_nobody(make, vendors):
    one, same = make(ANSWER, "double").facts(), make(ANSWER, "double").facts()
    others = [make(ANSWER, "double", system="x"), make(ANSWER, "halve"), make(None, "double"), make(ANSWER, "double", model="m-2")]

    assert one == same and {"model", "server", "told", "tool double"} == set(one)
    assert all(other.facts() != one for other in others)
    assert vendors.requests == [] and KEY not in str(one)


# --- functions ---------------------------------------------------------------------------------


@each_api
async def test_functions_are_called_with_the_models_arguments_and_their_results_go_back(make, vendors):
    vendors.say(Say(calls=[("double", {"x": 4}), ("halve", {"x": 4})]), Say(calls=[("double", {"x": 5})]))
    attempt = call({"n": 7})
    output = await make(ANSWER, "double", "halve").run(attempt)

    assert output == {"n": 7}
    assert vendors.requests[2].tool_results == [('{"twice":8}', False), ('{"half":2.0}', False), ('{"twice":10}', False)]
    assert attempt.usage == ModelUsage("m-1", 30, 15)
    assert [request.headers["idempotency-key"] for request in vendors.requests] == [f"run-1:7:2:{n}" for n in range(3)]


@each_api
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("double", {"x": "four"}), 'the arguments are not as they must be: x: "four" is not of type "integer"'),
        (("double", {}), 'the arguments are not as they must be: "x" is a required property'),
        (("rm", {"x": 1}), "there is no function of that name; there are: double, raises, sync_raises, says, large, garbage"),
        (("raises", {"x": 1}), "raised ValueError"),
        (("sync_raises", {"x": 1}), "raised ValueError"),
        (("says", {"x": 1}), "customer 7 is unknown"),
        (("large", {"x": 1}), "it returned more than 65536 bytes"),
        (("garbage", {"x": 1}), "it returned what is no JSON"),
    ],
)  # fmt: skip
async def test_a_call_that_fails_is_told_to_the_model_and_the_attempt_goes_on(make, vendors, api, asked, told):
    vendors.say(Say(calls=[asked]))
    output = await make(ANSWER, "double", "raises", "sync_raises", "says", "large", "garbage").run(call({"n": 7}))

    assert output == {"n": 7}
    expected = (told, True) if api == "anthropic" else (f"error: {told}", False)
    assert vendors.requests[1].tool_results == [expected]


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_arguments_that_are_no_json_are_told_to_the_model(make, vendors):
    vendors.say(Say(calls=[("double", '{"x": NaN')]))
    await make(ANSWER, "double").run(call({"n": 7}))

    assert vendors.requests[1].tool_results == [("error: the arguments are NaN is no JSON", False)]


@each_api
async def test_a_model_that_goes_on_asking_is_stopped_and_its_last_calls_are_not_made(make, vendors):
    vendors.answer = lambda request: Say(calls=[("raises", {"x": 1})])
    attempt = call({"n": 7})
    fault = await fault_of(make(ANSWER, "raises", max_turns=3), attempt)

    assert told(fault) == ("failed", 'agent "a" was not done after 3 answers', False, None)
    assert "hunter2" in fault.detail
    assert len(vendors.requests) == 3 and attempt.usage == ModelUsage("m-1", 30, 15)
    assert len(vendors.requests[2].tool_results) == 2


@each_api
async def test_a_model_that_would_use_more_than_is_reserved_for_its_call_is_not_asked_again(make, vendors):
    vendors.answer = lambda request: Say(calls=[("double", {"x": 1})])
    attempt = call({"n": 7})
    asked: list[tuple[int, int]] = []
    attempt.affords = lambda sent, answered: asked.append((sent, answered)) or len(asked) < 2
    fault = await fault_of(make(ANSWER, "double", max_turns=5), attempt)

    assert told(fault)[:2] == ("limit_reached", 'agent "a" would use more than is reserved for one call of it, and is not done')
    assert (len(vendors.requests), attempt.usage) == (2, ModelUsage("m-1", 20, 10))
    assert asked[0][0] < asked[1][0] and asked[0][1] == 4096


@each_api
@pytest.mark.parametrize("say", [Say(status=429, headers={"retry-after": "7"}), Say(status=401), Say(cut=40)])
async def test_once_a_function_was_called_nobody_says_that_nothing_was_done(make, vendors, say):
    vendors.say(Say(calls=[("double", {"x": 1})]), say)
    fault = await fault_of(make(ANSWER, "double"), call({"n": 7}))

    assert fault.lost and fault.slow_down is None


@each_api
async def test_a_cancelled_attempt_cancels_its_functions(make, vendors):
    vendors.say(Say(calls=[("hang", {"x": 1}), ("double", {"x": 1})]))
    attempt = asyncio.ensure_future(make(ANSWER, "hang", "double").run(call({"n": 7})))
    await vendors.got(1)
    while not any("hang" in str(task.get_coro()) or "answer" in str(task.get_coro()) for task in asyncio.all_tasks()):
        await asyncio.sleep(0.005)
    attempt.cancel()
    done, _ = await asyncio.wait([attempt], timeout=10)

    assert done and attempt.cancelled()
    assert len(vendors.requests) == 1


@each_api
@pytest.mark.parametrize(("function", "observed"), [("crm", "gateway only"), ("sync_crm", None)])
async def test_a_function_reaches_resources_by_the_attempts_credential(make, vendors, function, observed):
    vendors.say(Say(calls=[(function, {"x": 42})]))
    credential = HandCredential()
    try:
        await make(ANSWER, "double", "crm", "sync_crm").run(call({"n": 7}, credential=credential))
    finally:
        await credential.close()

    (result,) = vendors.requests[1].tool_results
    assert "GET http://crm/42" in result[0]
    assert [request.target for request in credential.requests] == ["/42"]
    assert credential.observed[0] == "all" and credential.observed[-1] in (observed, "all", "gateway only")


@each_api
async def test_a_function_that_returns_a_raw_token_brings_it_to_no_model(make, vendors):
    vendors.say(Say(calls=[("told", {"x": 1})]))
    credential = HandCredential(crm=TOKEN)
    await make(ANSWER, "told").run(call({"n": 7}, credential=credential))

    assert credential.observed[-1] == "none"
    assert vendors.said(TOKEN) == []
    assert vendors.requests[1].tool_results[0][0].endswith("returned a credential that it was handed")


# --- what servers may say ------------------------------------------------------------------------


HOSTILE = [
    {}, {"content": 5}, {"content": [5, None, {"type": "text", "text": 5}]}, {"content": [{"type": "tool_use"}]},
    {"content": [{"type": "tool_use", "id": [], "name": {}, "input": 5}], "usage": {"input_tokens": -1, "output_tokens": True}},
    {"choices": []}, {"choices": [{"message": []}]}, {"choices": [{"message": {"content": {}, "tool_calls": [{}, 5]}}]},
    {"choices": [{"message": {"tool_calls": [{"function": {"name": "double", "arguments": 5}}]}}], "usage": []},
    {"output": {}, "usage": {"input_tokens": "many", "output_tokens": 10**30}, "model": 5},
    {"output": [{"type": "message", "content": [5, {"text": 5}]}, {"type": "function_call"}], "model": "m\u202e\x00" * 500},
    {"status": "incomplete", "incomplete_details": 5}, {"stop_reason": [], "content": {}},
]  # fmt: skip


@each_api
@pytest.mark.parametrize("said", HOSTILE, ids=range(len(HOSTILE)))
async def test_an_answer_of_any_shape_is_an_output_or_a_fault(make, vendors, said):
    vendors.answer = lambda request: Say(body=json.dumps(said).encode())
    attempt = call({"n": 7})
    fault = await fault_of(make(ANSWER, "double"), attempt)

    assert fault.kind in ("invalid_output", "failed") and not fault.lost
    assert attempt.usage is not None and attempt.usage.tokens == 0 and len(attempt.usage.model) <= 200
    assert attempt.usage.model.isprintable()
