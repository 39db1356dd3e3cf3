"""Call one agent of a policy alone, as a spawn would: by a run of a script of one spawn, journalled like any other.

So permission, inputs, tokens, the deadline, pruning, review and trust are those of a script; nothing is granted to
whoever calls an agent by hand that a script of theirs would not get. What the journal does not keep (the parts of the
output that were dropped) is seen in memory.

Not here: whether a person has to confirm it, and the words (cli).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from runner.errors import PolicyError, UsageError
from runner.guest.wire import compact
from runner.models import Json, RunResult, Script
from runner.policy.model import AgentEntry, Policy

if TYPE_CHECKING:
    from runner.archive.spawn import SpawnStory
    from runner.broker.watched import Watch
    from runner.engine.runner import Runner
    from runner.engine.submission import Handed
    from runner.events import TokensView
    from runner.policy.model import LockedAgent

# A server that is started, connected to and asked for its schemas takes seconds.
LIVE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Called:
    """How a call of one agent went."""

    entry: AgentEntry
    run: RunResult
    sent_bytes: int
    """Of the inputs, as JSON text."""
    watch: Watch
    story: SpawnStory | None
    """What the journal says; None where the check refused the call."""
    tokens: TokensView


def entry_of(policy: Policy, name: str) -> AgentEntry:
    """Return an agent's entry. Raises UsageError: the policy has none of this name."""
    entry = policy.agents.get(name)
    if entry is not None:
        return entry
    close = get_close_matches(name, policy.agents, 1)
    known = ", ".join(policy.agents) or "none"
    raise UsageError(
        f'policy "{policy.name}" has no agent "{name}"',
        hint=f'did you mean "{close[0]}"?' if close else f"its agents: {known}",
    )


def script_of(entry: AgentEntry, scopes: tuple[str, ...] | None, timeout: float | None) -> Script:
    """Return the script of one spawn. The same call has the same script, so that a decision about it holds again."""
    options = "" if scopes is None else f", scopes={json.dumps(list(scopes))}"
    options += "" if timeout is None else f", timeout={float(timeout)!r}"
    source = (
        f'"""Call agent {entry.name} once, alone."""\n\n'
        f"result = spawn({json.dumps(entry.name)}, inputs{options}).result()\n"
    )
    return Script(f"try-{entry.name}", source.encode())


async def call_agent(
    runner: Runner, policy: Policy, name: str, inputs: Json, *, scopes: tuple[str, ...] | None = None,
    timeout: float | None = None, handed: Handed | None = None, on_start: Callable[[str], object] | None = None,
) -> Called:  # fmt: skip
    """Call an agent once, and tell what crossed its border. `scopes` None: its default ones.

    Raises what `Runner.run` raises; UsageError: the policy has no such agent.
    """
    from runner.archive.spawn import spawn_story
    from runner.broker.watched import Watch
    from runner.events import EventKind

    entry, watch = entry_of(policy, name), Watch()
    script = script_of(entry, scopes, timeout)
    run = await runner.run(script, policy=policy, inputs=inputs, handed=handed, on_start=on_start, watch=watch)
    tokens = runner.tokens(run.run)
    asked = next(runner.store.read(run.run, kinds=(EventKind.SPAWN_REQUESTED,)), None)
    story = None if asked is None else spawn_story(runner.store, run.run, 1, tokens.tokens.values())
    return Called(entry, run, len(compact(inputs).encode()), watch, story, tokens)


async def live_facts(policy: Policy, name: str) -> LockedAgent:
    """Make an agent, and return what it says of itself, as `policy lock` would write it down.

    Imports a python agent; asks a server for its schemas. Raises UsageError, PolicyError.
    """
    from runner.clock import SystemClock
    from runner.engine.locking import ask

    entry = entry_of(policy, name)
    try:
        async with asyncio.timeout(LIVE_SECONDS):
            found = await ask(replace(policy, agents={name: entry}), SystemClock())
    except TimeoutError:
        raise PolicyError(f'agent "{name}" did not say what it is within {LIVE_SECONDS:g} s') from None
    return found[name]
