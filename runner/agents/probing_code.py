"""Probe the agents that are code: `crewai`, `script`. It is imported or read; nothing of it is called.

Not here: python functions and graphs, which are made as a run makes them, and asked (functions, langgraph, adapted).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from runner.agents import faults
from runner.agents.kept import Kept, NotRead, Values
from runner.agents.looking import Look
from runner.errors import PolicyError
from runner.seams import Probe


async def probe_crew(look: Look) -> list[Probe]:
    """Import the factory in a process of its own: the library has 240 MB, and is never in the host."""
    place = look.entry.options["crew"]
    try:
        env = await Kept(look.entry, "env", look.setting).read()
    except (NotRead, PolicyError):  # Told of by the probe of the reference itself.
        return [Probe("crew", True, f"{place} is not imported: its env cannot be read", "mend the credential")]
    failure = await _imports_elsewhere(place, look.setting.folder, env)
    if failure is None:
        return [Probe("crew", True, f"{place} imports")]
    fact = f"{place} cannot be imported: {failure[:300]}"
    return [Probe("crew", False, fact, 'correct "crew" of the agent')]


# Its variables come by its stdin: /proc would show those that it is started with.
_IMPORT = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
os.environ.update(json.load(sys.stdin))
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


async def _imports_elsewhere(place: str, folder: Path, given: Values) -> str | None:
    """Return why an import path does not import, asked of a process that is killed afterwards; None where it does."""
    own = str(Path(__file__).parents[2])
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _IMPORT, own, place, str(folder), env={**kept, **_QUIET}, cwd=folder,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None and process.stderr is not None
    tail, is_cut = b"", False
    try:
        process.stdin.write(json.dumps(given.texts).encode())
        process.stdin.close()
        while chunk := await process.stderr.read(65_536):
            is_cut = is_cut or len(tail) + len(chunk) > faults.DETAIL_BYTES
            tail = (tail + chunk)[-faults.DETAIL_BYTES :]
        status = await process.wait()
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    if status == 0:
        return None
    lines = faults.errors_of(tail, given.guarded, cut=is_cut).splitlines()
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
