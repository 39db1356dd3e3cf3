"""In a worker: make a function of a compiled graph. LangGraph is imported at once, the policy's module at the first
call, when the variables that the policy gives it are there.

A graph whose nodes are all sync is called in the worker's one thread; any other on a loop that lives as long as the
worker, so that a client which a node keeps may be used again.

Not here: what is the same in the host (graphs).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import cache
from typing import Any

from runner.agents import graphs
from runner.agents.facts import CallFacts, tell_usage
from runner.models import Json

_Function = Callable[..., Json]


def make(path: str, folder: str, options: dict[str, Any]) -> _Function:
    """Return the graph as a function of inputs and call."""
    found = _finder(path, folder)
    loop = cache(asyncio.Runner)

    def function(inputs: Json, call: CallFacts) -> Json:
        graph = found()
        usage = graphs.Usage()
        try:
            if graphs.is_all_sync(graph):
                return graphs.invoke_sync(graph, inputs, call, options, usage)
            return loop().run(graphs.invoke(graph, inputs, call, options, usage))
        finally:
            _tell(call, usage)

    return function


def make_schemas(path: str, folder: str, options: dict[str, Any]) -> _Function:
    """Return a function that tells the graph's schemas."""
    found = _finder(path, folder)
    return lambda inputs, call: list(graphs.schemas_of(found(), options))


def _finder(path: str, folder: str) -> Callable[[], Any]:
    os.chdir(folder)
    return cache(lambda: graphs.graph_at(path, folder)[0])


def _tell(call: CallFacts, usage: graphs.Usage) -> None:
    used = list(usage.by_model())
    if used:
        tell_usage(
            call, model=used[-1]["model"], input_tokens=sum(one["input_tokens"] for one in used),
            output_tokens=sum(one["output_tokens"] for one in used),
        )  # fmt: skip
