"""Agents: one object for each agent that a policy names, reached by its backend.

A backend is one module here, imported only when a policy names it. `AgentError` is the one name that
an agent's author needs; importing this module loads nothing else of runner.

Not here: whether a spawn may call the agent, how long, how often, and whether its output fits (broker).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.clock import Clock
    from runner.policy.model import AgentEntry, Reference
    from runner.seams import Agent

__all__ = ["AgentError", "build_agent"]


class AgentError(Exception):
    """Raise this in an agent to tell the script why it failed: its text reaches the script.

    Of any other exception the script hears only the type; message and traceback stay in the journal.
    So put no path and nothing of value into the text.
    """


def build_agent(
    entry: AgentEntry,
    *,
    folder: Path,
    read_reference: Callable[[Reference], str] | None = None,
    clock: Clock | None = None,
) -> Agent:
    """Return the agent of an entry. Import paths and relative files resolve against `folder`.

    A python agent's module is imported now, a command is started at its first attempt. `read_reference`
    returns the value that a `Reference` stands for; it is called at use, each time, and its value is not
    kept. Without it an entry with references is refused.

    Raises:
        PolicyError: The entry cannot become an agent: unknown backend, a module that does not import.
    """
    if entry.backend == "python":
        from runner.agents.python import build as build_python

        return build_python(entry, folder=folder, clock=clock)
    if entry.backend == "command":
        from runner.agents.command import build as build_command

        return build_command(entry, folder=folder, read_reference=read_reference)
    from runner.errors import PolicyError

    raise PolicyError(
        f'agent "{entry.name}" has backend "{entry.backend}"; known are "python" and "command"',
        line=entry.line,
        hint='write "python:" or "command:" in its entry',
    )
