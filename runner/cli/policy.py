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
    from runner.policy.model import AgentEntry, Policy


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
    lines += [f"limit {name}: {value:,}" for name, value in asdict(policy.limits).items()]
    lines.append(f"sandbox: {'docker' if policy.sandbox.demand == 'docker' else 'docker or process'}")
    imports = "all of the dialect" if policy.imports is None else ", ".join(sorted(policy.imports)) or "none"
    return [*lines, f"imports: {imports}"]


def _granted(entry: AgentEntry) -> str:
    from runner.cli.text import plural, seconds
    from runner.printable import clean

    scopes = ", ".join(sorted(clean(scope) for scope in entry.scopes)) or "none"
    unknown = ", of unknown outcomes too" if entry.unsafe_retry_unknown and not entry.idempotent else ""
    repeated = "idempotent" if entry.idempotent else "not idempotent"
    return (
        f"{entry.backend}, scopes {scopes}, timeout {seconds(entry.timeout_seconds)}, "
        f"at most {entry.parallel:,} at once, effects {entry.effects}, {repeated}, "
        f"at most {plural(entry.max_retries, 'further attempt')}{unknown}"
    )


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
