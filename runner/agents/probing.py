"""Say of each agent whether a call could work, without doing work: its library, its code, its address, its credential.

By backend, and from the agent's entry alone; of a backend that is not listed here the agent is made, and asked itself
(`seams.Probes`). Everything has an end: 5 s for what is on a network, 30 s for what imports or starts something.

Not here: issuers and resources (credentials.probing), how it is shown (doctor).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.agents import Setting, build_agent, faults
from runner.agents.connecting import PROBE_SECONDS, beside, connect, models_of
from runner.agents.extras import TESTED, require_version
from runner.errors import PolicyError, RunnerError
from runner.policy.backends import BACKENDS
from runner.policy.model import AgentEntry, LockedAgent, Reference
from runner.seams import Probe, Probes

if TYPE_CHECKING:
    from runner.agents.mcp_listing import Listed, Server

# An import of crewai takes 5 s on an idle machine, a server over stdio one; a command that keeps a credential has 10 s.
LONG_SECONDS = 30.0
_ANTHROPIC, _OPENAI = "https://api.anthropic.com", "https://api.openai.com/v1"
_VARIABLES = {"anthropic": "ANTHROPIC_API_KEY", "claude": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}

class Listings:
    """What servers listed within one look at a policy: each is started and asked once, for all of its tools."""

    def __init__(self) -> None:
        self._asked: dict[tuple[object, ...], asyncio.Task[list[Listed]]] = {}

    async def of(self, server: Server, seconds: float) -> list[Listed]:
        """Return the tools of a server. Raises NotTold."""
        from runner.agents.mcp_listing import listed_by

        key = server.same_as()
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(listed_by(server, seconds=seconds))
        return await asyncio.shield(self._asked[key])


@dataclass(frozen=True, slots=True)
class Look:
    """One agent that is looked at."""

    entry: AgentEntry
    setting: Setting
    locked: LockedAgent | None
    """What its policy's lock says of it."""
    listings: Listings


Probing = Callable[[Look], Awaitable[list[Probe]]]


async def probe(look: Look) -> list[Probe]:
    """Return what was found of one agent. Raises nothing."""
    found = _library(look.entry)
    if not all(one.ok for one in found):
        return found
    by_backend = PROBES.get(look.entry.backend, _made)
    parts = await asyncio.gather(
        _bounded(lambda: by_backend(look)), _bounded(lambda: _references(look.entry, look.setting))
    )
    return [*found, *(one for part in parts for one in part)]


async def _bounded(act: Callable[[], Awaitable[list[Probe]]]) -> list[Probe]:
    try:
        async with asyncio.timeout(LONG_SECONDS):
            return await act()
    except TimeoutError:
        return [Probe("probe", False, f"no answer within {LONG_SECONDS:g} s", "look at what it imports or starts")]
    except RunnerError as error:
        return [Probe("probe", False, error.message, error.hint)]
    except Exception as error:
        return [Probe("probe", False, f"{type(error).__name__} in the probe itself", "this is a defect of runner")]


def _library(entry: AgentEntry) -> list[Probe]:
    """Say whether the backend's library is there, at a version that was tested. It is not imported for that."""
    extra = BACKENDS[entry.backend].extra
    if not extra:
        return []
    try:
        require_version(entry)
    except PolicyError as error:
        return [Probe("library", False, error.message, error.hint)]
    distribution = TESTED[extra][0]
    return [Probe("library", True, f"{distribution} {metadata.version(distribution)}")]


# --- credentials -----------------------------------------------------------------------------


async def _references(entry: AgentEntry, setting: Setting) -> list[Probe]:
    """Read each value that the entry keeps elsewhere, as a call would. It is dropped at once, and never shown."""
    return [await _readable(reference, setting) for reference in references_of(entry.options)]


def references_of(options: Any) -> Iterator[Reference]:
    """Yield the references in an entry's options, at any depth."""
    if isinstance(options, Reference):
        yield options
    elif isinstance(options, dict):
        for part in options.values():
            yield from references_of(part)


async def _readable(reference: Reference, setting: Setting) -> Probe:
    what = f"credential {reference}"
    try:
        await _value(reference, setting)
    except RunnerError as error:
        return Probe(what, False, error.message, error.hint)
    return Probe(what, True, "can be read")


async def _value(reference: Reference, setting: Setting) -> str:
    read = setting.read_reference
    if read is None:
        raise PolicyError(f"nothing reads {reference}")
    return await beside(lambda: read(reference))


async def _values(written: dict[str, Any] | None, setting: Setting) -> dict[str, str]:
    """Return headers or variables with their values. Raises PolicyError: one cannot be read."""
    return {
        name: await _value(value, setting) if isinstance(value, Reference) else str(value)
        for name, value in (written or {}).items()
    }


# --- by backend ------------------------------------------------------------------------------


async def _made(look: Look) -> list[Probe]:
    """Make the agent, as a run would, and ask it."""
    from runner.policy.lock import differing

    entry, locked = look.entry, look.locked
    agent = await beside(lambda: build_agent(entry, look.setting))
    try:
        found = await agent.probe() if isinstance(agent, Probes) else [Probe("agent", True, "it can be made")]
        told = differing(locked, entry.backend, await beside(agent.facts)) if locked is not None else []
    finally:
        await agent.close()
    fix = "look at what changed, then `runner policy lock`"
    return [*found, *([Probe("lock", False, "; ".join(told), fix)] if told else [])]


async def _http(look: Look) -> list[Probe]:
    return [await connect(look.entry.options["url"])]


async def _mcp(look: Look) -> list[Probe]:
    from runner.agents.mcp_listing import NotTold, Server

    options, setting = look.entry.options, look.setting
    url, argv = options.get("url") or "", list(options.get("command") or ())
    reached: list[Probe] = []
    if url:
        reached = [await connect(url)]
        if not reached[0].ok:
            return reached
    try:
        headers, env = await _values(options.get("headers"), setting), await _values(options.get("env"), setting)
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
    return [*reached, told, *_as_locked(look.locked, tool.input_schema, tool.output_schema)]


def _as_locked(locked: LockedAgent | None, takes: Any, returns: Any) -> list[Probe]:
    if locked is None:
        return []
    was = {"input": locked.input_schema, "output": locked.output_schema}
    other = [what for what, now in (("input", takes), ("output", returns)) if was[what] not in (None, now)]
    if not other:
        return [Probe("lock", True, "its schemas are as locked")]
    fix = "look at what changed, then `runner policy lock`"
    return [Probe("lock", False, f"its {' and '.join(other)} schema is not as locked", fix)]


async def _model(look: Look) -> list[Probe]:
    """Connect to the API and list its models with the key. The key itself is told of by `_references`, if written."""
    entry, setting = look.entry, look.setting
    base = str(entry.options.get("base_url") or (_OPENAI if entry.backend == "openai" else _ANTHROPIC)).rstrip("/")
    key, told = await _key(entry, setting)
    reached = await connect(base)
    if not reached.ok or (key is None and not _may_need_none(entry)):
        return [*told, reached]
    if entry.backend == "openai":
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return [*told, reached, await models_of(f"{base}/models", headers)]
    headers = {} if key is None else {"x-api-key": key, "anthropic-version": "2023-06-01"}
    return [*told, reached, await models_of(f"{base}/v1/models", headers)]


async def _key(entry: AgentEntry, setting: Setting) -> tuple[str | None, list[Probe]]:
    """Return the key of a model, and what is to be said of one that is not written and lies where it usually does."""
    written = entry.options.get("api_key")
    reference = written if isinstance(written, Reference) else Reference("env", (_VARIABLES[entry.backend],))
    try:
        return await _value(reference, setting), []
    except RunnerError as error:
        if written is not None:
            return None, []
        optional = _may_need_none(entry)
        return None, [Probe(f"credential {reference}", optional, error.message, error.hint)]


def _may_need_none(entry: AgentEntry) -> bool:
    """A server of one's own that speaks the API of OpenAI mostly asks for no key."""
    return entry.backend == "openai" and bool(entry.options.get("base_url")) and entry.options.get("api_key") is None


async def _claude(look: Look) -> list[Probe]:
    found = await _model(look)
    bundled = metadata.distribution(TESTED["claude"][0]).files or ()
    program = next((file for file in bundled if file.name == "claude" and "_bundled" in file.parts), None)
    place = str(program.locate()) if program is not None else shutil.which("claude")
    if place is None or not os.access(place, os.X_OK):
        return [*found, Probe("program", False, "its command line (claude) is not there", "install the extra anew")]
    return [*found, Probe("program", True, place)]


async def _graph(look: Look) -> list[Probe]:
    from runner.agents.imports import named

    place, folder = look.entry.options["graph"], str(look.setting.folder)
    try:
        graph = await beside(lambda: _imported(lambda: named(place, folder)))
    except ImportError as error:
        return [_not_imported("graph", place, str(error))]
    if hasattr(graph, "ainvoke"):
        return [Probe("graph", True, f"{place} imports, and is a compiled graph")]
    if callable(graph):
        return [Probe("graph", True, f"{place} imports; what it returns is seen when it is called")]
    fact = f"{place} is a {type(graph).__name__}, no compiled graph"
    return [Probe("graph", False, fact, "name one: what compile() returns")]


def _imported(act: Callable[[], Any]) -> Any:
    """Return what an import gives. Raises ImportError for whatever a module raises."""
    try:
        return act()
    except (Exception, SystemExit) as error:
        raise ImportError(f"{type(error).__name__}: {error}") from None


def _not_imported(what: str, place: str, why: str) -> Probe:
    fact = f"{place} cannot be imported: {faults.detail(why)[:300]}"
    return Probe(what, False, fact, f'correct "{what}" of the agent')


async def _crew(look: Look) -> list[Probe]:
    """Import the factory in a process of its own: the library has 240 MB, and is never in the host."""
    place = look.entry.options["crew"]
    failure = await _imports_elsewhere(place, look.setting.folder)
    return [Probe("crew", True, f"{place} imports") if failure is None else _not_imported("crew", place, failure)]


_IMPORT = """
import sys
sys.path.insert(0, sys.argv[1])
from runner.agents.imports import load
try:
    load(sys.argv[2], sys.argv[3])
except BaseException as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""
# Each of them reaches for the network when it is imported or used.
_QUIET = {
    "CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_DISABLE_TRACKING": "true", "OTEL_SDK_DISABLED": "true",
    "CREWAI_TRACING_ENABLED": "false",
}  # fmt: skip


async def _imports_elsewhere(place: str, folder: Path) -> str | None:
    """Return why an import path does not import, asked of a process that is killed afterwards; None where it does."""
    own = str(Path(__file__).parents[2])
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _IMPORT, own, place, str(folder), env={**kept, **_QUIET}, cwd=folder,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    tail = b""
    try:
        while chunk := await process.stderr.read(65_536):
            tail = (tail + chunk)[-faults.DETAIL_BYTES :]
        status = await process.wait()
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    if status == 0:
        return None
    lines = tail.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"it ended with status {status}"


async def _script(look: Look) -> list[Probe]:
    """Read the inner script and its policy, and check the one against the other."""
    from runner.check import check
    from runner.models import Script
    from runner.policy import load_policy

    file, policy, folder = look.entry.options["file"], look.entry.options["policy"], look.setting.folder
    try:
        script = Script(Path(file).stem, (folder / file).read_bytes())
    except OSError as error:
        return [Probe("script", False, f"{file} cannot be read: {why_not(error)}", "write it, or correct the path")]
    try:
        inner = load_policy(folder / policy)
    except PolicyError as error:
        return [Probe("policy", False, error.message, error.hint)]
    verdict = check(script, inner)
    if verdict.accepted:
        return [Probe("script", True, f"{file} is accepted under {policy}")]
    first = next(finding for finding in verdict.findings if finding.severity == "error")
    fix = f"runner check {file} --policy {policy}"
    return [Probe("script", False, f"{file} is rejected under {policy}: line {first.line}: {first.message}", fix)]


def why_not(error: OSError) -> str:
    return str(error.strerror or type(error).__name__).lower()


PROBES: dict[str, Probing] = {
    "http": _http, "mcp": _mcp, "anthropic": _model, "openai": _model, "claude": _claude, "langgraph": _graph,
    "crewai": _crew, "script": _script,
}  # fmt: skip
"""Backend → how an agent of it is probed from its entry. One that is not in here is made, and asked itself."""
