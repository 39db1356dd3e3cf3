"""`runner policy diff`: what one policy gives more than another.

Not here: what a difference means (policy.diff).
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.runs import opened
from runner.errors import ExitCode, LockStale

if TYPE_CHECKING:
    from runner.engine import Runner
    from runner.models import Json
    from runner.policy.diff import PolicyDiff
    from runner.policy.model import Policy


def diff(
    old: Annotated[str, typer.Argument(metavar="A", help="A policy's file, or a run: its archived policy.")],
    new: Annotated[str, typer.Argument(metavar="B", help="What is compared with it: a file or a run.")],
    json: Annotated[bool, typer.Option("--json", help="Print the differences as JSON.")] = False,
) -> int:
    """Say what a policy gives more or less than another; exit 9 where it gives more."""
    from runner.cli.output import put, put_json
    from runner.engine import Runner
    from runner.engine.policies import names_file

    # Files are compared without a store.
    with nullcontext(Runner()) if names_file(old) and names_file(new) else opened() as runner:
        one, other = (_policy_of(runner, what) for what in (old, new))
    found = runner.policy_diff(one, other)
    if json:
        put_json(diff_object(one, other, found))
    else:
        put("\n".join(diff_lines(one, other, found)))
    return ExitCode.EXPECTATION if found.widens else ExitCode.DONE


def _policy_of(runner: Runner, what: str) -> Policy:
    """Return a policy; one that was changed after it was locked as it stands, without its lock, which is told."""
    from runner.cli.output import say
    from runner.printable import clean

    try:
        return runner.policy_of(what)
    except LockStale as error:
        say(f"warning: {clean(error.message)}; compared without its lock")
        return runner.policy_of(what, locked=False)


def diff_object(old: Policy, new: Policy, found: PolicyDiff) -> dict[str, Json]:
    """Return the differences as JSON."""
    return {
        "version": 1,
        "widens": found.widens,
        "old": {"policy": old.name, "digest": old.digest},
        "new": {"policy": new.name, "digest": new.digest},
        "entries": [
            {
                "path": list(entry.path), "kind": str(entry.kind), "message": entry.message, "before": entry.before,
                "after": entry.after,
            }
            for entry in found.entries
        ],
    }  # fmt: skip


def diff_lines(old: Policy, new: Policy, found: PolicyDiff) -> list[str]:
    """Return the differences in words, what widens first."""
    from runner.policy.comparing import Kind
    from runner.printable import clean

    against = f"policy {clean(new.name)} ({new.digest[:12]}) against {clean(old.name)} ({old.digest[:12]})"
    if not found.entries:
        return [f"{against}: equal"]
    lines = [f"{against}: {'authority is widened' if found.widens else 'no authority is widened'}"]
    heads = {
        Kind.WIDENED: "widened",
        Kind.CHANGED: "changed, and not shown to be less: counts as widened",
        Kind.NARROWED: "narrowed",
        Kind.EQUAL: "equal authority in other words",
    }
    for kind, head in heads.items():
        if entries := found.of(kind):
            lines += [f"{head}:", *(f"  {clean(entry.message)}" for entry in entries)]
    return lines
