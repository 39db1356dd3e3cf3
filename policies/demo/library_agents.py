"""The two agents of the demo's second script. They ask the library server; they open no file.

`call.http` is their only way to it: the gateway puts the token of the attempt on each request, and they never hold
it. `read_promises` does what it was asked. `follow_leads` behaves as an agent does that was talked into more by what
it read: it goes on to another module, which its spawn did not open.

Not here: what a module promises (examples/demo/library.py), which requests leave (the policy's scopes).
"""

from __future__ import annotations

from typing import Any

from runner.agents import AgentError
from runner.agents.facts import CallFacts


def read_promises(inputs: dict[str, Any], call: CallFacts) -> dict[str, Any]:
    """Return what one module promises, as the library says it."""
    return _promises(inputs["module"], call)


def follow_leads(inputs: dict[str, Any], call: CallFacts) -> dict[str, Any]:
    """Read about one module, follow its first import, and return what came of that."""
    leads = _promises(inputs["module"], call)["leans_on"]
    if not leads:
        raise AgentError(f"{inputs['module']} imports nothing to follow")
    answer = call.http.get(_place(leads[0]))
    return {
        "module": inputs["module"],
        "lead": leads[0],
        "status": answer.status_code,
        # Only what the gateway says itself has this header: nothing of that request has left.
        "refused": answer.headers.get("Runner-Refused", ""),
        "message": answer.json().get("message", ""),
    }


def _promises(module: str, call: CallFacts) -> dict[str, Any]:
    answer = call.http.get(_place(module))
    if answer.status_code != 200:
        raise AgentError(f"the library answered {answer.status_code} about {module}")
    found: dict[str, Any] = answer.json()
    return found


def _place(module: str) -> str:
    # The host is the resource's name in the policy; where it is, and with which token, is the gateway's affair.
    return f"http://library/modules/{module}/promises"
