"""Print the demo for a person: `runner run --json ... | python examples/demo/show.py`.

Reads the envelope that docs/cli.md describes and prints its report. Then agents ask what the hardest modules promise
(library_visit), and the audit of that ends the demo. What scripts return is data; how it looks on a terminal is
decided here. Ends with the first run's exit code where that did not end well, else with the second's; why a run
failed, runner has said on stderr.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from textwrap import fill
from typing import Any

from library_visit import Visit, by_audit, by_server, deviations, visit
from rich.console import Console
from rich.table import Table
from rich.text import Text

from runner.errors import ExitCode, RunnerError

NEXT = """\
Four things to try next
  {runner} show {run}
      the story of the first run: what was asked, what happened, how long it took
  {runner} journal {run}
      every event of it, in a chain that cannot be altered unnoticed
  {runner} audit {visit} --uses
      each request of the second run, the refused one included; without --uses each token
  {runner} init /tmp/mine
      a policy, an agent and a script of your own, ready to run
To call it just "runner" in this shell
  export PATH="{folder}:$PATH"
"""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sandbox", default="auto")
    sandbox = parser.parse_args().sandbox
    envelope = json.load(sys.stdin)
    if envelope["state"] != "done":
        return int(envelope["exit_code"])
    console = Console(highlight=False)
    _report(console, envelope["result"])
    modules = [entry["module"] for entry in envelope["result"]["hardest"]]
    found = asyncio.run(visit(modules, sandbox=sandbox))
    if found.ran.state != "done":
        why = f": {found.ran.error.message}" if found.ran.error is not None else ""
        print(f"second run {found.ran.run}: {found.ran.state}{why}", file=sys.stderr)
        return int(found.ran.exit_code)
    _promises(console, found)
    _audit(console, found)
    _next(console, envelope["run"], found.ran.run)
    wrong = deviations(found, modules)
    for words in wrong:
        print(f"the demo is not as it should be: {words}", file=sys.stderr)
    return ExitCode.EXPECTATION if wrong else ExitCode.DONE


# --- the first run -----------------------------------------------------------------------------


def _report(console: Console, found: dict[str, Any]) -> None:
    _head(console, found)
    for entry in found["hardest"]:
        _module(console, entry)
    _rest(console, found)


def _head(console: Console, found: dict[str, Any]) -> None:
    console.print()
    console.print(Text(f"Hardest modules to change in the standard library of Python {found['python']}", style="bold"))
    console.print(
        f"{found['modules']} modules, {found['code_lines']:,} lines, {found['functions']:,} functions, "
        f"{found['tangled_functions']} of them with more than 10 ways through."
    )
    console.print("Score: ways beyond 10 in each function, times the square root of the modules that depend on it.")


def _module(console: Console, entry: dict[str, Any]) -> None:
    console.print()
    title = Text(f"{entry['rank']:>2}  ", style="dim")
    title.append(entry["module"], style="bold cyan")
    title.append(f"  score {entry['score']:,}", style="bold")
    title.append(f"  {entry['code_lines']:,} lines, imported by {entry['imported_by']}", style="dim")
    console.print(title)
    for reason in entry["why"]:
        # A hanging indent, so that a wrapped reason does not look like two.
        console.print(fill(reason, console.width, initial_indent="    - ", subsequent_indent="      "), markup=False)


def _rest(console: Console, found: dict[str, Any]) -> None:
    console.print()
    _remark(console, "Widely used and still simple", ", ".join(found["widely_used_and_simple"]))
    _remark(console, "Source tells little, so judged by use", _unsure(found["source_tells_little"]))
    for failure in found["not_measured"]:
        users = f"; used by {', '.join(failure['used_by'])}" if failure["used_by"] else ""
        _remark(console, f"Not measured: {failure['module']}", failure["why"] + users)
    console.print()


def _remark(console: Console, title: str, text: str) -> None:
    if text:
        console.print(Text(f"{title}: ", style="bold").append(text, style="not bold"))


def _unsure(entries: list[dict[str, Any]]) -> str:
    return "; ".join(f"{entry['module']} ({', '.join(entry['blind_spots'])})" for entry in entries)


# --- the second run ----------------------------------------------------------------------------


def _promises(console: Console, found: Visit) -> None:
    console.print(Text("Before somebody changes them: what do they promise to their users?", style="bold"))
    told_by = f"Told by a server at {found.url}, which answers {found.without_token} without a token."
    console.print(fill(told_by, console.width), markup=False)
    console.print()
    heads = ("module", "names,\nmethods", "without\ndocstring", "examples\nto run", "platform\nchoices")
    table = _table(*heads, last="warns of a\nchange in")
    for module, told in found.ran.result["promises"].items():
        changing = told["changing"]
        more = f" +{len(changing) - 1}" if len(changing) > 1 else ""
        numbers = (told[key] for key in ("promised", "silent", "examples", "platform_choices"))
        warns = f"{changing[0].split('.')[0]}{more}" if changing else "-"
        table.add_row(Text(module, style="bold cyan"), *map(_number, numbers), warns)
    console.print(table)
    console.print()


def _audit(console: Console, found: Visit) -> None:
    console.print(Text("Audit: each attempt had a token of its own, which its agent never saw", style="bold"))
    table = _table("token", "agent", "opened in the library", "sent", "refused", last="lived")
    for token in found.tokens:
        module = token.rules[0].split("/")[2]
        opened = ", ".join(rule.split("/")[3] for rule in token.rules)
        lived = f"{token.closed_at - token.asked_at:.1f} s" if token.closed_at else "open"
        cells = (f"{module}: {opened}", _number(token.uses), _number(token.refusals), lived)
        table.add_row(token.id[-12:], token.agent, *cells)
    console.print(table)
    console.print()
    for agent, scope in sorted(found.unused):
        given = sum(token.agent == agent and scope in token.scopes for token in found.tokens)
        _remark(console, "Asked for and never used", f"{scope}, {given} times by {agent}")
    for use in found.refused:
        asked_about = found.audit.tokens[use.token].rules[0].split("/")[2]
        told = f"{use.agent}, asked about {asked_about}, tried {use.method} {use.path} and got 403"
        _remark(console, "Refused by the gateway", told)
    sent = by_audit(found)
    if by_server(found) == sent:
        _remark(console, "The server's own record", f"the same {len(sent)} requests with a token, and no other")
    console.print()


def _table(*heads: str, last: str) -> Table:
    """Return an empty table: texts to the left, numbers to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for head in heads:
        is_text = head in ("module", "token", "agent", "opened in the library")
        table.add_column(head, no_wrap=True, justify="left" if is_text else "right")
    table.add_column(last)
    return table


def _number(count: int) -> str:
    return f"{count:,}" if count else "-"


def _next(console: Console, run: str, visited: str) -> None:
    folder = Path(sys.executable).parent
    runner = os.path.relpath(folder / "runner")
    text = NEXT.format(runner=runner, run=run, visit=visited, folder=folder)
    console.print(text, markup=False, soft_wrap=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(ExitCode.STOPPED)
    except RunnerError as error:
        print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(ExitCode.EXPECTATION)
