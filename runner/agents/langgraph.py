"""The `langgraph` backend: a compiled graph, `{"graph": "module:graph"}`, called with a spawn's inputs as its state.

With `isolation: none` it runs on the host's event loop, is imported when the agent is made, and may have async nodes
only: the library runs a sync node in a thread, which no cancellation stops. `unsafe_threads` takes them all the same:
the attempt then ends at its deadline, and the thread goes on. With `isolation: process` it runs in a worker, whatever
its nodes are, and the host does not import it.

Not here: calling a graph (graphs), its side in a worker (langgraph_worker).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from runner.agents import Setting, faults, origins
from runner.agents.adapted import InAdapter
from runner.agents.extras import need, version_of
from runner.agents.facts import Access, CallFacts, NoJson
from runner.agents.functions import CredentialAccess
from runner.agents.imports import is_own
from runner.agents.sources import Source
from runner.agents.workers import Adapter, told_of
from runner.clock import Clock, SystemClock
from runner.errors import PolicyError
from runner.guest.wire import canonical
from runner.models import Json, digest_of
from runner.policy.model import AgentEntry
from runner.seams import Agent, Call, Probe

_WORKER = "runner.agents.langgraph_worker"
_OPTIONS = ("input_key", "output_key", "recursion_limit")


def build(entry: AgentEntry, setting: Setting) -> Agent:
    """Return the agent of an entry. Raises PolicyError: no such graph, or one that cannot be held to a deadline."""
    path = entry.options["graph"]
    options = {name: entry.options.get(name) for name in _OPTIONS}
    if entry.isolation == "process":
        library, source = version_of(entry), Source(entry, path, "graph", setting.folder)
        return InAdapter(
            entry, setting, path, Adapter(f"{_WORKER}:make", options),
            lambda: {**source.facts(), "langgraph": library}, asks=f"{_WORKER}:make_schemas",
            takes_any=options["input_key"] is not None,
        )  # fmt: skip
    need(entry, "langgraph.pregel")
    graphs = need(entry, "runner.agents.graphs")
    graph, module = _load(graphs, entry, path, setting.folder)
    nodes = graphs.sync_nodes(graph)
    if nodes and not entry.options.get("unsafe_threads"):
        raise PolicyError(
            f'agent "{entry.name}" calls "{path}", whose nodes {_listed(nodes)} are sync: '
            "they would run in threads of the host, which no deadline stops",
            line=entry.line,
            hint='write "isolation: process", or the nodes as async def',
        )
    graphs.keep_running(graph)
    facts = {**origins.of_module(path, module, in_host=True), "langgraph": version_of(entry)}
    if not is_own(module):
        facts |= origins.package_with(module.partition(".")[0])
    if nodes:
        facts["unsafe_threads"] = _listed(nodes)
    return InHostGraph(entry.name, graph, options, setting.clock or SystemClock(), facts, graphs)


class InHostGraph:
    """A graph of async nodes. On cancellation the library cancels its nodes; one that swallows it lingers."""

    def __init__(
        self,
        name: str,
        graph: Any,
        options: Mapping[str, Any],
        clock: Clock,
        facts: dict[str, str],
        graphs: ModuleType,
    ) -> None:
        self._name = name
        self._graph = graph
        self._options = options
        self._clock = clock
        self._facts = facts
        self._graphs = graphs

    async def run(self, call: Call) -> Json:
        if self._options.get("input_key") is None and not isinstance(call.inputs, dict):
            raise faults.no_object(self._name)
        access = Access() if call.credential is None else CredentialAccess(call.credential)
        guarded, usage = list(access.tokens.values()), self._graphs.Usage()
        told = CallFacts(**told_of(call, self._clock), _access=access)
        try:
            output: Json = await self._graphs.invoke(self._graph, call.inputs, told, self._options, usage)
        except NoJson as error:
            raise faults.no_json(self._name, faults.redacted(str(error), guarded)) from None
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_ours():
                raise
            raise faults.raised(self._name, error, guarded) from None
        finally:
            for used in usage.by_model():
                call.used(**used)
        if guarded and faults.repeats(json.dumps(output, ensure_ascii=False), guarded):
            raise faults.repeated(self._name, "a credential that it was handed")
        return output

    async def schemas(self) -> tuple[Json, Json]:
        found: tuple[Json, Json] = self._graphs.schemas_of(self._graph, self._options)
        return found

    def facts(self) -> dict[str, str]:
        schemas = self._graphs.schemas_of(self._graph, self._options)
        return {**self._facts, "schemas": digest_of(canonical(list(schemas)))}

    async def probe(self) -> list[Probe]:
        """Tell what was imported and looked at. More than that would be calling it."""
        nodes = "sync nodes in threads (unsafe_threads)" if "unsafe_threads" in self._facts else "async nodes"
        fact = f"{self._facts['call']} is a compiled graph with {nodes}, for the host's process"
        return [Probe("graph", True, fact)]

    async def close(self) -> None:
        pass


def _is_ours() -> bool:
    """True where a cancellation is of this task, and not one that a node made itself."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _listed(nodes: list[str]) -> str:
    return faults.plain(", ".join(f'"{name}"' for name in nodes)).replace("\n", " ")


def _load(graphs: ModuleType, entry: AgentEntry, path: str, folder: Path) -> tuple[Any, str]:
    try:
        found: tuple[Any, str] = graphs.graph_at(path, str(folder))
        return found
    except (Exception, SystemExit) as error:
        raise PolicyError(
            f'agent "{entry.name}" calls "{path}", which cannot be used: {type(error).__name__}: {error}',
            line=entry.line,
            hint=f'correct "graph" of agent "{entry.name}"; its module is looked for in {folder} first',
        ) from error
