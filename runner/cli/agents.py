"""`runner agents list` and `runner agents describe`: what a policy says of its agents, for whoever uses or reviews one.

Nothing is imported, started or asked, unless `--live` says so.

Not here: calling one (agents_try), what isolation and credential mean (agents_words).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli.complete import agent_names
from runner.errors import ExitCode

if TYPE_CHECKING:
    from runner.models import Json
    from runner.policy.model import AgentEntry, LockedAgent, Policy, RateRule

PolicyOption = Annotated[Path | None, typer.Option(help="The policy, found as `runner run` finds it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The agent.", autocompletion=agent_names)]
_DIGITS = 12


def list_agents(policy: PolicyOption = None, json: JsonOption = False) -> int:
    """List the agents of a policy: how each is reached, what it may do, and what bounds it."""
    from runner.cli.output import put, put_json
    from runner.cli.policy import chosen_policy
    from runner.policy import load_policy

    found = load_policy(chosen_policy(policy))
    if json:
        agents = [listed_object(entry) for entry in found.agents.values()]
        put_json({"version": 1, "policy": found.name, "digest": found.digest, "agents": agents})
    elif found.agents:
        put("\n".join(list_lines(found)))
    return ExitCode.DONE


def list_lines(policy: Policy) -> list[str]:
    """Return the agents as a table."""
    from runner.cli.text import columns, seconds
    from runner.printable import clean

    head = ("AGENT", "BACKEND", "EFFECTS", "ISOLATION", "SCOPES", "TIMEOUT", "PARALLEL", "COST, RATE", "DESCRIPTION")
    rows = [
        (
            clean(entry.name), entry.backend, str(entry.effects), entry.isolation,
            clean(" ".join(sorted(entry.scopes)), limit=40) or "-", seconds(entry.timeout_seconds),
            f"{entry.parallel:,}", ", ".join(spending(entry)) or "-", clean(entry.description, limit=60),
        )
        for entry in policy.agents.values()
    ]  # fmt: skip
    return columns(rows, head=head, right=(6,))


def listed_object(entry: AgentEntry) -> dict[str, Json]:
    """Return one row of the list as JSON."""
    return {
        "name": entry.name, "backend": entry.backend, "effects": str(entry.effects), "isolation": entry.isolation,
        "scopes": sorted(entry.scopes), "timeout_seconds": entry.timeout_seconds, "parallel": entry.parallel,
        "cost_usd": entry.cost_usd, "rate": _rate_object(entry.rate), "provider": entry.provider or None,
        "description": entry.description,
    }  # fmt: skip


def _rate_object(rate: RateRule | None) -> dict[str, Json] | None:
    return None if rate is None else {"requests": rate.requests, "tokens": rate.tokens}


def spending(entry: AgentEntry) -> list[str]:
    """Return what a call may cost, and how often it may be made, in words."""
    from runner.printable import clean

    words = [] if entry.cost_usd is None else [f"${entry.cost_usd:,.12g} a call"]
    if entry.price is not None:
        words.append(f"${entry.price.input:,.12g} and ${entry.price.output:,.12g} a million tokens in and out")
    words += _often(entry.rate)
    return [*words, *([f"shares the rate of {clean(entry.provider)}"] if entry.provider else [])]


def _often(rate: RateRule | None) -> list[str]:
    asked = () if rate is None else ((rate.requests, "calls"), (rate.tokens, "tokens"))
    return [f"{number:,.12g} {what} a minute" for number, what in asked if number is not None]


def describe(
    name: NameArgument,
    policy: PolicyOption = None,
    live: Annotated[
        bool, typer.Option("--live", help="Make the agent too (imports its code, asks its server): what it is today.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Say all that a policy says of one agent: schemas, scopes and what they open, limits, isolation, credential."""
    from runner.cli.output import put, put_json, stdout_for_the_result
    from runner.cli.policy import chosen_policy
    from runner.engine import Runner
    from runner.engine.calling import entry_of
    from runner.policy import load_policy

    found = load_policy(chosen_policy(policy))
    entry = entry_of(found, name)
    facts = None
    if live:
        # Code that is imported may print.
        with stdout_for_the_result():
            facts = asyncio.run(Runner.live_facts(found, name))
    if json:
        put_json(described_object(found, entry, facts))
    else:
        put("\n".join(describe_lines(found, entry, facts)))
    return ExitCode.DONE


def described_object(policy: Policy, entry: AgentEntry, live: LockedAgent | None) -> dict[str, Any]:
    """Return all of it as JSON. Options are as they are archived: references by name, a key by its digest."""
    from runner.cli.agents_words import credential_words, isolation_words

    resolved = archived(policy, entry)
    locked = None if policy.lock is None else policy.lock.get(entry.name)
    return {
        "version": 1, "policy": policy.name, "digest": policy.digest, **listed_object(entry),
        "options": resolved["options"], "input_schema": entry.input_schema, "output_schema": entry.output_schema,
        "default_scopes": list(entry.default_scopes), "opens": opens(policy, entry),
        "max_timeout_seconds": entry.max_timeout_seconds, "max_retries": entry.max_retries,
        "idempotent": entry.idempotent, "trusted": entry.trusted, "call_tokens": entry.call_tokens,
        "unsafe": sorted(key for key, value in resolved.items() if key.startswith("unsafe_") and value),
        "isolation_means": isolation_words(entry), "credential": credential_words(entry),
        "lock": None if locked is None else _facts_object(locked),
        "live": None if live is None else _facts_object(live),
    }  # fmt: skip


def archived(policy: Policy, entry: AgentEntry) -> dict[str, Any]:
    """Return an entry as the resolved policy has it: no value that is kept elsewhere, nothing that looks like a key."""
    from json import loads

    found: dict[str, Any] = loads(policy.resolved)["agents"][entry.name]
    return found


def _facts_object(agent: LockedAgent) -> dict[str, Json]:
    return {
        "backend": agent.backend, "fingerprint": agent.fingerprint, "facts": dict(agent.facts),
        "input_schema": agent.input_schema, "output_schema": agent.output_schema,
    }  # fmt: skip


def opens(policy: Policy, entry: AgentEntry) -> list[dict[str, Json]]:
    """Return what each scope opens. Of a scope that is of no resource no token is minted: its resource is null."""
    found: list[dict[str, Json]] = []
    for scope in sorted(entry.scopes):
        owners = [one for one in policy.resources.values() if scope in one.scopes]
        for one in owners:
            found.append(
                {
                    "scope": scope, "resource": one.name, "url": one.url, "issuer": one.issuer or "embedded",
                    "sends": one.attached.header if one.attached is not None else "token",
                    "requests": [rule.text for rule in one.scopes[scope]],
                }
            )  # fmt: skip
        if not owners:
            found.append({"scope": scope, "resource": None, "requests": []})
    return found


def describe_lines(policy: Policy, entry: AgentEntry, live: LockedAgent | None) -> list[str]:
    """Return all of it in words."""
    from runner.cli.agents_words import credential_words, isolation_words
    from runner.cli.text import json_text
    from runner.printable import clean

    trust = "trusted" if entry.trusted else "not trusted: they hold what strangers wrote"
    repeated = "a second call changes nothing more" if entry.idempotent else "a second call counts"
    lines = [
        f"agent {clean(entry.name)}: {clean(entry.description, limit=2000)}",
        *_option_lines(policy, entry),
        f"effects: {entry.effects}; {repeated}",
        f"outputs: {trust}",
        f"limits: {_limits(entry)}",
        f"isolation {entry.isolation}: {isolation_words(entry)}",
        f"credential: {credential_words(entry)}",
        *_scope_lines(policy, entry),
        *_lock_lines(policy, entry, live),
    ]
    output: Json = "whatever it returns (unsafe_any_output)" if entry.output_schema is None else entry.output_schema
    for what, schema in (("input", entry.input_schema), ("output", output)):
        lines += [f"{what}:", *(f"  {line}" for line in json_text(schema, indent=True).splitlines())]
    return lines


def _option_lines(policy: Policy, entry: AgentEntry) -> list[str]:
    from runner.cli.text import json_text
    from runner.printable import clean

    def told(value: Json) -> str:
        match value:
            case {"env": [name]} | {"file": [name]}:
                return f"{next(iter(value))}:{name}"
            case {"command": [str(program), *_]} if len(value) == 1:
                return f"command:{program}"
        return value if isinstance(value, str) else json_text(value, indent=False)

    lines = [f"backend: {entry.backend}"]
    for name, value in archived(policy, entry)["options"].items():
        if name in ("env", "headers") and isinstance(value, dict):
            lines += [f"  {name} {clean(key)}: {clean(told(one), limit=200)}" for key, one in value.items()]
        else:
            lines.append(f"  {clean(name)}: {clean(told(value), limit=400)}")
    return lines


def _limits(entry: AgentEntry) -> str:
    from runner.cli.text import plural, seconds

    words = [f"timeout {seconds(entry.timeout_seconds)}"]
    if entry.max_timeout_seconds > entry.timeout_seconds:
        words.append(f"{seconds(entry.max_timeout_seconds)} if a spawn asks")
    words += [f"{entry.parallel:,} at once", f"at most {plural(entry.max_retries, 'further attempt')}"]
    if entry.call_tokens is not None:
        words.append(f"at most {entry.call_tokens:,} model tokens a call beside its inputs")
    return ", ".join([*words, *spending(entry)])


def _scope_lines(policy: Policy, entry: AgentEntry) -> list[str]:
    from runner.printable import clean

    if not entry.scopes:
        return ["scopes: none"]
    default = clean(" ".join(entry.default_scopes)) or "none"
    lines = [f"scopes: {clean(' '.join(sorted(entry.scopes)))}; by default: {default}"]
    for one in opens(policy, entry):
        if one["resource"] is None:
            lines.append(f"  {clean(str(one['scope']))} is of no resource: no token is minted for it")
            continue
        sends = "the attempt's token" if one["sends"] == "token" else f"its own {clean(str(one['sends']))}"
        rules = clean("; ".join(map(str, one["requests"] or ()))) or "nothing"
        where = f"{clean(str(one['resource']))} ({clean(str(one['url']))})"
        issuer = clean(str(one["issuer"]))
        lines.append(f"  {clean(str(one['scope']))} opens {rules} of {where}, with {sends}, issuer {issuer}")
    return lines


def _lock_lines(policy: Policy, entry: AgentEntry, live: LockedAgent | None) -> list[str]:
    from runner.policy.lock import differing
    from runner.printable import clean

    locked = None if policy.lock is None else policy.lock.get(entry.name)
    if locked is None:
        lines = ["lock: none; what it is, nobody has held"]
    else:
        lines = [f"lock: fingerprint {clean(locked.fingerprint[:_DIGITS])}", *_fact_lines(locked)]
    if live is None:
        return lines
    lines += [f"today: fingerprint {live.fingerprint[:_DIGITS]}", *_fact_lines(live)]
    if locked is not None:
        told = differing(locked, live.backend, live.facts)
        lines.append(f"  {clean('; '.join(told), limit=1000) or 'as locked'}")
    return lines


def _fact_lines(agent: LockedAgent) -> list[str]:
    from runner.cli.text import json_text
    from runner.printable import clean

    lines = [f"  {clean(name)}: {clean(text, limit=200)}" for name, text in agent.facts.items()]
    for what, schema in (("takes", agent.input_schema), ("returns", agent.output_schema)):
        if schema is not None:
            lines.append(f"  its backend says that it {what}: {clean(json_text(schema, indent=False), limit=2000)}")
    return lines
