"""A compiled graph of LangGraph: found, looked at, called. The same in the host and in a worker.

The call of the attempt travels in the graph's `context` alone, as `{"call": ...}`: what is in `configurable` and
`metadata` the library copies into checkpoints. `configurable` has the thread's id, which is the attempt's own.

Not here: where the graph runs (langgraph, langgraph_worker). LangGraph is loaded with this module.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from langchain_core.callbacks import UsageMetadataCallbackHandler
from langgraph.pregel.protocol import PregelProtocol
from pydantic import BaseModel

from runner.agents import AgentError
from runner.agents.facts import CallFacts, NoJson, serving
from runner.agents.imports import find
from runner.models import Json

# As deep as a frame of a guest may be; what refers to itself ends here.
_MOST_DEPTH = 64
_INTERRUPTED = "__interrupt__"
_START = "__start__"


def graph_at(path: str, folder: str) -> tuple[Any, str]:
    """Return the compiled graph that an import path names, made if it names a function, and its module's name.

    Raises TypeError: it names something else; ValueError: its context has no room for a call, or wants more; whatever
    its module or its function raises.
    """
    found, module = find(path, folder)
    if not isinstance(found, PregelProtocol) and callable(found) and not hasattr(found, "compile"):
        found = found()
    if hasattr(found, "compile") and not isinstance(found, PregelProtocol):
        raise TypeError("it is a graph that was not compiled; write graph.compile()")
    if not isinstance(found, PregelProtocol):
        raise TypeError(f"it is a {type(found).__name__} and no compiled graph, nor a function that returns one")
    _check_context(found)
    return found, module


class NodeExited(Exception):
    """A node wanted to end the process."""


def keep_running(graph: Any) -> None:
    """Have the nodes of a graph fail where they would end the host: out of a task, SystemExit ends the event loop."""
    for _, bound in _nodes(graph):
        if isinstance(bound, PregelProtocol):
            keep_running(bound)
            continue
        coroutine = getattr(bound, "afunc", None)
        if inspect.iscoroutinefunction(coroutine) and not hasattr(coroutine, "kept_from"):
            bound.afunc = _kept(coroutine)


def _kept(coroutine: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def kept(*args: Any, **more: Any) -> Any:
        try:
            return await coroutine(*args, **more)
        except SystemExit as error:
            raise NodeExited(str(error)) from None

    kept.kept_from = coroutine  # type: ignore[attr-defined]
    return kept


def _check_context(graph: Any) -> None:
    """Raise ValueError where `{"call": ...}` cannot be the context of a graph."""
    schema = getattr(graph, "context_schema", None)
    if schema is None:
        return
    known, needed = _fields_of(schema)
    if "call" not in known:
        raise ValueError(f'its context_schema {schema.__name__} has no field "call"')
    if others := sorted(needed - {"call"}):
        raise ValueError(f"its context_schema {schema.__name__} needs {', '.join(others)} too, which nobody gives")


def _fields_of(schema: Any) -> tuple[set[str], set[str]]:
    """Return the names of the fields of a context's type, and of those that must be given."""
    if dataclasses.is_dataclass(schema):
        fields = dataclasses.fields(schema)
        without = {one.name for one in fields if one.default is one.default_factory is dataclasses.MISSING}
        return {one.name for one in fields}, without
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        models = schema.model_fields
        return set(models), {name for name, one in models.items() if one.is_required()}
    return set(getattr(schema, "__annotations__", {})), set(getattr(schema, "__required_keys__", ()))


def state_of(inputs: Json, options: Mapping[str, Any]) -> Any:
    """Return the state that a graph begins with."""
    key = options.get("input_key")
    return inputs if key is None else {key: inputs}


def config_of(call: CallFacts, options: Mapping[str, Any], usage: Usage) -> dict[str, Any]:
    """Return the configuration of one call of a graph. Nothing of it may be kept from others: it is checkpointed."""
    config: dict[str, Any] = {"configurable": {"thread_id": call.idempotency_key}, "callbacks": [usage.handler]}
    if options.get("recursion_limit") is not None:
        config["recursion_limit"] = options["recursion_limit"]
    return config


async def invoke(graph: Any, inputs: Json, call: CallFacts, options: Mapping[str, Any], usage: Usage) -> Json:
    """Call a graph on an event loop, and return its output. Raises AgentError, NoJson, whatever its nodes raise."""
    with serving(call):
        state = await graph.ainvoke(
            state_of(inputs, options), config_of(call, options, usage), context={"call": call}
        )
    return output_of(state, options)


def invoke_sync(graph: Any, inputs: Json, call: CallFacts, options: Mapping[str, Any], usage: Usage) -> Json:
    """As `invoke`, of a graph whose nodes are all sync, in this thread."""
    with serving(call):
        state = graph.invoke(state_of(inputs, options), config_of(call, options, usage), context={"call": call})
    return output_of(state, options)


def output_of(state: Any, options: Mapping[str, Any]) -> Json:
    """Return the output of a graph that ended with this state."""
    if isinstance(state, Mapping) and state.get(_INTERRUPTED):
        raise AgentError("the graph stopped to ask a person, and nobody answers within a spawn")
    key = options.get("output_key")
    if key is None:
        return jsonable(state)
    if isinstance(state, Mapping) and key in state:
        return jsonable(state[key])
    if not isinstance(state, Mapping) and hasattr(state, key):
        return jsonable(getattr(state, key))
    raise NoJson(f'its state has no "{key}" at the end')


def jsonable(value: Any, depth: int = 0) -> Json:
    """Return a value of a state as JSON: models and messages as pydantic writes them, dataclasses by their fields.

    Raises NoJson for whatever has no one form, such as a set, a date or the call itself.
    """
    if depth > _MOST_DEPTH:
        raise NoJson(f"more than {_MOST_DEPTH} levels deep")
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, str):  # A member of an enum of texts.
        return str.__str__(value)
    if isinstance(value, BaseModel):
        try:
            return jsonable(value.model_dump(mode="json"), depth + 1)
        except (ValueError, TypeError, RecursionError) as error:
            raise NoJson(f"a {type(value).__name__}: {error}") from None
    if isinstance(value, Mapping):
        if wrong := next((key for key in value if not isinstance(key, str)), None):
            raise NoJson(f"a key that is a {type(wrong).__name__}")
        return {str.__str__(key): jsonable(one, depth + 1) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(one, depth + 1) for one in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, (type, CallFacts)):
        return {one.name: jsonable(getattr(value, one.name), depth + 1) for one in dataclasses.fields(value)}
    raise NoJson(f"a {type(value).__name__}")


def schemas_of(graph: Any, options: Mapping[str, Any]) -> tuple[Json, Json]:
    """Return what a graph tells of what it takes and returns; None for what it cannot tell.

    The library raises for types that have no schema, such as, before Python 3.12, a TypedDict of `typing`.
    """
    taken = returned = None
    with suppress(Exception):
        taken = _part(jsonable(graph.get_input_jsonschema()), options.get("input_key"))
    with suppress(Exception):
        returned = _part(jsonable(graph.get_output_jsonschema()), options.get("output_key"))
    return taken, returned


def _part(schema: Json, key: str | None) -> Json:
    """Return the schema of one key of a state, with the definitions that it may refer to."""
    if key is None or not isinstance(schema, dict):
        return schema
    properties = schema.get("properties")
    part = properties.get(key) if isinstance(properties, dict) else None
    if not isinstance(part, dict):
        return None
    return {**part, "$defs": schema["$defs"]} if "$defs" in schema else part


class Usage:
    """What the models of LangChain used that a graph called: they tell it to their callbacks."""

    def __init__(self) -> None:
        self.handler = UsageMetadataCallbackHandler()

    def by_model(self) -> Iterator[dict[str, Any]]:
        """Yield what each model used, by the names of `Call.used`."""
        for model, used in dict(self.handler.usage_metadata).items():
            yield {
                "model": model, "input_tokens": int(used.get("input_tokens", 0)),
                "output_tokens": int(used.get("output_tokens", 0)),
            }  # fmt: skip


def sync_nodes(graph: Any, within: str = "") -> list[str]:
    """Return the nodes of a graph, those of graphs in it too, that would be run in threads beside the event loop.

    Not seen: what an async node begins itself, such as a model whose library has no async calls.
    """
    found = []
    for name, bound in _nodes(graph):
        if isinstance(bound, PregelProtocol):
            found += sync_nodes(bound, f"{within}{name}.")
        elif _is_sync(bound):
            found.append(f"{within}{name}")
    return found


def is_all_sync(graph: Any) -> bool:
    """True where every node is sync: such a graph is called in one thread, and may have a checkpointer that is sync."""
    nodes = [bound for _, bound in _nodes(graph)]
    return bool(nodes) and all(
        is_all_sync(bound) if isinstance(bound, PregelProtocol) else _is_sync(bound) for bound in nodes
    )


def _nodes(graph: Any) -> Iterator[tuple[str, Any]]:
    for name, node in getattr(graph, "nodes", {}).items():
        if name != _START:
            yield name, getattr(node, "bound", node)


def _is_sync(runnable: Any) -> bool:
    tools = getattr(runnable, "tools_by_name", None)
    if isinstance(tools, Mapping):  # A ToolNode, which is async itself, and calls these.
        return any(getattr(tool, "func", None) and not getattr(tool, "coroutine", None) for tool in tools.values())
    if steps := getattr(runnable, "steps", None):
        return isinstance(steps, list) and any(map(_is_sync, steps))
    function, coroutine = getattr(runnable, "func", None), getattr(runnable, "afunc", None)
    coroutine = getattr(coroutine, "kept_from", coroutine)
    if isinstance(coroutine, functools.partial):  # The library's own: run `function` in a thread.
        return getattr(coroutine.func, "__name__", "") == "run_in_executor"
    return function is not None and coroutine is None
