"""Probe the agents that are code: `langgraph`, `crewai`, `script`. It is imported or read; nothing of it is called.

Not here: python functions, which are made as a run makes them, and asked (python).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.agents import faults
from runner.agents.connecting import beside
from runner.agents.looking import Look
from runner.seams import Probe


async def probe_graph(look: Look) -> list[Probe]:
    from runner.agents.imports import find

    place, folder = look.entry.options["graph"], str(look.setting.folder)
    try:
        graph = await beside(lambda: _imported(lambda: find(place, folder)[0]))
    except ImportError as error:
        return [_not_imported("graph", place, str(error))]
    if hasattr(graph, "ainvoke"):
        return [Probe("graph", True, f"{place} imports, and is a compiled graph")]
    if callable(graph):
        return [Probe("graph", True, f"{place} imports; what it returns is seen when it is called")]
    fact = f'{place} is "{type(graph).__name__}", and no compiled graph'
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


async def probe_crew(look: Look) -> list[Probe]:
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


async def probe_script(look: Look) -> list[Probe]:
    """Check the inner script under its policy. Both were read with the policy that they stand in."""
    from runner.check import check
    from runner.policy.nested import nested_of

    file, policy = look.entry.options["file"], look.entry.options["policy"]
    assert look.setting.policy is not None
    inner = nested_of(look.setting.policy, look.entry)
    verdict = check(inner.script, inner.policy)
    if verdict.accepted:
        return [Probe("script", True, f"{file} is accepted under {policy}")]
    first = next(finding for finding in verdict.findings if finding.severity == "error")
    fix = f"runner check {file} --policy {policy}"
    return [Probe("script", False, f"{file} is rejected under {policy}: line {first.line}: {first.message}", fix)]


def why_not(error: OSError) -> str:
    return str(error.strerror or type(error).__name__).lower()
