"""Say whether an agent may be asked with some scopes, and what that opens, or why not, as a run would.

Nothing is minted, imported or started. Not here: the words in which it is shown (cli.policy).
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.broker.permit import Refusal, permit
from runner.models import Json, Spawn
from runner.policy.grants import Grant, Unbound, narrow
from runner.policy.model import Policy


@dataclass(frozen=True, slots=True)
class Explained:
    """The answer. `refusal` is "" where a spawn may be; `rule` is the event's word for a refusal."""

    agent: str
    scopes: tuple[str, ...]
    refusal: str = ""
    rule: str = ""
    grant: Grant | None = None
    """What an attempt would have; None where no scope of a resource was asked, or the inputs are not known."""
    unbound: tuple[str, ...] = ()
    """Rules whose inputs were not given."""
    loose: tuple[str, ...] = ()
    """Scopes that are of no resource: they are permitted, and no token is minted for them."""


NO_INPUTS = object()


def explain(
    policy: Policy, *, agent: str, scopes: tuple[str, ...] | None, inputs: Json | object, timeout: float | None
) -> Explained:
    """Return what the broker would say of such a spawn. `inputs` NO_INPUTS: they are not known."""
    given = {} if inputs is NO_INPUTS else inputs
    answer = permit(policy, Spawn(1, agent, given, scopes=scopes, timeout=timeout))
    if isinstance(answer, Refusal):
        return Explained(agent, scopes or (), answer.message, answer.rule)
    (permitted,) = answer
    entry, asked = permitted.entry, tuple(permitted.scopes)
    owned = {scope for resource in policy.resources.values() for scope in resource.scopes}
    loose = tuple(scope for scope in asked if scope not in owned)
    if inputs is not NO_INPUTS:
        refused = _inputs_refusal(policy, agent, given)
        if refused:
            return Explained(agent, asked, refused, "inputs-break-schema", loose=loose)
    try:
        return Explained(agent, asked, grant=narrow(policy, entry, asked, permitted.timeout, given), loose=loose)
    except Unbound as error:
        if inputs is not NO_INPUTS:
            return Explained(agent, asked, str(error), "scopes-not-bound", loose=loose)
    rules = tuple(
        rule.text
        for resource in policy.resources.values()
        for scope in asked
        for rule in resource.scopes.get(scope, ())
    )
    return Explained(agent, asked, unbound=rules, loose=loose)


def _inputs_refusal(policy: Policy, agent: str, inputs: Json) -> str:
    from runner.broker.reached import Reached

    refusal = Reached(policy.agents[agent]).input.check(inputs)
    return "" if refusal is None else f'agent "{agent}" refuses its inputs: {refusal}'
