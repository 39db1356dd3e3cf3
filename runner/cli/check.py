"""`runner check`: what the check says of a script, for a person, a program or the model that wrote it.

Nothing of the script or of the policy's agents is run or imported.

Not here: the rules (check), how findings are worded (check.render).
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from runner.errors import ExitCode


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    MODEL = "model"


def check(
    script: Annotated[str, typer.Argument(metavar="SCRIPT|-", help="The script's file; - reads stdin.")],
    policy: Annotated[Path | None, typer.Option(help="The policy, found as `runner run` finds it.")] = None,
    format: Annotated[
        Format, typer.Option(help="text: for a person; json; sarif: for code hosts; model: to hand back.")
    ] = Format.TEXT,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    extract: Annotated[bool, typer.Option("--extract", help="Take the script out of its Markdown fence.")] = False,
) -> int:
    """Check a script against the dialect and a policy, without running it."""
    from runner import __version__
    from runner.check.render import for_model, render_text, to_json
    from runner.check.sarif import to_sarif
    from runner.cli.output import put, put_json
    from runner.cli.policy import chosen_policy
    from runner.engine import Runner, read_script
    from runner.policy import load_policy
    from runner.printable import clean_block

    submitted, rules = read_script(script, extract=extract), load_policy(chosen_policy(policy, script))
    verdict = Runner().check(submitted, policy=rules)
    if json or format is Format.JSON:
        put_json(to_json(verdict, submitted))
    elif format is Format.SARIF:
        put_json(to_sarif(verdict, submitted, version=__version__, path="" if script == "-" else script))
    elif format is Format.MODEL:
        put(clean_block(for_model(verdict, rules.agents)))
    else:
        put(clean_block(render_text(verdict, submitted)))
    return ExitCode.DONE if verdict.accepted else ExitCode.REJECTED
