"""Graphs as agents: on the host's loop, in worker processes, and what they may and may not give back."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.agents import Setting, build_agent, current_call
from runner.errors import AgentFault, PolicyError
from runner.events import EventKind
from runner.models import RunState
from runner.policy import load_policy_text
from runner.policy.model import Reference
from runner.seams import Agent, ModelUsage
from tests.process_lists import Look
from tests.resource_server import ResourceServer, Said
from tests.runs import run_script
from tests.token_watch import WATCH
from tests.unit.agents_by_hand import HandCredential, all_gone, call, entry, open_folder, written

CANARY = "canary-5e1f-a-token-of-crm"
HEAD = """
import asyncio, dataclasses, json, os, subprocess, time
from typing import Any
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict
from runner.agents import AgentError, current_call

class State(TypedDict, total=False):
    value: Any
    other: Any

def made(*nodes, state=State, context=None, **compiled):
    graph = StateGraph(state, context_schema=context)
    for n, node in enumerate(nodes):
        graph.add_node(f"n{n}", node)
        graph.add_edge(f"n{n - 1}" if n else START, f"n{n}")
    return graph.compile(**compiled)
"""


def graph_agent(folder: Path, source: str, path: str = "", /, **options: Any) -> Agent:
    """Return agent "a", the graph `g` of this source; `isolation` and the like are of its entry."""
    name = f"g{len(list(folder.glob('g*.py')))}"
    (folder / f"{name}.py").write_text(HEAD + source)
    more = {key: options.pop(key) for key in ("isolation", "parallel") if key in options}
    setting = Setting(folder, read_reference=lambda reference: "kept-9c41-elsewhere")
    return build_agent(entry("langgraph", {"graph": path or f"{name}:g", **options}, line=7, **more), setting)


async def output_of(folder: Path, source: str, inputs: Any = None, **options: Any) -> Any:
    return await graph_agent(folder, source, **options).run(call({} if inputs is None else inputs))


async def fault_of(folder: Path, source: str, inputs: Any = None, **options: Any) -> AgentFault:
    agent = graph_agent(folder, source, **options)
    with pytest.raises(AgentFault) as raised:
        await agent.run(call({} if inputs is None else inputs))
    return raised.value


def refusal(folder: Path, source: str, path: str = "", **options: Any) -> PolicyError:
    with pytest.raises(PolicyError) as raised:
        graph_agent(folder, source, path, **options)
    return raised.value


# --- what goes in and out --------------------------------------------------------------------


async def test_inputs_are_the_state_and_the_whole_state_is_the_output(tmp_path):
    source = "async def n(state): return {'other': state['value'] + 1}\ng = made(n)"

    assert await output_of(tmp_path, source, {"value": 1}) == {"value": 1, "other": 2}


async def test_a_run_calls_a_graph_that_a_policy_names_in_one_line(own_home, tmp_path):
    (tmp_path / "graphs.py").write_text(HEAD + "async def n(state): return {'other': state['value'] * 2}\ng = made(n)")
    text = """
version: 1
sandbox: process
agents:
  double:
    description: Doubles a number.
    langgraph: graphs:g
    input: {type: object, properties: {value: {type: integer}}, required: [value]}
    output: {type: object, properties: {other: {type: integer}}, required: [other]}
    effects: none
"""
    policy = load_policy_text(text, folder=tmp_path, name="graphs")
    ran = await run_script(own_home, "result = gather([spawn('double', {'value': n}) for n in range(3)])", policy=policy)
    (reached,) = ran.of(EventKind.AGENT_REACHED)

    assert ran.result.state is RunState.DONE, ran.result.error
    assert ran.result.result == [{"other": 0}, {"other": 2}, {"other": 4}]
    assert sorted(reached.body["facts"]) == ["call", "code", "langgraph", "schemas"]


async def test_a_function_may_return_the_graph(tmp_path):
    source = "async def n(state): return {'other': 1}\ndef g(): return made(n)"

    assert await output_of(tmp_path, source) == {"other": 1}


async def test_messages_and_models_come_back_as_the_json_that_pydantic_writes(tmp_path):
    source = """
class Found(BaseModel):
    score: float
@dataclasses.dataclass
class Seen:
    at: tuple
async def n(state): return {"messages": [("ai", "hello")]}
async def m(state): return {"value": Found(score=0.5), "other": Seen((1, None))}
class Both(MessagesState):
    value: Any
    other: Any
g = made(n, m, state=Both)
"""
    found = await output_of(tmp_path, source, {"messages": [{"role": "user", "content": "hi"}]})

    assert [(one["type"], one["content"]) for one in found["messages"]] == [("human", "hi"), ("ai", "hello")]
    assert (found["value"], found["other"]) == ({"score": 0.5}, {"at": [1, None]})
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("{1, 2}", "a set"),
        ("b'x'", "a bytes"),
        ("{1: 2}", "a key that is a int"),
        ("__import__('datetime').date(2026, 1, 1)", "a date"),
        ("runtime.context['call']", "a CallFacts"),
        ("[[runtime]]", "a Access"),
        ("loop()", "more than 64 levels deep"),
    ],
)
async def test_what_is_no_json_is_refused_and_the_journal_hears_its_type(tmp_path, value, why):
    source = f"""
def loop():
    made = []
    made.append(made)
    return made
async def n(state, runtime: Runtime): return {{"value": {value}}}
g = made(n)
"""
    fault = await fault_of(tmp_path, source)

    assert (fault.kind, fault.message) == ("invalid_output", 'agent "a" returned what is no JSON')
    assert fault.detail == why or value == "[[runtime]]"


async def test_a_key_that_the_state_does_not_have_is_no_output(tmp_path):
    fault = await fault_of(tmp_path, "async def n(state): return {'value': 1}\ng = made(n)", output_key="answer")

    assert (fault.kind, fault.detail) == ("invalid_output", 'its state has no "answer" at the end')


async def test_inputs_that_have_no_names_are_refused(tmp_path):
    fault = await fault_of(tmp_path, "async def n(state): return {'value': 1}\ng = made(n)", [1])

    assert (fault.kind, fault.message) == ("invalid_input", 'agent "a" takes an object: names and their values')


async def test_a_graph_that_asks_a_person_fails_and_says_so(tmp_path):
    source = "async def n(state): return {'value': interrupt('may I?')}\ng = made(n, checkpointer=InMemorySaver())"

    assert (await fault_of(tmp_path, source)).message == "the graph stopped to ask a person, and nobody answers within a spawn"


async def test_a_graph_takes_no_more_steps_than_the_policy_says(tmp_path):
    source = "async def n(state): return {'value': 1}\ng = made(n, n, n)"

    assert (await fault_of(tmp_path, source, recursion_limit=2)).message == 'agent "a" raised GraphRecursionError'
    assert await output_of(tmp_path, source, recursion_limit=4) == {"value": 1}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("AgentError('no such vendor')", "no such vendor"),
        ("SystemExit(3)", 'agent "a" raised NodeExited'),
        ("asyncio.CancelledError()", 'agent "a" raised NodeCancelledError'),
    ],
)
async def test_what_a_node_raises_is_told_as_of_any_agent(tmp_path, error, message):
    assert (await fault_of(tmp_path, f"async def n(state): raise {error}\ng = made(n)")).message == message


async def test_what_models_of_langchain_used_is_told(tmp_path):
    source = """
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
used = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
said = [AIMessage(content="x", usage_metadata=used, response_metadata={"model_name": "fake-1"}) for _ in range(2)]
model = GenericFakeChatModel(messages=iter(said))
async def n(state):
    await model.ainvoke("a")
    await model.ainvoke("b")
    raise ValueError
g = made(n)
"""
    agent, one = graph_agent(tmp_path, source), call({})
    with pytest.raises(AgentFault):
        await agent.run(one)

    assert one.usage == ModelUsage("fake-1", 14, 6)


# --- the call --------------------------------------------------------------------------------

CONTEXTS = {
    "no schema": ("None", "runtime.context['call']"),
    "TypedDict": ("TypedDict('Context', {'call': Any})", "runtime.context['call']"),
    "dataclass": ("dataclasses.make_dataclass('Context', ['call'])", "runtime.context.call"),
    "pydantic": ("__import__('pydantic').create_model('Context', call=(Any, ...), mood=(str, 'good'))", "runtime.context.call"),
    "current_call": ("None", "current_call()"),
}


@pytest.mark.parametrize("form", CONTEXTS)
async def test_the_call_is_in_the_context_whatever_its_type_and_reaches_resources(tmp_path, form):
    schema, found = CONTEXTS[form]
    source = f"""
Context = {schema}
async def n(state, runtime: Runtime):
    call = {found}
    answer = await call.http.get("http://crm/customers/42")
    return {{"value": [call.attempt, call.spawn, call.idempotency_key, sorted(call.tokens), answer.json()["asked"]]}}
g = made(n, context=Context)
"""
    credential = HandCredential()
    output = await graph_agent(tmp_path, source, output_key="value").run(call({}, credential=credential))

    assert output == [2, 7, "run-1:7:2", [], "GET http://crm/customers/42"]
    assert credential.observed == ["gateway only"]
    with pytest.raises(RuntimeError, match="no attempt of an agent is served here"):
        current_call()


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ("dataclasses.make_dataclass('Context', ['token'])", 'ValueError: its context_schema Context has no field "call"'),
        ("TypedDict('Context', {'call': Any, 'user': str})", "ValueError: its context_schema Context needs user too, which nobody gives"),
    ],
)
def test_a_context_without_room_for_the_call_is_refused_before_a_run(tmp_path, schema, why):
    refused = refusal(tmp_path, f"async def n(state): return {{}}\ng = made(n, context={schema})")

    assert refused.message == f':7: agent "a" calls "g0:g", which cannot be used: {why}'


CHECKPOINTED = """
saver = InMemorySaver()
async def n(state, runtime: Runtime):
    from langgraph.config import get_config
    config = get_config()
    known = sorted(key for key in config["configurable"] if not key.startswith(("__", "checkpoint")))
    return {"value": [runtime.context["call"].tokens["crm"][-3:], known, config["configurable"]["thread_id"]]}
async def m(state): return {"other": 1}
g = made(n, m, checkpointer=saver)
"""


def checkpoints(agent: Any) -> str:
    saver = agent._graph.checkpointer
    return repr([saver.storage, saver.blobs, saver.writes, list(saver.list(None))])


async def test_neither_token_nor_call_is_in_a_checkpoint(tmp_path):
    agent = graph_agent(tmp_path, CHECKPOINTED, output_key="value")
    output = await agent.run(call({"value": "seen"}, credential=HandCredential(crm=CANARY)))
    kept = checkpoints(agent)

    assert output == ["crm", ["thread_id"], "run-1:7:2"]
    assert "seen" in kept and "run-1:7:2" in kept
    assert CANARY not in kept and "CallFacts" not in kept and "traceparent" not in kept


async def test_a_call_that_a_node_puts_into_the_state_is_not_checkpointed(tmp_path):
    source = CHECKPOINTED + "async def k(state, runtime: Runtime): return {'value': runtime.context['call']}\ng = made(k, m, checkpointer=InMemorySaver())"
    agent = graph_agent(tmp_path, source)
    with pytest.raises(AgentFault) as raised:
        await agent.run(call({}, credential=HandCredential(crm=CANARY)))

    assert raised.value.message == 'agent "a" raised TypeError'
    assert CANARY not in checkpoints(agent) + raised.value.detail


@pytest.mark.parametrize("said", ["return {'value': token}", "raise ValueError(token)"])
async def test_a_token_that_a_graph_gives_back_is_refused_or_cut_out(tmp_path, said):
    source = f"async def n(state, runtime: Runtime):\n    token = runtime.context['call'].tokens['crm']\n    {said}\ng = made(n)"
    agent = graph_agent(tmp_path, source)
    with pytest.raises(AgentFault) as raised:
        await agent.run(call({}, credential=HandCredential(crm=CANARY)))

    assert raised.value.message in ('agent "a" returned a credential that it was handed', 'agent "a" raised ValueError')
    assert CANARY not in raised.value.detail


# --- sync nodes ------------------------------------------------------------------------------

SYNC = {
    "a node": ("def n(state): return {}\ng = made(n)", '"n0"'),
    "a node of a graph within": ("def n(state): return {}\ng = made(made(n))", '"n0.n0"'),
    "a lambda": ("from langchain_core.runnables import RunnableLambda\ng = made(RunnableLambda(lambda s: {}))", '"n0"'),
    "a tool": (
        "from langgraph.prebuilt import ToolNode\n"
        "def look_up(name: str) -> str:\n    'Look up.'\n    return name\n"
        "async def n(state): return {}\n"
        "g = made(n, ToolNode([look_up]), state=MessagesState)",
        '"n1"',
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", SYNC)
def test_a_graph_with_sync_nodes_is_refused_where_no_deadline_would_stop_them(tmp_path, kind):
    source, nodes = SYNC[kind]
    refused = refusal(tmp_path, source)

    assert refused.message == (
        f':7: agent "a" calls "g0:g", whose nodes {nodes} are sync: they would run in threads of the host, which no deadline stops'
    )
    assert refused.hint == 'write "isolation: process", or the nodes as async def'


async def test_with_unsafe_threads_a_cancelled_attempt_ends_at_once_and_its_thread_later(tmp_path):
    source = """
def n(state):
    open(state["value"], "w").write("\\n")
    while not os.path.exists(state["other"]): time.sleep(0.005)
    open(state["value"], "w").write("went on\\n")
g = made(n)
"""
    begun, released = tmp_path / "begun", tmp_path / "released"
    agent = graph_agent(tmp_path, source, unsafe_threads=True)
    attempt = asyncio.ensure_future(agent.run(call({"value": str(begun), "other": str(released)})))
    await written(begun)
    attempt.cancel()
    done, _ = await asyncio.wait([attempt], timeout=5)

    assert done and attempt.cancelled() and begun.read_text() == "\n"
    begun.unlink()
    released.write_text("")
    assert await written(begun) == "went on\n"
    assert agent.facts()["unsafe_threads"] == '"n0"'


def test_a_graph_is_looked_at_anew_for_each_agent_that_names_it(tmp_path):
    graph_agent(tmp_path, SYNC["a node"][0], unsafe_threads=True)

    assert "whose nodes \"n0\" are sync" in refusal(tmp_path, "", "g0:g").message


# --- in a process ----------------------------------------------------------------------------


@pytest.fixture
def shared() -> Iterator[Path]:
    """Where the host is root a worker has a uid of its own, and pytest's folders are closed to it."""
    with open_folder() as folder:
        yield folder


APART = """
class Apart(State):
    value: int
    other: dict
BUILT_WITH = os.environ["MODEL_KEY"]
def n(state, runtime: Runtime):
    call = runtime.context["call"]
    if state["value"] == 2:
        child = subprocess.Popen(["sleep", "600"])
        with open(state["other"]["path"], "w") as file: file.write(f"{os.getpid()} {child.pid}\\n")
        child.wait()
    return {"other": {
        "pid": os.getpid(), "key": len(BUILT_WITH), "asked": call.http.get("http://crm/customers/42").json()["asked"],
        "environment": open("/proc/self/environ").read(), "same": current_call() is call,
    }}
def g():
    return made(n, state=Apart)
"""


async def test_a_graph_in_a_process_is_not_imported_here_reaches_resources_and_is_killed_whole(shared):
    agent = graph_agent(
        shared, APART, isolation="process", parallel=1, output_key="other", env={"MODEL_KEY": Reference("env", ("K",))}
    )
    credential = HandCredential()
    output = await agent.run(call({"value": 1}, credential=credential))
    attempt = asyncio.ensure_future(agent.run(call({"value": 2, "other": {"path": str(shared / "pids")}})))
    pids = [int(pid) for pid in (await written(shared / "pids")).split()]
    attempt.cancel()
    done, _ = await asyncio.wait([attempt], timeout=5)
    await credential.close()

    assert (output["key"], output["asked"], output["same"]) == (len("kept-9c41-elsewhere"), "GET http://crm/customers/42", True)
    assert output["pid"] == pids[0] != os.getpid()
    assert "MODEL_KEY" not in output["environment"]
    assert done and attempt.cancelled() and await all_gone(pids)
    assert sorted(agent.facts()) == ["call", "code", "env", "langgraph"]
    assert await agent.schemas() == ({"properties": {"value": {"title": "Value", "type": "integer"}, "other": {"additionalProperties": True, "title": "Other", "type": "object"}}, "required": ["value", "other"], "title": "Apart", "type": "object"}, {"additionalProperties": True, "title": "Other", "type": "object"})  # fmt: skip
    await agent.close()


# --- in a whole run --------------------------------------------------------------------------

WHOLE = """
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
class Whole(State):
    value: int
    status: int
    known: list
    kept: str
used = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
said = [AIMessage(content="x", usage_metadata=used, response_metadata={"model_name": "fake-1"}) for _ in range(4)]
model, saver = GenericFakeChatModel(messages=iter(said)), InMemorySaver()
ASYNC def n(state, runtime: Runtime):
    call = runtime.context["call"]
    AWAIT model.PREFIXinvoke("a")
    AWAIT model.PREFIXinvoke("b")
    answer = AWAIT call.http.get(f"http://crm/customers/{state['value']}")
    return {"status": answer.status_code, "known": sorted(call.tokens)}
ASYNC def m(state):
    return {"kept": repr([saver.storage, saver.blobs, saver.writes, list(saver.list(None))])}
g = made(n, m, state=Whole, checkpointer=saver)
"""
IN_HOST = {"ASYNC ": "async ", "AWAIT ": "await ", "PREFIX": "a"}


@pytest.mark.parametrize(("isolation", "key"), [("none", ""), ("process", "canary-key-of-a-graph-3d8e15")])
async def test_a_run_of_a_graph_has_its_usage_and_nobody_sees_its_key_or_its_token(own_home, shared, isolation, key, monkeypatch, caplog):
    caplog.set_level("DEBUG")
    monkeypatch.setenv("CANARY_KEY", key or "none")
    source = WHOLE
    for word, instead in IN_HOST.items():
        source = source.replace(word, instead if isolation == "none" else "")
    (shared / "whole.py").write_text(HEAD + source)
    graph = {"graph": "whole:g", **({"env": {"MODEL_KEY": "env:CANARY_KEY"}} if key else {})}
    known = {"status": {"type": "integer"}, "known": {"type": "array", "items": {"type": "string"}}, "kept": {"type": "string"}}
    output = {"type": "object", "properties": known, "required": list(known)}
    agent = {
        "description": "A graph.", "langgraph": graph, "isolation": isolation, "parallel": 1, "scopes": ["crm:read"], "output": output, "effects": "read",
        "input": {"type": "object", "properties": {"value": {"type": "integer"}}, "required": ["value"]}, "price": {"input": 10, "output": 100},
    }  # fmt: skip
    look = Look(*([key] if key else []))
    with ResourceServer(look.during(lambda got: Said())) as crm:
        resource = {"url": crm.url, "scopes": {"crm:read": "GET /customers/{inputs.value}"}}
        # Its checkpoints are written while it runs: what the first call left is whole when the second looks.
        script = "result = [spawn('graph', {'value': n}, scopes=['crm:read']).result() for n in (42, 43)]"
        text = json.dumps({"version": 1, "sandbox": "process", "agents": {"graph": agent}, "resources": {"crm": resource}})
        policy = load_policy_text(text, folder=shared, name="whole")
        ran = await run_script(own_home, script, policy=policy)

    assert ran.result.state is RunState.DONE, ran.result.error
    assert [(said["status"], said["known"]) for said in ran.result.result] == [(200, [])] * 2
    told = {"tokens": 20, "cost_usd": 0.00074, "input_tokens": 14, "output_tokens": 6}
    assert [settled.body["model_usage"] for settled in ran.of(EventKind.SPAWN_SETTLED)] == [told] * 2
    assert (ran.result.usage.model_tokens, ran.result.usage.cost_usd) == (40, pytest.approx(0.00148))
    tokens = {got.headers["authorization"].removeprefix("Bearer ") for got in crm.received}
    assert (look.looks, look.found) == (2, [])
    assert len(tokens) == 2 and {token.encode() for token in tokens} <= set(WATCH.minted)
    stored = b"".join(path.read_bytes() for path in own_home.rglob("*") if path.is_file())
    kept = ran.result.result[1]["kept"]
    assert "status" in kept and f"{ran.result.run}:1:1" in kept
    for canary in filter(None, (key, *tokens)):
        assert canary not in kept + caplog.text and canary.encode() not in stored


# --- before a run ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "path", "why"),
    [
        ("", "nowhere:g", "ModuleNotFoundError: No module named 'nowhere'"),
        ("", "g0:h", "AttributeError: module 'm' has no attribute 'h'"),
        ("raise KeyError('K')", "g0:g", "KeyError: 'K'"),
        ("g = StateGraph(State)", "g0:g", "TypeError: it is a graph that was not compiled; write graph.compile()"),
        ("g = 5", "g0:g", "TypeError: it is a int and no compiled graph, nor a function that returns one"),
        ("def g(): return 'x'", "g0:g", "TypeError: it is a str and no compiled graph, nor a function that returns one"),
    ],
)
def test_a_path_that_leads_to_no_graph_is_told_with_the_policys_line(tmp_path, source, path, why):
    refused = refusal(tmp_path, source, path)

    assert re.sub(r"_runner_policy_\d+\.g0", "m", refused.message) == (
        f':7: agent "a" calls "{path}", which cannot be used: {why}'
    )
    assert refused.hint == f'correct "graph" of agent "a"; its module is looked for in {tmp_path} first'


async def test_a_graph_tells_its_schemas_and_its_facts_hold_their_digest(tmp_path):
    source = "class Own(State):\n    value: {}\nasync def n(state): return {{}}\ng = made(n, state=Own)"
    agent, other = (graph_agent(tmp_path, source.format(kind), input_key="value") for kind in ("int", "str"))
    taken, returned = await agent.schemas()

    assert taken == {"title": "Value", "type": "integer"}
    assert sorted(returned["properties"]) == ["other", "value"]
    assert agent.facts()["schemas"] != other.facts()["schemas"]


async def test_a_graph_without_schemas_tells_none(tmp_path):
    source = "class Odd: pass\nclass Own(TypedDict):\n    value: Odd\nasync def n(state): return {}\ng = made(n, state=Own)"

    assert await graph_agent(tmp_path, source).schemas() == (None, None)
