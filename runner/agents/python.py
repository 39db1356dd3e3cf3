"""The `python` backend: a function of the policy's author, `{"call": "module:function"}`.

Not here: how it is imported and called, in the host's event loop or in a worker (functions).
"""

from __future__ import annotations

from runner.agents import Setting
from runner.agents.functions import build_function
from runner.policy.model import AgentEntry
from runner.seams import Agent


def build(entry: AgentEntry, setting: Setting) -> Agent:
    """Return the agent of an entry. Raises PolicyError: its function is not there, or cannot be called so."""
    return build_function(entry, setting, entry.options["call"], key="call", name=entry.name)
