"""The agents of the corpus as a policy calls them: at once, on whatever clock. `agents.act` says what they do.

The tests do not come here: they let time pass on a held clock. This is for running a script of the corpus by hand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from agents import AGENTS, Trouble, act  # the policy's folder is looked in first

from runner.agents import AgentError


def _lifted(name: str) -> Callable[..., Awaitable[Any]]:
    async def call_agent(inputs: dict[str, Any], call: Any) -> Any:
        _, output = act(name, inputs, call.attempt)
        if isinstance(output, Trouble):
            raise AgentError(str(output))
        return output

    return call_agent


globals().update({name: _lifted(name) for name in AGENTS})
