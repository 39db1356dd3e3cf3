"""`runner review`: what a script could do at most, what it did in rehearsal, what breaks it, what is new.

The report goes to stdout or to a file, in the form that was asked for. Nothing of the policy is imported, started or
read. Exit 0 also where much is remarked: `--fail-on` makes a judgement of it (exit 9).

Not here: the report (engine.reviewing), its forms (review).
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.complete import run_ids
from runner.cli.run import SandboxChoice
from runner.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from runner.review.report import Report


class Form(StrEnum):
    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"
    SARIF = "sarif"
    MERMAID = "mermaid"
    DOT = "dot"
    GRAPH = "graph"


def review(
    script: Annotated[str, typer.Argument(metavar="SCRIPT|-", help="The script's file; - reads stdin.")],
    policy: Annotated[
        Path | None,
        typer.Option(help="The policy. Without it: RUNNER_POLICY, then runner.yaml upwards from the script."),
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(metavar="JSON|@FILE", help="The inputs to rehearse with: one JSON value.")
    ] = None,
    mocks: Annotated[
        list[Path] | None, typer.Option(help="Answers of agents; without: what their output schemas allow.")
    ] = None,
    mocks_from: Annotated[
        str, typer.Option(metavar="RUN", help="Answer from this run's record.", autocompletion=run_ids)
    ] = "",
    against: Annotated[
        str, typer.Option(metavar="FILE|RUN", help="Compare with this version; without: the last approved one.")
    ] = "",
    faults: Annotated[int, typer.Option(min=0, max=100_000, help="Single failures to try at most; 0: none.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Of what schemas leave open.")] = 1,
    form: Annotated[Form, typer.Option("--format", help="How the report is written.")] = Form.TEXT,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it to this file.")] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE|SEVERITY", help="End with 9 where one of these strikes; may be given again."),
    ] = None,
    short: Annotated[bool, typer.Option("--short", help="The first screen alone.")] = False,
    sandbox: Annotated[
        SandboxChoice, typer.Option(help="Where it is rehearsed. auto: the best here, never below the policy.")
    ] = SandboxChoice.AUTO,
    extract: Annotated[bool, typer.Option("--extract", help="Take the script out of its Markdown fence.")] = False,
) -> int:
    """Say what a script could do at most, what it does in rehearsal, and which failures bring it down."""
    from runner.cli.output import put, say, stdout_is_terminal
    from runner.cli.policy import chosen_policy
    from runner.engine import Runner, parse_inputs, read_script
    from runner.policy import load_policy
    from runner.printable import clean
    from runner.review.remarks import failing

    read, chosen = read_script(script, extract=extract), load_policy(chosen_policy(policy, script))
    values = None if inputs is None else parse_inputs(inputs)

    async def made() -> Report:
        async with Runner(sandbox=str(sandbox), progress=say, waiting_guests=2 if faults else 0) as runner:
            return await runner.review(
                read, policy=chosen, inputs=values, mocks=list(mocks or ()), mocks_from=mocks_from, against=against,
                faults=faults, seed=seed,
            )  # fmt: skip

    report = asyncio.run(made())
    struck = failing(report, fail_on or ())
    if form is Form.TEXT and output is None and stdout_is_terminal():
        _draw(report, short=short)
    else:
        text = written(report, form, short=short, path="" if script == "-" else script)
        if output is None:
            put(text)
        else:
            _write(output, text)
            say(f"{output}: the review of {clean(report.script)}")
    for one in struck:
        place = f"line {one.line}: " if one.line else ""
        say(clean(f"fails on {one.rule}: {place}{one.message}"))
    return ExitCode.EXPECTATION if struck else ExitCode.DONE


def written(report: Report, form: Form, *, short: bool, path: str) -> str:
    """Return the report in a form, without the last line feed."""
    from runner import __version__
    from runner.cli.text import json_text
    from runner.review import as_json, graph_text, markdown, page, sarif, text

    graph = report.rehearsal.graph if report.rehearsal is not None else None
    if form is Form.TEXT:
        return "\n".join(text.lines(report, whole=not short))
    if form is Form.JSON:
        return json_text(as_json.to_json(report), indent=True)
    if form is Form.MARKDOWN:
        return markdown.to_markdown(report).rstrip("\n")
    if form is Form.HTML:
        return page.to_page(report).rstrip("\n")
    if form is Form.SARIF:
        return json_text(sarif.to_sarif(report, version=__version__, path=path), indent=True)
    if graph is None:
        raise UsageError("there is no graph: the script was not rehearsed", hint="runner review SCRIPT tells why")
    if form is Form.GRAPH:
        return json_text(graph_text.to_json(graph), indent=True)
    return (graph_text.to_dot(graph) if form is Form.DOT else graph_text.to_mermaid(graph)).rstrip("\n")


def _draw(report: Report, *, short: bool) -> None:
    """Show it in the terminal, coloured."""
    from rich.console import Console
    from rich.text import Text

    from runner.review.text import styled

    console = Console(highlight=False, soft_wrap=True)
    for line in styled(report, whole=not short):
        console.print(Text.assemble(*((words, style) for style, words in line)))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f'the report cannot be written to "{path}": {error.strerror or error}') from None
