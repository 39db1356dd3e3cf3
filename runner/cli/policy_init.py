"""`runner policy init`: write a starting policy from a function, a graph, a crew, or the tools of a server.

Not here: asking them (engine.drafting), the YAML (policy.draft).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from runner.errors import ExitCode, UsageError


def init(
    place: Annotated[
        str | None,
        typer.Argument(metavar="[FROM]", help="module:name of a function, a LangGraph graph or a CrewAI factory."),
    ] = None,
    mcp: Annotated[str | None, typer.Option(metavar="URL", help="An MCP server that speaks streamable HTTP.")] = None,
    mcp_command: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="An MCP server that is started, in one argument.")
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Write here. Nothing is overwritten.")
    ] = Path("runner.yaml"),
) -> int:
    """Write a starting policy from an import path or an MCP server, with remarks on what to look at."""
    import shlex

    from runner.cli.envelope import quoted
    from runner.cli.output import put, say, stdout_for_the_result
    from runner.cli.text import plural
    from runner.engine import Runner
    from runner.printable import clean

    if sum(one is not None for one in (place, mcp, mcp_command)) != 1:
        raise UsageError(
            "a policy is written from one thing", hint="name an import path, or --mcp URL, or --mcp-command COMMAND"
        )
    try:
        argv = tuple(shlex.split(mcp_command or ""))
    except ValueError as error:
        raise UsageError(f"--mcp-command is no command: {str(error).lower()}") from None
    if mcp_command is not None and not argv:
        raise UsageError("--mcp-command is empty")
    # Code that is imported may print.
    with stdout_for_the_result():
        made = asyncio.run(Runner.draft_policy(output, place=place or "", url=mcp or "", argv=argv))
    put(str(made.file))
    for warning in made.policy.warnings:
        say(f"warning: {clean(warning)}")
    if made.left_out:
        say(f"warning: {plural(made.left_out, 'tool')} of the server cannot be named in a policy: left out")
    say(f"{plural(len(made.policy.agents), 'agent')}; read the remarks in it")
    say(f"next: runner policy check {quoted(str(made.file))}")
    return ExitCode.DONE
