"""`runner policy check`, `runner policy schema`, `runner init`, and which policy a script gets.

Not here: what a policy may say (policy).
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from runner.engine.explain import Explained
    from runner.models import Json
    from runner.policy.model import AgentEntry, Policy, Resource


def chosen_policy(policy: Path | None, script: str = "") -> Path:
    """Return the policy's file: as told, else RUNNER_POLICY, else runner.yaml upwards from the script.

    Without a script, and for "-", upwards from the working folder.

    Raises UsageError naming `runner init` where there is none.
    """
    from runner.policy import find_policy

    if policy is not None:
        return policy
    found = find_policy(None if script in ("", "-") else Path(script))
    if found is None:
        where = "above the script" if script else "here or above"
        raise UsageError(
            f"no policy: neither --policy nor RUNNER_POLICY is given, and no runner.yaml stands {where}",
            hint="`runner init` writes one, with an agent and a script that run at once",
        )
    return found


def check(
    policy: Annotated[Path, typer.Argument(help="The policy's file.")],
    json: Annotated[bool, typer.Option("--json", help="Print the resolved policy, as it is archived.")] = False,
) -> int:
    """Read a policy as a run would, and show what it grants."""
    from json import loads

    from runner.cli.output import put, put_json, say
    from runner.policy import load_policy
    from runner.printable import clean

    found = load_policy(policy)
    for warning in found.warnings:
        say(f"warning: {clean(warning)}")
    if json:
        put_json({"digest": found.digest, "warnings": list(found.warnings), "policy": loads(found.resolved)})
    else:
        put("\n".join(policy_lines(found)))
    return ExitCode.DONE


def policy_lines(policy: Policy) -> list[str]:
    """Return what a policy grants: each agent, the limits, the sandbox."""
    from runner.cli.text import plural
    from runner.printable import clean

    lines = [f"policy {clean(policy.name)}: {plural(len(policy.agents), 'agent')}, sha256 {policy.digest[:12]}"]
    for entry in policy.agents.values():
        lines.append(f"agent {clean(entry.name)}: {clean(entry.description, limit=120)}")
        lines.append(f"  {_granted(entry)}")
    lines += [line for resource in policy.resources.values() for line in _resource_lines(resource)]
    lines += [f"limit {name}: {value:,}" for name, value in asdict(policy.limits).items() if value is not None]
    lines.append(f"sandbox: {'docker' if policy.sandbox.demand == 'docker' else 'docker or process'}")
    imports = "all of the dialect" if policy.imports is None else ", ".join(sorted(policy.imports)) or "none"
    lines.append(f"imports: {imports}")
    lines += [f"risk {rule}: {level}" for rule, level in policy.risk.items()]
    lines.append(f"lock: {'none' if policy.lock is None else plural(len(policy.lock), 'agent')}")
    for name, agent in (policy.lock or {}).items():
        lines.append(f"  {clean(name)}: {clean(agent.backend)}, sha256 {clean(agent.fingerprint[:12])}")
    return [*lines, *([f"review: {policy.review}"] if policy.review != "none" else [])]


def _resource_lines(resource: Resource) -> list[str]:
    from runner.printable import clean

    attached = f"its own {resource.attached.header}" if resource.attached is not None else "the attempt's token"
    issuer = clean(resource.issuer) or "the embedded issuer"
    lines = [f"resource {clean(resource.name)}: {clean(resource.url)}, tokens of {issuer}, sends {attached}"]
    for scope, rules in resource.scopes.items():
        lines.append(f"  {clean(scope)} opens {clean('; '.join(rule.text for rule in rules)) or 'nothing'}")
    return lines


def _granted(entry: AgentEntry) -> str:
    from runner.cli.text import plural, seconds
    from runner.printable import clean

    scopes = ", ".join(sorted(clean(scope) for scope in entry.scopes)) or "none"
    unknown = ", of unknown outcomes too" if entry.unsafe_retry_unknown and not entry.idempotent else ""
    repeated = "idempotent" if entry.idempotent else "not idempotent"
    return (
        f"{entry.backend}, scopes {scopes}, timeout {seconds(entry.timeout_seconds)}, "
        f"at most {entry.parallel:,} at once, effects {entry.effects}, {repeated}, "
        f"at most {plural(entry.max_retries, 'further attempt')}{unknown}, "
        + ("in a process of its own" if entry.isolation == "process" else "in the host's process if it is an async def")
        + (", raw tokens" if entry.unsafe_raw_token else "")
        + ("" if entry.cost_usd is None else f", ${entry.cost_usd:,.12g} a call")
        + ("" if entry.trusted else ", outputs not trusted")
    )


def explain(
    policy: Annotated[Path, typer.Argument(help="The policy's file.")],
    agent: Annotated[str, typer.Option(help="The agent that a spawn would ask.")],
    scopes: Annotated[
        list[str] | None, typer.Option(help="What it would ask for; repeat it, or join with commas.")
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(metavar="JSON", help="The spawn's inputs, or @FILE: scopes are bound to them.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds that an attempt would ask for.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> int:
    """Say whether an agent may have these scopes, what they open, or why not."""
    from runner.cli.output import put, put_json, say
    from runner.engine import Runner, parse_inputs
    from runner.engine.explain import NO_INPUTS
    from runner.policy import load_policy

    found = load_policy(policy)
    asked = None if scopes is None else tuple(scope for text in scopes for scope in text.split(",") if scope)
    given = NO_INPUTS if inputs is None else parse_inputs(inputs)
    answer = Runner.explain(found, agent=agent, scopes=asked, inputs=given, timeout=timeout)
    if json:
        put_json(explained_object(answer))
    else:
        put("\n".join(explained_lines(answer)))
        if answer.unbound and inputs is None:
            say("the paths are bound to the spawn's inputs: --inputs JSON says what they would be")
    return ExitCode.EXPECTATION if answer.refusal else ExitCode.DONE


def explained_object(answer: Explained) -> dict[str, Json]:
    """Return an answer as JSON."""
    grant = answer.grant
    parts: list[dict[str, Json]] = [] if grant is None else [
        {
            "resource": part.resource.name, "audience": part.resource.audience, "scopes": list(part.scopes),
            "issuer": part.resource.issuer or "embedded", "opens": [str(rule) for _, rule in part.rules],
            "details": part.details,
        }
        for part in grant.parts
    ]  # fmt: skip
    return {
        "version": 1, "permitted": not answer.refusal, "agent": answer.agent, "scopes": list(answer.scopes),
        "refusal": answer.refusal or None, "rule": answer.rule or None, "tokens": parts,
        "seconds": None if grant is None else grant.seconds, "raw": grant is not None and grant.raw,
        "not_bound": list(answer.unbound), "of_no_resource": list(answer.loose),
    }  # fmt: skip


def explained_lines(answer: Explained) -> list[str]:
    """Return an answer in words: yes or no, why, and what would be open."""
    from runner.cli.text import plural, seconds
    from runner.printable import clean

    asked = f"with scope {clean(', '.join(answer.scopes))}" if answer.scopes else "without a scope"
    if answer.refusal:
        return [f"no: {clean(answer.refusal)}", f"rule: {answer.rule}"]
    lines = [f"yes: agent {clean(answer.agent)} may be asked {asked}"]
    grant = answer.grant
    for part in grant.parts if grant is not None else ():
        issuer = part.resource.issuer or "the embedded issuer"
        lines.append(
            f"resource {clean(part.resource.name)} ({clean(part.resource.audience)}): a token of {issuer} with "
            f"{clean(' '.join(part.scopes))}, {seconds(grant.seconds if grant else 0)} at most"
        )
        lines += [f"  {clean(scope)} opens {clean(str(rule))}" for scope, rule in part.rules]
    lines += [f"  opens {clean(rule)}" for rule in answer.unbound]
    if grant is not None and grant.raw:
        lines.append("  the agent gets the token itself: what it does with it is not seen")
    if answer.loose:
        told = clean(", ".join(answer.loose))
        lines.append(f"{plural(len(answer.loose), 'scope')} of no resource ({told}): no token is minted for that")
    if grant is None and not answer.unbound and not answer.loose:
        lines.append("no token is minted: no scope was asked for")
    return lines


def schema() -> int:
    """Print the JSON Schema of policy files."""
    from runner.cli.output import put_json
    from runner.policy import policy_schema

    put_json(policy_schema(), indent=True)
    return ExitCode.DONE


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if it is not there.")] = Path("."),
) -> int:
    """Write a policy, one python agent and a script that run at once."""
    from runner.cli.envelope import quoted
    from runner.cli.output import put, say
    from runner.policy.starter import write_starter

    _, _, script = written = write_starter(folder)
    put("\n".join(str(path) for path in written))
    say(f"next: runner run {quoted(str(script))}")
    return ExitCode.DONE
