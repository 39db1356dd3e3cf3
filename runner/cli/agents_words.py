"""What an agent's isolation and credential mean, in words: what holds it, what does not, and how authority reaches it.

Not here: how any of it is done (agents, credentials).
"""

from __future__ import annotations

from runner.policy.model import AgentEntry

_PROCESS = (
    "a process group, environment and folder of its own, killed whole at its deadline; it does not stop it from using "
    "the network, from reading what its user may read, or from CPU and memory"
)
_IN_HOST = (
    "its code runs in the host's process; nothing stops it from using the host's memory, files and network, and a "
    "coroutine or a thread that does not stop goes on"
)
_SERVICE = "a service that the host speaks to; what it does there, and that it ends at its deadline, is its own affair"
_FUNCTION = (
    "an async def runs in the host's process, where nothing holds it; a def in a worker process that is killed at its "
    "deadline, and may use the network, files of its user, CPU and memory"
)
_TOOLS = f"{_SERVICE}; of the functions that are its tools {_FUNCTION}"

_ISOLATION = {
    ("python", "none"): _FUNCTION,
    ("http", "none"): _SERVICE,
    ("mcp", "none"): _SERVICE,
    ("anthropic", "none"): _TOOLS,
    ("openai", "none"): _TOOLS,
    ("claude", "process"): f"{_PROCESS}; of the functions that are its tools {_FUNCTION}",
    ("langgraph", "none"): _IN_HOST,
    ("script", "process"): "a run of its own in a sandbox, under a policy within this one; its agents are as that says",
}
_GATEWAY = "the gateway puts the attempt's token on its requests; the agent holds none"
_CREDENTIAL = {
    "python": f"by `call.http`: {_GATEWAY}",
    "command": f"by a unix socket of its attempt (RUNNER_GATEWAY), for its own processes alone: {_GATEWAY}",
    "anthropic": f"by its tools, on the host: {_GATEWAY}; the model is shown none",
    "openai": f"by its tools, on the host: {_GATEWAY}; the model is shown none",
    "claude": f"by its tools: {_GATEWAY}; the model is shown none",
    "langgraph": f"by its context, never in a checkpoint: {_GATEWAY}",
    "script": "none of its own: each spawn of its run gets what that policy and this one both give",
}


def isolation_words(entry: AgentEntry) -> str:
    """Return what an agent's isolation is, and what it does not stop."""
    held = _ISOLATION.get((entry.backend, entry.isolation), _PROCESS if entry.isolation == "process" else _IN_HOST)
    same = "; it has the uid of the host's user" if entry.unsafe_same_uid else ""
    return f"{held}{same}"


def credential_words(entry: AgentEntry) -> str:
    """Return how authority reaches an agent."""
    if not entry.scopes:
        return "none: no scope is granted"
    if entry.unsafe_raw_token:
        return "it gets the tokens themselves (unsafe_raw_token): what it does with them nobody sees"
    return _CREDENTIAL.get(entry.backend, _GATEWAY)
