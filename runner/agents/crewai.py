"""The `crewai` backend: a crew, `{"crew": "module:function"}`, made anew for each attempt, in a worker process.

CrewAI takes 5 s and 240 MB to import, and none of its ways to call a crew can be cancelled: so the host does not import
it, and a worker imports it once, serves attempts one after the other, and is killed when one is over before its end.

Not here: the crew's side (crewai_worker), worker processes (workers).
"""

from __future__ import annotations

from runner.agents import Setting
from runner.agents.adapted import InAdapter
from runner.agents.extras import version_of
from runner.agents.sources import Source
from runner.agents.workers import Adapter
from runner.policy.model import AgentEntry
from runner.seams import Agent


def build(entry: AgentEntry, setting: Setting) -> Agent:
    """Return the agent of an entry. Raises PolicyError: there is no such function, or no CrewAI."""
    path, library = entry.options["crew"], version_of(entry)
    source = Source(entry, path, "crew", setting.folder)
    adapter = Adapter("runner.agents.crewai_worker:make", {"output_as": entry.options.get("output_as", "json")})
    return InAdapter(entry, setting, path, adapter, lambda: {**source.facts(), "crewai": library})
