"""`runner policy lock`: write down what a policy's agents are.

Not here: asking them (engine.locking), holding them to it (policy.lock).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from runner.errors import ExitCode


def lock(
    policy: Annotated[Path, typer.Argument(help="The policy's file.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write here; beside the policy unless given.")
    ] = None,
) -> int:
    """Import a policy's agents, and write what they are to its lock: others are refused then."""
    from runner.cli.output import put, say
    from runner.cli.text import plural
    from runner.engine import Runner
    from runner.printable import clean

    found = asyncio.run(Runner.lock_policy(policy, into=output))
    put(str(found.file))
    say(f"{plural(len(found.agents), 'agent')} locked")
    for change in found.changes:
        say(f"since the lock before: {clean(change)}")
    return ExitCode.DONE
