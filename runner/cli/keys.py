"""`runner key ...`: the reviewer's key of this home.

Not here: what is signed with it (decisions), whose keys are believed (review.trust).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.runs import opened
from runner.errors import ExitCode, StoreError, UsageError

if TYPE_CHECKING:
    from runner.review.keys import ReviewerKey


def new(
    name: Annotated[str, typer.Option(help="Whose it is: the name that decisions bear.")],
    force: Annotated[bool, typer.Option("--force", help="In the place of one that is there, which is lost.")] = False,
) -> int:
    """Make the reviewer's key of this home, which signs decisions."""
    from runner.cli.output import say

    with opened() as runner:
        key = runner.new_reviewer_key(name, replace=force)
    _show(key, json=False)
    say("a host that has a trust.yaml believes it once it stands there: runner key show")
    return ExitCode.DONE


def show(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> int:
    """Show the reviewer's public key, as trust.yaml takes it."""
    with opened() as runner:
        key = runner.reviewer_key()
    if key is None:
        raise UsageError("there is no reviewer's key in this home", hint="runner key new --name NAME")
    _show(key, json=json)
    return ExitCode.DONE


def sign(
    policy: Annotated[Path, typer.Argument(help="The policy's file.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Instead of POLICY.signature.")
    ] = None,
) -> int:
    """Sign a policy as it is now, for hosts whose trust.yaml names this key as a signer."""
    from runner.cli.output import put, say
    from runner.policy import load_policy
    from runner.review.policies import SUFFIX

    found = load_policy(policy)
    path = output or Path(f"{policy}{SUFFIX}")
    with opened() as runner:
        text = runner.sign_policy(found)
    try:
        path.write_text(text)
    except OSError as error:
        raise StoreError(f'"{path}" cannot be written: {error.strerror or error}') from error
    put(str(path))
    say(f"signed: sha256 {found.digest[:12]}; a change to the policy needs another signature")
    return ExitCode.DONE


def _show(key: ReviewerKey, *, json: bool) -> None:
    from runner.cli.output import put, put_json, say
    from runner.cli.text import json_text

    if json:
        put_json(
            {"version": 1, "name": key.name, "key": key.key.public.decode(), "fingerprint": key.fingerprint}
        )  # fmt: skip
        return
    put(key.key.public.decode().rstrip("\n"))
    say(f"fingerprint: {key.fingerprint}")
    say(f"in trust.yaml: {{name: {json_text(key.name, indent=False)}, key: {key.fingerprint}, may_approve: error}}")
