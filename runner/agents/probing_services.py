"""Probe the agents that are a service: `http`, `mcp`, and models. Nothing is asked of one that would be work.

Not here: connections and requests (connecting), asking an MCP server (mcp_listing).
"""

from __future__ import annotations

import os
import shutil
from importlib import metadata
from typing import Any

from runner.agents.connecting import PROBE_SECONDS, connect, models_of
from runner.agents.extras import TESTED
from runner.agents.looking import LONG_SECONDS, Look, value_of, values_of
from runner.errors import RunnerError
from runner.policy.model import AgentEntry, LockedAgent, Reference
from runner.seams import Probe

_ANTHROPIC, _OPENAI = "https://api.anthropic.com", "https://api.openai.com/v1"
_VARIABLES = {"anthropic": "ANTHROPIC_API_KEY", "claude": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}


async def probe_http(look: Look) -> list[Probe]:
    return [await connect(look.entry.options["url"])]


async def probe_mcp(look: Look) -> list[Probe]:
    from runner.agents.mcp_listing import NotTold, Server

    options, setting = look.entry.options, look.setting
    url, argv = options.get("url") or "", list(options.get("command") or ())
    reached: list[Probe] = []
    if url:
        reached = [await connect(url)]
        if not reached[0].ok:
            return reached
    try:
        headers, env = await values_of(options.get("headers"), setting), await values_of(options.get("env"), setting)
    except RunnerError:  # Told of by the probe of the reference itself.
        return [*reached, Probe("server", True, "not asked: its credential cannot be read", "mend the credential")]
    try:
        server = Server(url, headers, argv, env, setting.folder)
        found = await look.listings.of(server, LONG_SECONDS - 2 * PROBE_SECONDS)
    except NotTold as error:
        return [*reached, Probe("server", False, f"asked for its tools: {error}", "start it, or look at its log")]
    tool = next((one for one in found if one.name == options["tool"]), None)
    if tool is None:
        fix = 'correct "tool" of the agent'
        return [*reached, Probe("tool", False, f'the server has no tool "{options["tool"]}"', fix)]
    told = Probe("tool", True, f'the server has it, among {len(found):,}')
    return [*reached, told, *as_locked(look.locked, tool.input_schema, tool.output_schema)]


def as_locked(locked: LockedAgent | None, takes: Any, returns: Any) -> list[Probe]:
    if locked is None:
        return []
    was = {"input": locked.input_schema, "output": locked.output_schema}
    other = [what for what, now in (("input", takes), ("output", returns)) if was[what] not in (None, now)]
    if not other:
        return [Probe("lock", True, "its schemas are as locked")]
    fix = "look at what changed, then `runner policy lock`"
    return [Probe("lock", False, f"its {' and '.join(other)} schema is not as locked", fix)]


async def probe_model(look: Look) -> list[Probe]:
    """Connect to the API and list its models with the key. A key that is written is told of elsewhere."""
    entry = look.entry
    base = str(entry.options.get("base_url") or (_OPENAI if entry.backend == "openai" else _ANTHROPIC)).rstrip("/")
    key, told = await _key(look)
    reached = await connect(base)
    if not reached.ok or (key is None and not _may_need_none(entry)):
        return [*told, reached]
    if entry.backend == "openai":
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return [*told, reached, await models_of(f"{base}/models", headers)]
    headers = {} if key is None else {"x-api-key": key, "anthropic-version": "2023-06-01"}
    return [*told, reached, await models_of(f"{base}/v1/models", headers)]


async def _key(look: Look) -> tuple[str | None, list[Probe]]:
    """Return the key of a model, and what is to be said of one that is not written and lies where it usually does."""
    entry, setting = look.entry, look.setting
    written = entry.options.get("api_key")
    reference = written if isinstance(written, Reference) else Reference("env", (_VARIABLES[entry.backend],))
    try:
        return await value_of(reference, setting), []
    except RunnerError as error:
        if written is not None:
            return None, []
        optional = _may_need_none(entry)
        return None, [Probe(f"credential {reference}", optional, error.message, error.hint)]


def _may_need_none(entry: AgentEntry) -> bool:
    """A server of one's own that speaks the API of OpenAI mostly asks for no key."""
    return entry.backend == "openai" and bool(entry.options.get("base_url")) and entry.options.get("api_key") is None


async def probe_claude(look: Look) -> list[Probe]:
    found = await probe_model(look)
    if look.entry.options.get("via") == "cli":
        # A command like any other: no library, and the program of the PATH.
        place = shutil.which("claude")
        if place is None:
            fix = "install Claude Code, or put it into a folder of PATH"
            return [*found, Probe("program", False, "its command line (claude) is not there", fix)]
        return [*found, Probe("program", True, place)]
    bundled = metadata.distribution(TESTED["claude"][0]).files or ()
    program = next((file for file in bundled if file.name == "claude" and "_bundled" in file.parts), None)
    place = str(program.locate()) if program is not None else shutil.which("claude")
    if place is None or not os.access(place, os.X_OK):
        return [*found, Probe("program", False, "its command line (claude) is not there", "install the extra anew")]
    return [*found, Probe("program", True, place)]
