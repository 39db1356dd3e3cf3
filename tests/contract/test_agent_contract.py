"""What every backend does alike. A new one is added to BACKENDS and must pass unchanged.

Not here: `script`, of which a call is a run that the engine makes, so that nothing would be tried but a stand-in for it
(tests/integration/test_nested.py); `claude` and `crewai` with their libraries, which take some of these tests in
environments of their own (tests/backends).
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.agents import Setting, build_agent
from runner.errors import AgentFault
from runner.seams import Agent
from tests.mcp_by_hand import shared_service, stdio_command
from tests.resource_server import Received, ResourceServer, Said
from tests.unit.agents_by_hand import (
    all_gone,
    call,
    command_agent,
    entry,
    open_folder,
    own_children,
    python_agent,
    written,
)
from tests.vendors import Request, Say, Vendors

ASYNC = """
import asyncio
async def echo(inputs): return inputs
async def fail(inputs): raise ValueError("/etc/passwd has hunter2")
async def hang(inputs):
    with open(inputs, "w") as file: file.write("\\n")
    await asyncio.sleep(600)
"""
SYNC = """
import os, subprocess
def echo(inputs): return inputs
def fail(inputs): raise ValueError("/etc/passwd has hunter2")
def hang(inputs):
    child = subprocess.Popen(["sleep", "600"])
    with open(inputs, "w") as file: file.write(f"{os.getpid()} {child.pid}\\n")
    child.wait()
def large(inputs): return "x" * 200_000
def garbage(inputs): return {1, 2}
"""
GRAPH = """
import asyncio
from typing import Any
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

class State(TypedDict):
    value: Any

async def echo_node(state): return {"value": state["value"]}
async def fail_node(state): raise ValueError("/etc/passwd has hunter2")
async def hang_node(state):
    with open(state["value"], "w") as file: file.write("\\n")
    await asyncio.sleep(600)

def graph(node):
    made = StateGraph(State)
    made.add_node("only", node)
    made.add_edge(START, "only")
    return made.compile()

echo, fail, hang = map(graph, (echo_node, fail_node, hang_node))
"""
GRAPH_APART = """
import os, subprocess
from typing import Any
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

class State(TypedDict):
    value: Any

def echo_node(state): return {"value": state["value"]}
def fail_node(state): raise ValueError("/etc/passwd has hunter2")
def hang_node(state):
    child = subprocess.Popen(["sleep", "600"])
    with open(state["value"], "w") as file: file.write(f"{os.getpid()} {child.pid}\\n")
    child.wait()
def large_node(state): return {"value": "x" * 200_000}
def garbage_node(state): return {"value": {1, 2}}

def graph(node):
    made = StateGraph(State)
    made.add_node("only", node)
    made.add_edge(START, "only")
    return made.compile()

echo, fail, hang, large, garbage = map(graph, (echo_node, fail_node, hang_node, large_node, garbage_node))
"""
# What the program `claude` does, by the model that it is asked for.
CLAUDE = """#!/bin/sh
case $1 in
--model=echo)
    printf '{"type": "result", "subtype": "success", "is_error": false, "structured_output": {"value": '
    cat
    printf '}}' ;;
--model=fail) echo /etc/passwd has hunter2 >&2; exit 3 ;;
--model=hang) sleep 600 & read -r path; eval path=$path; echo $$ $! > $path; wait ;;
--model=large) head -c 2000000 /dev/zero | tr '\\0' x ;;
--model=garbage) echo 'not JSON' ;;
esac
"""
COMMANDS = {
    "echo": "cat",
    "fail": "echo /etc/passwd has hunter2 >&2; exit 3",
    "hang": "sleep 600 & read -r path; eval path=$path; echo $$ $! > $path; wait",
    "large": "head -c 200000 /dev/zero | tr '\\0' x",
    "garbage": "echo 'not JSON'",
}


def in_host(folder: Path, behaviour: str) -> Agent:
    return python_agent(folder, ASYNC, behaviour)


def in_worker(folder: Path, behaviour: str) -> Agent:
    return python_agent(folder, SYNC, behaviour, parallel=4)


def graph(folder: Path, behaviour: str) -> Agent:
    name = f"graph{len(list(folder.glob('graph*.py')))}"
    (folder / f"{name}.py").write_text(GRAPH)
    options = {"graph": f"{name}:{behaviour}", "input_key": "value", "output_key": "value"}
    return build_agent(entry("langgraph", options), Setting(folder))


def graph_apart(folder: Path, behaviour: str) -> Agent:
    name = f"apart{len(list(folder.glob('apart*.py')))}"
    (folder / f"{name}.py").write_text(GRAPH_APART)
    options = {"graph": f"{name}:{behaviour}", "input_key": "value", "output_key": "value"}
    return build_agent(entry("langgraph", options, isolation="process", parallel=2), Setting(folder))


def claude_program(folder: Path, behaviour: str) -> Agent:
    """The program itself is in a folder of the PATH (`path`)."""
    options = {"model": behaviour, "via": "cli", "base_url": "http://127.0.0.1:9"}
    return build_agent(entry("claude", options, isolation="process"), Setting(folder))


def program(folder: Path, behaviour: str) -> Agent:
    return command_agent(folder, "sh", "-c", COMMANDS[behaviour])


def model(backend: str, path: str, **options: Any) -> Callable[[Path, str], Agent]:
    """Return what makes an agent that is a model of a vendor, which behaves so."""

    def build(folder: Path, behaviour: str) -> Agent:
        vendors = Vendors(SAYS[behaviour])
        SERVERS.append(vendors)
        found = entry(backend, {"model": behaviour, "base_url": vendors.url + path, **options})
        return build_agent(found, Setting(folder))

    return build


def hangs(request: Request) -> Say:
    Path(request.inputs).write_text("\n")
    return Say(hold=threading.Event())


SAYS: dict[str, Callable[[Request], Say]] = {
    "echo": lambda request: Say(),
    "fail": lambda request: Say(status=400, body=b'{"error": {"message": "/etc/passwd has hunter2"}}'),
    "hang": hangs,
    "large": lambda request: Say(text="x" * 200_000),
    "garbage": lambda request: Say(text="not JSON"),
}
SERVERS: list[Vendors] = []


def over_http(folder: Path, behaviour: str) -> Agent:
    setting = Setting(folder=folder)
    return build_agent(entry("http", {"url": f"{http_service().url}/{behaviour}"}, parallel=4), setting)


def mcp_over_http(folder: Path, behaviour: str) -> Agent:
    return _mcp(folder, behaviour, {"url": shared_service().url})


def mcp_over_pipes(folder: Path, behaviour: str) -> Agent:
    return _mcp(folder, behaviour, {"command": stdio_command(folder)})


def _mcp(folder: Path, behaviour: str, server: dict[str, Any]) -> Agent:
    options = {**server, "tool": behaviour, "arguments": {"value": "{inputs}"}, "output_at": "/result"}
    return build_agent(entry("mcp", options), Setting(folder=folder))


@functools.cache
def http_service() -> ResourceServer:
    """One service for all tests of this process. What is asked is the path."""

    def answer(got: Received) -> Said:
        if got.path == "/hang":
            Path(json.loads(got.body)).write_text("\n")
            return Said(hold=threading.Event())
        fails, large = Said(500, b"/etc/passwd has hunter2"), Said(body=b'"' + b"x" * 200_000 + b'"')
        said = {"/fail": fails, "/large": large, "/garbage": Said(body=b"not JSON")}
        return said.get(got.path) or Said(body=got.body)

    return ResourceServer(answer)


BACKENDS = {
    "python-async": in_host, "python-sync": in_worker, "command": program, "http": over_http,
    "langgraph": graph, "langgraph-process": graph_apart, "claude-cli": claude_program,
    "mcp-http": mcp_over_http, "mcp-stdio": mcp_over_pipes, "anthropic": model("anthropic", ""),
    "openai-chat": model("openai", "/v1"), "openai-responses": model("openai", "/v1", api="responses"),
}  # fmt: skip
WITH_PROCESSES = ["python-sync", "command", "mcp-stdio", "langgraph-process", "claude-cli"]
# Those whose output comes as bytes, and those of them to which no protocol is spoken.
MODELS = ["anthropic", "openai-chat", "openai-responses"]
APART = ["python-sync", "command", "langgraph-process", "claude-cli"]
READ_AS_BYTES = [*APART, "http", "mcp-http", "mcp-stdio", *MODELS]
READ_AS_JSON = [*APART, "http", *MODELS]

Make = Callable[[str], Agent]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Where the host is root a program has a uid of its own, and pytest's folders are closed to it."""
    with open_folder() as folder:
        yield folder


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program `claude` that comes before any other."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/claude").write_text(CLAUDE)
    for place in ("bin", "bin/claude"):
        (tmp_path / place).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")


@pytest.fixture
async def make(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Agent] = []

    def build(behaviour: str) -> Agent:
        made.append(BACKENDS[request.param](tmp_path, behaviour))
        return made[-1]

    yield build
    for agent in made:
        await agent.close()
    while SERVERS:
        SERVERS.pop().close()


every_backend = pytest.mark.parametrize("make", BACKENDS, indirect=True)
with_processes = pytest.mark.parametrize("make", WITH_PROCESSES, indirect=True)
read_as_bytes = pytest.mark.parametrize("make", READ_AS_BYTES, indirect=True)
read_as_json = pytest.mark.parametrize("make", READ_AS_JSON, indirect=True)


async def fault_of(agent: Agent, inputs: Any = None) -> AgentFault:
    with pytest.raises(AgentFault) as raised:
        await agent.run(call(inputs))
    return raised.value


@every_backend
async def test_inputs_reach_the_agent_and_its_output_comes_back(make: Make) -> None:
    agent, values = make("echo"), [None, 0.5, "ü\u2028", [], {"a": [{"b": None}], "ключ": 10**20}]

    assert [await agent.run(call(value)) for value in values] == values


@every_backend
async def test_attempts_at_once_do_not_mix(make: Make) -> None:
    agent = make("echo")

    assert await asyncio.gather(*(agent.run(call(n)) for n in range(20))) == list(range(20))


@every_backend
async def test_inputs_larger_than_a_pipe_reach_the_agent(make: Make) -> None:
    value = ["x" * 1000] * 500

    assert await make("echo").run(call(value, output_bytes=1_000_000)) == value


@every_backend
async def test_a_failure_tells_the_script_who_and_how_and_the_journal_why(make: Make) -> None:
    fault = await fault_of(make("fail"))

    assert fault.kind == "failed"
    assert fault.message in (
        'agent "a" raised ValueError', 'agent "a" exited with status 3', 'agent "a" answered with status 400',
        'agent "a" answered with status 500', 'agent "a" failed',
    )  # fmt: skip
    assert "hunter2" in fault.detail


@every_backend
async def test_a_cancelled_attempt_ends_promptly_and_the_agent_serves_on(make: Make, tmp_path: Path) -> None:
    hanging, echoing = make("hang"), make("echo")
    attempt = asyncio.ensure_future(hanging.run(call(str(tmp_path / "pids"))))
    await written(tmp_path / "pids")
    attempt.cancel()
    done, _ = await asyncio.wait([attempt], timeout=0.3)

    assert done and attempt.cancelled()
    assert await echoing.run(call(1)) == 1


@with_processes
async def test_cancellation_kills_what_the_agent_had_started(make: Make, tmp_path: Path) -> None:
    attempt = asyncio.ensure_future(make("hang").run(call(str(tmp_path / "pids"))))
    pids = [int(pid) for pid in (await written(tmp_path / "pids")).split()]
    attempt.cancel()
    await asyncio.wait([attempt])

    assert len(pids) == 2
    assert await all_gone(pids)


@with_processes
async def test_close_kills_attempts_that_run_and_leaves_no_process(make: Make, tmp_path: Path) -> None:
    before = own_children()
    agent = make("hang")
    attempt = asyncio.ensure_future(agent.run(call(str(tmp_path / "pids"))))
    pids = [int(pid) for pid in (await written(tmp_path / "pids")).split()]
    await agent.close()
    await asyncio.wait([attempt])

    assert await all_gone(pids)
    assert own_children() <= before
    assert isinstance(attempt.exception(), AgentFault)


@pytest.mark.parametrize("make", ["http", "mcp-http"], indirect=True)
async def test_close_ends_attempts_that_wait_for_a_service(make: Make, tmp_path: Path) -> None:
    agent = make("hang")
    attempt = asyncio.ensure_future(agent.run(call(str(tmp_path / "pids"))))
    await written(tmp_path / "pids")
    await agent.close()
    await asyncio.wait([attempt], timeout=10)
    fault = attempt.exception()

    assert isinstance(fault, AgentFault) and fault.lost


@read_as_bytes
async def test_an_output_beyond_the_bound_is_refused_and_not_kept(make: Make) -> None:
    fault = await fault_of(make("large"))

    assert (fault.kind, fault.message) == ("invalid_output", 'agent "a" returned more than 65536 bytes')
    assert "xxx" not in fault.detail


@read_as_json
async def test_what_is_no_json_is_refused_and_not_repeated_to_the_script(make: Make) -> None:
    fault = await fault_of(make("garbage"))

    assert (fault.kind, fault.message) == ("invalid_output", 'agent "a" returned what is no JSON')


@every_backend
async def test_an_agent_says_what_it_is_the_same_each_time_and_in_texts_of_one_line(make: Make) -> None:
    agent = make("echo")
    facts = agent.facts()
    await agent.run(call(1))

    # A server says only when it is asked what it is: an agent may know more afterwards, and nothing else.
    assert facts and facts.items() <= agent.facts().items()
    assert all(type(text) is str and text.isprintable() for pair in agent.facts().items() for text in pair)


@every_backend
async def test_an_agent_that_is_another_says_other_facts(make: Make) -> None:
    assert make("echo").facts() != make("fail").facts()


@every_backend
async def test_what_an_agent_is_made_of_names_no_folder_of_this_machine(make: Make, tmp_path: Path) -> None:
    assert str(tmp_path.parent) not in str(make("echo").facts())


@every_backend
async def test_close_may_be_called_without_an_attempt_and_twice(make: Make) -> None:
    agent = make("echo")
    await agent.close()
    await agent.close()
