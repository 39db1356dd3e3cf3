"""`runner prompt` and `runner stubs`: what whoever writes scripts under a policy needs, a model or a person.

Not here: the words of the prompt (check.prompt), the types of the stubs (check.stubs).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.errors import ExitCode

PolicyOption = Annotated[Path | None, typer.Option(help="The policy, found as `runner run` finds it.")]


def prompt(policy: PolicyOption = None) -> int:
    """Print what a model needs to write scripts under a policy."""
    from runner.cli.output import put
    from runner.cli.policy import chosen_policy
    from runner.engine import Runner

    put(Runner().prompt(chosen_policy(policy)).removesuffix("\n"))
    return ExitCode.DONE


def stubs(policy: PolicyOption = None) -> int:
    """Print Python stubs of a policy's agents, for type checkers and editors."""
    from runner.cli.output import put
    from runner.cli.policy import chosen_policy
    from runner.engine import Runner

    put(Runner().stubs(chosen_policy(policy)).removesuffix("\n"))
    return ExitCode.DONE
