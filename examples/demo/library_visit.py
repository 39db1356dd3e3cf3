"""The second half of the demo: agents ask the library server what modules promise; then the audit of that.

`visit` starts the server, runs promises.py with `Runner`, ends the server, and returns what each side has on record.
`deviations` holds that against what the demo promises itself.

Not here: how it looks (show).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from runner import Runner, RunResult
from runner.clock import SystemClock
from runner.credentials.issuer import issuer_url
from runner.credentials.keys import Keys
from runner.events import TokensView, TokenView, UseView
from runner.policy import load_policy, load_policy_text
from runner.policy.model import Policy

HERE = Path(__file__).resolve().parent
POLICIES = HERE.parents[1] / "policies"
POLICY = POLICIES / "demo_library.yaml"

# Python and its imports take half a second; a loaded machine takes several.
START_SECONDS = 30
LEAVE_SECONDS = 5

UNUSED = {("read_promises", "library:notes")}
"""Agent and scope: what promises.py asks for and no agent needs."""


@dataclass(frozen=True)
class Visit:
    """What became of it, on both sides."""

    url: str
    without_token: int
    """How the server answered a request that brought no token."""
    ran: RunResult
    audit: TokensView
    served: list[dict[str, Any]]
    """The server's own record: each request that it answered."""

    @property
    def tokens(self) -> list[TokenView]:
        return sorted(self.audit.tokens.values(), key=lambda token: token.spawn)

    @property
    def unused(self) -> set[tuple[str, str]]:
        """The scopes that an agent was given and never used."""
        given = {(token.agent, scope) for token in self.tokens for scope in token.scopes}
        return given - {(token.agent, scope) for token in self.tokens for scope in token.scopes_used}

    @property
    def refused(self) -> list[UseView]:
        """The requests that the gateway did not let through."""
        return [use for use in self.audit.uses if use.refused]


async def visit(modules: list[str], *, sandbox: str) -> Visit:
    """Ask what these modules promise. Raises RunnerError, OSError where it cannot begin."""
    async with Runner(sandbox=sandbox) as runner:
        keys = Keys(runner.store.home, SystemClock()).jwks()
        async with library_server(keys) as (url, served):
            without_token = await status_without_token(f"{url}/modules/{modules[0]}/promises")
            ran = await runner.run(HERE / "promises.py", policy=policy_for(url), inputs={"modules": modules})
        return Visit(url, without_token, ran, runner.tokens(ran.run), served)


def policy_for(url: str) -> Policy:
    """Return the policy, with the server where it is: its port may have been taken."""
    written = load_policy(POLICY).resources["library"].url
    return load_policy_text(POLICY.read_text().replace(written, url), folder=POLICIES, name=POLICY.stem)


@asynccontextmanager
async def library_server(keys: dict[str, Any]) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Within, the server answers at the URL. After it, its process is gone and its record is whole."""
    command = [sys.executable, str(HERE / "library_server.py"), "--issuer", issuer_url(), "--jwks", "-"]
    # A session of its own: Ctrl-C is for us, and the server leaves when we let go of its stdin.
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    served: list[dict[str, Any]] = []
    reading = None
    try:
        process.stdin.write(json.dumps(keys).encode() + b"\n")
        async with asyncio.timeout(START_SECONDS):
            first = await process.stdout.readline()
        if not first:
            raise OSError("the library server did not start")
        reading = asyncio.ensure_future(collect(process.stdout, served))
        yield json.loads(first)["url"], served
    finally:
        await asyncio.shield(leave(process, reading))


async def collect(lines: asyncio.StreamReader, served: list[dict[str, Any]]) -> None:
    async for line in lines:
        served.append(json.loads(line))


async def leave(process: asyncio.subprocess.Process, reading: asyncio.Future[None] | None) -> None:
    """End the server: it leaves with its stdin, or it is killed."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(LEAVE_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    if reading is not None:
        await reading


async def status_without_token(url: str) -> int:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return (await client.get(url)).status_code


# --- what the demo promises itself -------------------------------------------------------------


def deviations(found: Visit, modules: list[str]) -> list[str]:
    """Return what is not as it should be, in words; nothing where all is."""
    ran, tokens = found.ran, found.tokens
    attempts, told = sum(ran.spawns.values()), ran.result["overreach"]
    holds = {
        f"a request without a token was answered {found.without_token}": found.without_token == 401,
        f"not every module was told of: {ran.result['not_told']}": set(ran.result["promises"]) == set(modules),
        f"there were {len(tokens)} tokens for {attempts} attempts": len(tokens) == attempts == len(modules) + 1,
        "a token is open": all(token.closed_at for token in tokens),
        f"the unused scopes are {sorted(found.unused)}": found.unused == UNUSED,
        f"{len(found.refused)} requests were refused": [use.agent for use in found.refused] == ["follow_leads"],
        f"follow_leads tells of it as {told}": (told["status"], told["refused"]) == (403, "not-opened"),
        "the server's record is not what the audit says": by_server(found) == by_audit(found),
    }
    return [words for words, holding in holds.items() if not holding]


def by_server(found: Visit) -> list[tuple[Any, ...]]:
    """Return the requests with a token as the server has them."""
    with_token = (one for one in found.served if one["token"] is not None)
    return sorted((one["token"], one["method"], one["path"], one["status"]) for one in with_token)


def by_audit(found: Visit) -> list[tuple[Any, ...]]:
    """Return the requests that the gateway sent."""
    sent = (use for use in found.audit.uses if not use.refused)
    return sorted((use.token, use.method, use.path, use.status) for use in sent)
