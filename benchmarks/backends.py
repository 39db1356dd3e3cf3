"""What an agent of each backend costs beside calling its library directly: time of a call, and memory.

Each way of each backend is a process of its own (`python -m benchmarks.backends NAME WAY URL`), so that one's imports
are not another's memory. All of them call services of one further process, one call after the other. A backend whose
library is not in this environment is named and not measured.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, p50, rss_bytes
from runner.agents.extras import TESTED, library
from runner.errors import LibraryMissing

OBJECT = {
    "type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False,
}  # fmt: skip
INPUTS = {"n": 1}
Call = Callable[[], Awaitable[Any]]

GRAPH = """
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict
class State(TypedDict):
    n: int
async def node(state): return {"n": state["n"]}
graph = StateGraph(State).add_node("node", node).add_edge(START, "node").add_edge("node", END).compile()
"""
CREW = """
from crewai import Agent, BaseLLM, Crew, Task
class Fake(BaseLLM):
    def call(self, *args, **more): return '{"n": 1}'
    def supports_function_calling(self): return False
def crew():
    agent = Agent(role="r", goal="g", backstory="b", llm=Fake(model="fake"))
    return Crew(agents=[agent], tasks=[Task(description="d", expected_output="e", agent=agent)])
"""
# Backend → what an entry says, how many calls, the distribution that it needs.
MEASURED: dict[str, tuple[Callable[[str], dict[str, Any]], int, str]] = {
    "http": (lambda url: {"url": f"{url}/echo"}, 300, ""),
    "anthropic": (lambda url: {"model": "m", "base_url": url}, 200, "anthropic"),
    "openai": (lambda url: {"model": "m", "base_url": f"{url}/v1"}, 200, "openai"),
    "mcp": (lambda url: {"url": f"{url}/mcp", "tool": "answer"}, 40, "mcp"),
    "mcp by command": (lambda url: {"command": SERVER, "tool": "answer"}, 5, "mcp"),
    "langgraph": (lambda url: {"graph": "graphs:graph"}, 200, "langgraph"),
    "crewai": (lambda url: {"crew": "crews:crew"}, 5, "crewai"),
}
SERVER = [sys.executable, "-m", "benchmarks.backend_server", "stdio"]


def figures() -> Iterator[Figure]:
    served = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.backend_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert served.stdout is not None
    try:
        url = f"http://127.0.0.1:{served.stdout.readline().strip()}"
        for name, (_, _, needs) in MEASURED.items():
            if needs and not _is_installed(needs):
                print(f"not measured, {name}: {needs} is not in this environment, or at a version that was not tested")
                continue
            ours, direct = _measured(name, "ours", url), _measured(name, "direct", url)
            added, held = ours["ms"] - direct["ms"], (ours["bytes"] - direct["bytes"]) / 2**20
            beside = f"{ours['ms']:.2f} ms; the library alone {direct['ms']:.2f} ms"
            yield Figure(f"a call of {name}, added", added, "ms", "", beside)
            beside = f"{ours['bytes'] / 2**20:.0f} MB; the library alone {direct['bytes'] / 2**20:.0f} MB"
            yield Figure(f"memory of {name} in the host, added", held, "MB", "", beside)
    finally:
        served.communicate()
    print("not measured, claude: what a call takes, 0.7 to 2 s and 210 MB in a process of its own, is the CLI's doing")
    yield _nested()


def _is_installed(distribution: str) -> bool:
    extra = next(extra for extra, (name, *_) in TESTED.items() if name == distribution)
    try:
        library(extra, "sys", who="the benchmark")
    except LibraryMissing:
        return False
    return True


def _measured(name: str, way: str, url: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.backends", name, way, url], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{name} could not be called: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


# --- in a process of its own -----------------------------------------------------------------


def measure(name: str, way: str, url: str) -> dict[str, float]:
    """Return what one way of one backend takes: milliseconds of a call, and what this process grew by."""
    before = rss_bytes()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "graphs.py").write_text(GRAPH)
        Path(folder, "crews.py").write_text(CREW)
        Path(folder).chmod(0o755)
        seconds = asyncio.run(_call_seconds(name, way, url, folder))
    return {"ms": seconds * 1000, "bytes": rss_bytes() - before}


async def _call_seconds(name: str, way: str, url: str, folder: str) -> float:
    options, count, _ = MEASURED[name]
    opened = _ours(name.split()[0], options(url), Path(folder)) if way == "ours" else DIRECT[name](url, folder)
    async with opened as call:
        for _ in range(3):
            await call()
        return p50([await _timed(call) for _ in range(count)])


async def _timed(call: Call) -> float:
    start = time.perf_counter()
    await call()
    return time.perf_counter() - start


@asynccontextmanager
async def _ours(backend: str, options: dict[str, Any], folder: Path) -> AsyncIterator[Call]:
    from runner.agents import Setting, build_agent
    from runner.policy.model import AgentEntry
    from runner.seams import Call as Attempt

    agent = build_agent(AgentEntry("a", "", backend, options, OBJECT, OBJECT), Setting(folder))
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"

    async def call() -> Any:
        return await agent.run(Attempt("run", 1, 1, "a", dict(INPUTS), 30.0, 65_536, "run:1:1", trace))

    try:
        yield call
    finally:
        await agent.close()


@asynccontextmanager
async def _http(url: str, folder: str) -> AsyncIterator[Call]:
    import httpx2

    async with httpx2.AsyncClient() as client:

        async def call() -> Any:
            return (await client.post(f"{url}/echo", json=INPUTS)).json()

        yield call


@asynccontextmanager
async def _anthropic(url: str, folder: str) -> AsyncIterator[Call]:
    from anthropic import AsyncAnthropic

    client = AsyncAnthropic(base_url=url, api_key="none", max_retries=0)
    asked: Any = {"format": {"type": "json_schema", "schema": OBJECT}}

    async def call() -> Any:
        said: Any = await client.messages.create(
            model="m", max_tokens=100, messages=[{"role": "user", "content": json.dumps(INPUTS)}], output_config=asked
        )
        return json.loads(said.content[0].text)

    yield call


@asynccontextmanager
async def _openai(url: str, folder: str) -> AsyncIterator[Call]:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    asked: Any = {"type": "json_schema", "json_schema": {"name": "r", "strict": True, "schema": OBJECT}}

    async def call() -> Any:
        said: Any = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": json.dumps(INPUTS)}], response_format=asked
        )
        return json.loads(said.choices[0].message.content)

    yield call


@asynccontextmanager
async def _mcp(url: str, folder: str) -> AsyncIterator[Call]:
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async def call() -> Any:
        async with Client(streamable_http_client(f"{url}/mcp")) as client:
            return (await client.call_tool("answer", INPUTS)).structured_content

    yield call


@asynccontextmanager
async def _mcp_by_command(url: str, folder: str) -> AsyncIterator[Call]:
    from mcp import Client, StdioServerParameters

    async def call() -> Any:
        async with Client(StdioServerParameters(command=SERVER[0], args=SERVER[1:])) as client:
            return (await client.call_tool("answer", INPUTS)).structured_content

    yield call


@asynccontextmanager
async def _langgraph(url: str, folder: str) -> AsyncIterator[Call]:
    sys.path.insert(0, folder)
    from graphs import graph

    async def call() -> Any:
        return await graph.ainvoke(dict(INPUTS))

    yield call


@asynccontextmanager
async def _crewai(url: str, folder: str) -> AsyncIterator[Call]:
    sys.path.insert(0, folder)
    from crews import crew

    async def call() -> Any:
        return await crew().akickoff(inputs=dict(INPUTS))

    yield call


DIRECT = {
    "http": _http, "anthropic": _anthropic, "openai": _openai, "mcp": _mcp, "mcp by command": _mcp_by_command,
    "langgraph": _langgraph, "crewai": _crewai,
}  # fmt: skip


# --- a run within a run ----------------------------------------------------------------------

INNER = 'result = {"n": inputs["n"]}\n'
POLICY = """
version: 1
sandbox: process
agents:
  within:
    description: A run within a run.
    script: {file: inner.py, policy: inner.yaml}
    input: {type: object, properties: {n: {type: integer}}, required: [n]}
    output: {type: object, properties: {n: {type: integer}}, required: [n]}
    effects: none
"""


def _nested() -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("inner.py", INNER), ("inner.yaml", "version: 1\nagents: {}\n"), ("outer.yaml", POLICY)):
            Path(folder, name).write_text(text)
        return asyncio.run(_nested_in(Path(folder)))


async def _nested_in(folder: Path) -> Figure:
    from runner import Runner, Script, load_policy

    policy = load_policy(folder / "outer.yaml")
    outer = Script("outer", b'for n in range(10): spawn("within", {"n": n}).result()\nresult = 1\n')
    plain, empty = Script("plain", INNER.encode()), Script("empty", b"result = 1")
    async with Runner(home=folder / "home", sandbox="process", waiting_guests=2) as runner:
        await runner.run(plain, policy=policy, inputs=INPUTS)
        alone = p50([await _seconds(runner.run(plain, policy=policy, inputs=INPUTS)) for _ in range(10)])
        least = p50([await _seconds(runner.run(empty, policy=policy)) for _ in range(10)])
        within = (await _seconds(runner.run(outer, policy=policy)) - least) / 10
    beside = f"{within * 1000:.1f} ms; the same script as a run by itself {alone * 1000:.1f} ms"
    return Figure("a run within a run, added", (within - alone) * 1000, "ms", "", beside)


async def _seconds(run: Awaitable[Any]) -> float:
    start = time.perf_counter()
    ended = await run
    if ended.state != "done":
        raise SystemExit(f"the benchmark's script ended as {ended.state}: {ended.error}")
    return time.perf_counter() - start


if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:])))
