"""Draft a policy from what is there: a function, a LangGraph graph, a CrewAI crew, or the tools of an MCP server.

This imports code, or starts or asks a server, so a person asks for it. What comes of it is held to what a policy may
say, and proven to load, before it is written; nothing is overwritten.

Not here: the YAML (policy.draft).
"""

from __future__ import annotations

import inspect
import os
import typing
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.agents import Setting, build_agent
from runner.agents.extras import library
from runner.agents.imports import find
from runner.agents.mcp_listing import Listed, NotTold, listed_by, server_at
from runner.broker.reached import Reached
from runner.errors import PolicyError, UsageError
from runner.models import Json
from runner.policy import load_policy_text
from runner.policy.draft import Draft, agent_name, description_of, plain_schema, policy_text
from runner.policy.model import Policy

_OPEN_INPUT = "no type hint says what it takes: name its properties, so that wrong inputs are refused"
_OPEN_OUTPUT = "nothing says what it returns: of an object nothing passes until its properties are named"
_LEFT_OUT = "what was told is no schema that can be held, and was left out: write one"
_SYNC = "some of its nodes are sync: in the host's process they would run in threads, which no deadline stops"
_HINTED = "from its type hints"
_TOLD = "as the server describes it"


@dataclass(frozen=True, slots=True)
class Drafted:
    """A policy that was written."""

    file: Path
    policy: Policy
    left_out: int = 0
    """Tools of a server that no policy can name."""


async def draft_policy(into: Path, *, place: str = "", url: str = "", argv: tuple[str, ...] = ()) -> Drafted:
    """Write a policy for an import path, or for a server by its URL or its command: exactly one of the three.

    Raises UsageError: the file is there, or nothing can be made of what was named. Then nothing was written.
    """
    _require_free(into)
    folder = into.parent.absolute()
    drafts, left_out = ([_of_import(place, folder)], 0) if place else await _of_server(url, argv, folder)
    text, policy = _proven(drafts, folder, into.stem, left_out)
    if place:
        _require_agent(policy, folder)
    _write(into, text)
    return Drafted(into, policy, left_out)


def _require_free(into: Path) -> None:
    if os.path.lexists(into):
        raise UsageError(f'"{into}" is there already, and nothing is overwritten', hint="name another file with -o")


# --- of code ---------------------------------------------------------------------------------


def _of_import(place: str, folder: Path) -> Draft:
    """Return the draft of what an import path names. Raises UsageError."""
    if place.count(":") != 1 or place.startswith(":") or place.endswith(":"):
        raise UsageError(f'"{place}" is no import path', hint='write it as "module:function"')
    found = _called(lambda: find(place, str(folder))[0], f'"{place}" cannot be imported', folder)
    name = agent_name(place.rpartition(":")[2].rpartition(".")[2], ())
    description = description_of(inspect.getdoc(found) or "" if callable(found) else "", f"Calls {place}.")
    if not _is_graph(found) and callable(found) and _takes_nothing(found):
        # Of a function without parameters counts what it returns: a graph, or a crew.
        made = _called(found, f'"{place}" takes nothing, and cannot be called', folder)
        if _is_crew(made):
            return _of_crew(place, name, description, made)
        if not _is_graph(made):
            raise UsageError(
                f'"{place}" takes nothing, and returns "{type(made).__name__}"',
                hint="an agent is f(inputs) or f(inputs, call); or it returns a compiled graph, or a Crew",
            )
        found = made
    elif not _is_graph(found):
        if not callable(found):
            raise UsageError(f'"{place}" is "{type(found).__name__}", and no function, graph or crew')
        return _of_function(place, name, description, found)
    return _of_graph(place, name, f"Runs the graph {place}.", found)


def _called(act: Callable[[], Any], otherwise: str, folder: Path) -> Any:
    try:
        return act()
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"{otherwise}: {type(error).__name__}: {error}", hint=f"its module is looked for in {folder} first"
        ) from error


def _takes_nothing(found: Callable[..., Any]) -> bool:
    try:
        return not inspect.signature(found).parameters
    except (TypeError, ValueError):
        return False


def _is_graph(found: Any) -> bool:
    return hasattr(found, "ainvoke") and hasattr(found, "get_input_jsonschema")


def _is_crew(found: Any) -> bool:
    return any(one.__name__ == "Crew" and one.__module__.startswith("crewai") for one in type(found).__mro__)


def _of_function(place: str, name: str, description: str, function: Callable[..., Any]) -> Draft:
    takes, returns = _hints_of(function)
    given, told = _schema_of(takes, "validation"), _schema_of(returns, "serialization")
    remarks = {"input": _OPEN_INPUT if given is None else _HINTED, "output": _OPEN_OUTPUT if told is None else _HINTED}
    return Draft(
        name, description, {"python": place}, {"type": "object"} if given is None else given,
        {"type": "object"} if told is None else told, remarks=remarks,
    )  # fmt: skip


def _hints_of(function: Callable[..., Any]) -> tuple[Any, Any]:
    """Return the type hints of a function's inputs and of its output; None for what has none, or cannot be told."""
    hints: dict[str, Any] = {}
    with suppress(Exception):  # A hint may name what is not there when the module is imported.
        hints = typing.get_type_hints(function, include_extras=True)
    with suppress(TypeError, ValueError):
        first = next((one for one in inspect.signature(function).parameters if one != "call"), "")
        return hints.get(first), hints.get("return")
    return None, None


def _schema_of(hint: Any, mode: typing.Literal["validation", "serialization"]) -> Json:
    """Return the schema of a type hint; None where it says nothing of the value's shape."""
    from pydantic import TypeAdapter

    if hint in (None, type(None), Any, object, dict, list):
        return None
    try:
        schema = TypeAdapter(hint).json_schema(mode=mode)
    except Exception:  # Whatever pydantic has against a hint: it has no schema.
        return None
    return None if schema in ({}, {"type": "object"}, {"additionalProperties": True, "type": "object"}) else schema


def _of_graph(place: str, name: str, description: str, graph: Any) -> Draft:
    given, told = _asked(graph.get_input_jsonschema), _asked(getattr(graph, "get_output_jsonschema", lambda: None))
    remarks = {
        "input": _OPEN_INPUT if given is None else "as the graph says of its state; keep what a script should give",
        "output": _OPEN_OUTPUT if told is None else "as the graph says of its state; keep what a script should see",
    }
    isolation = ""
    if library("langgraph", "runner.agents.graphs", who=f'the graph "{place}"').sync_nodes(graph):
        isolation, remarks["isolation"] = "process", _SYNC
    return Draft(
        name, description, {"langgraph": {"graph": place}}, {"type": "object"} if given is None else given,
        {"type": "object"} if told is None else told, isolation=isolation, remarks=remarks,
    )  # fmt: skip


def _asked(act: Callable[[], Any]) -> Json:
    """Return a schema that code of others tells, None where it fails: before Python 3.12 it does for some states."""
    try:
        schema = act()
    except Exception:
        return None
    return schema if isinstance(schema, dict) and schema else None


def _of_crew(place: str, name: str, description: str, crew: Any) -> Draft:
    asked = _asked(lambda: {"names": sorted(map(str, crew.fetch_inputs()))})
    names = asked["names"] if isinstance(asked, dict) else []
    given: Json = {"type": "object"}
    if names:
        given = {"type": "object", "properties": {one: {"type": "string"} for one in names}, "required": names}
    last = (getattr(crew, "tasks", None) or [None])[-1]
    model = getattr(last, "output_json", None) or getattr(last, "output_pydantic", None)
    told = None if model is None else _schema_of(model, "serialization")
    remarks = {
        "input": "of the names in braces in its texts" if names else _OPEN_INPUT,
        "output": "of its last part's output" if told is not None else f"{_OPEN_OUTPUT}; a text passes",
    }
    return Draft(name, description, {"crewai": {"crew": place}}, given, {} if told is None else told, remarks=remarks)


# --- of a server -----------------------------------------------------------------------------


async def _of_server(url: str, argv: tuple[str, ...], folder: Path) -> tuple[list[Draft], int]:
    """Return a draft for each tool of a server, and how many have a name that no policy can hold. Raises UsageError."""
    where = f'the server at "{url}"' if url else f'the server "{argv[0]}"'
    library("mcp", "mcp", who="asking an MCP server")
    try:
        listed = await listed_by(server_at(url=url, argv=argv), Setting(folder))
    except NotTold as error:
        hint = "start it, or look at its log"
        raise UsageError(f"{where} did not say what tools it has: {error}", hint=hint) from None
    if not listed:
        raise UsageError(f"{where} has no tools")
    at: dict[str, Json] = {"url": url} if url else {"command": list(argv)}
    # Where none holds it is not for their names: what it is for is told of the whole.
    usable = [tool for tool in listed if _names(at, tool.name, folder)] or listed
    drafts: list[Draft] = []
    for tool in usable:
        name = agent_name(tool.name, (draft.name for draft in drafts))
        drafts.append(_of_tool(tool, name, at))
    return drafts, len(listed) - len(usable)


def _names(at: dict[str, Json], tool: str, folder: Path) -> bool:
    """True where a policy can name a tool of this server."""
    return _holds(Draft("tool", "a tool", {"mcp": {**at, "tool": tool}}, {"type": "object"}, {}), folder)


def _of_tool(tool: Listed, name: str, at: dict[str, Json]) -> Draft:
    given, told = tool.input_schema, tool.output_schema
    effects, why = _effects_of(tool)
    remarks = {
        "description": "the server's own words: a model will read them",
        "input": _TOLD if isinstance(given, dict) else _OPEN_INPUT,
        "output": _TOLD if isinstance(told, dict) else "the server does not say: a text passes, of an object nothing "
        "until its properties are named",
        "trusted": "its outputs hold what strangers wrote",
    }  # fmt: skip
    if why:
        remarks["effects"] = why
    return Draft(
        name, description_of(tool.description, f"Calls the tool {name}, of which its server says nothing."),
        {"mcp": {**at, "tool": tool.name}}, given if isinstance(given, dict) else {"type": "object"},
        told if isinstance(told, dict) else {}, effects=effects,
        idempotent=True if tool.idempotent is True and effects in ("write", "irreversible") else None, trusted=False,
        remarks=remarks,
    )  # fmt: skip


def _effects_of(tool: Listed) -> tuple[str, str]:
    """Return the effects that a server claims, and the remark; the worst where it claims none."""
    if tool.read_only is True:
        return "read", "the server says readOnlyHint; believe it only if you know the server"
    if tool.destructive is False:
        return "write", "the server says that it is not destructive; believe it only if you know the server"
    return "irreversible", "the server says destructiveHint" if tool.destructive is True else ""


# --- held to what a policy may say -----------------------------------------------------------


def _proven(drafts: list[Draft], folder: Path, name: str, left_out: int) -> tuple[str, Policy]:
    """Return the text and the policy that it is. A schema that cannot be held is left out, and a remark says so.

    Raises UsageError: what was told cannot stand in a policy.
    """
    drafts = [_holdable(draft, folder) for draft in drafts]
    text = policy_text(drafts, left_out=left_out)
    try:
        return text, load_policy_text(text, folder=folder, name=name)
    except PolicyError as error:
        raise UsageError(
            f"no policy can be written of what was told: {error.message}", hint="write it by hand: docs/policy.md"
        ) from error


def _holdable(draft: Draft, folder: Path) -> Draft:
    """Return a draft with schemas that a policy can have: whatever code or a server told may be none."""
    draft = replace(draft, input=plain_schema(draft.input), output=plain_schema(draft.output))
    if not _holds(replace(draft, output={}), folder):
        draft = replace(draft, input={"type": "object"}, remarks={**draft.remarks, "input": _LEFT_OUT})
    if not _holds(draft, folder):
        draft = replace(draft, output={}, remarks={**draft.remarks, "output": _LEFT_OUT})
    return draft


def _holds(draft: Draft, folder: Path) -> bool:
    try:
        (entry,) = load_policy_text(policy_text([draft]), folder=folder, name="draft").agents.values()
        Reached(entry)
    except PolicyError:
        return False
    return True


def _require_agent(policy: Policy, folder: Path) -> None:
    """Make a function or a graph an agent, as a run would. Raises UsageError: it is none. Others need what may not be
    here.
    """
    (entry,) = policy.agents.values()
    if entry.backend not in ("python", "langgraph"):
        return
    try:
        build_agent(replace(entry, line=0), Setting(folder))
    except PolicyError as error:
        raise UsageError(error.message, hint=error.hint) from error


def _write(into: Path, text: str) -> None:
    try:
        with into.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise UsageError(
            f'"{into}" cannot be written: {str(error.strerror).lower()}', hint="name a file that you may write with -o"
        ) from error
