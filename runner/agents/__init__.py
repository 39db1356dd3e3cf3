"""Agents: one object for each agent that a policy names, reached by its backend.

A backend is one module here, imported only when a policy names it. `AgentError` and `current_call` are the names that
an agent's author needs; importing this module loads nothing else of runner.

Not here: whether a spawn may call the agent, how long, how often, and whether its output fits (broker).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.agents.facts import CallFacts
    from runner.clock import Clock
    from runner.policy.model import AgentEntry, Policy, Reference
    from runner.seams import Agent, StartRun

__all__ = ["AgentError", "Setting", "build_agent", "current_call"]


class AgentError(Exception):
    """Raise this in an agent to tell the script why it failed: its text reaches the script.

    Of any other exception the script hears only the type; message and traceback stay in the journal.
    So put no path and nothing of value into the text.
    """


def current_call() -> CallFacts:
    """Return what a parameter named `call` has: for a node of a graph, and whatever a crew calls, such as its tools.

    Raises RuntimeError: no attempt is served here; also in a thread that was begun without its starter's context.
    """
    from runner.agents.facts import current

    return current()


@dataclass(frozen=True, slots=True)
class Setting:
    """What agents of one policy are made with, beside their entries."""

    folder: Path
    """Import paths and relative files resolve against it."""
    read_reference: Callable[[Reference], str] | None = None
    """Returns the value that a `Reference` stands for; called at use, each time, and its value is not kept.

    None: an entry with references is refused.
    """
    clock: Clock | None = None
    start_run: StartRun | None = None
    """Begins runs within this one; None: an entry that needs one can be looked at, and its call is refused."""
    policy: Policy | None = None
    """Whose entries these are, with its resources and its lock; None: an entry that runs within it is refused."""


def build_agent(entry: AgentEntry, setting: Setting) -> Agent:
    """Return the agent of an entry. Of a python agent the module is imported now, a command is started at its first
    attempt, a server is asked nothing before.

    Raises PolicyError: The entry cannot become an agent: unknown backend, a module that does not import, a library
    that is missing (the hint names the extra) or at a version that was not tested.
    """
    from importlib import import_module

    from runner.errors import PolicyError
    from runner.policy.backends import BACKENDS

    if entry.backend not in BACKENDS:
        raise PolicyError(
            f'agent "{entry.name}" has backend "{entry.backend}"; known are {", ".join(BACKENDS)}',
            line=entry.line,
            hint='write "python:" or "command:" in its entry',
        )
    try:
        agent: Agent = import_module(f"runner.agents.{entry.backend}").build(entry, setting)
    except PolicyError as error:
        located = error.within(entry.file)
        raise located from (error.__cause__ if located is error else error)
    return agent
