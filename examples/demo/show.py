"""Print the demo's result for a person: `runner run --json ... | python examples/demo/show.py`.

Reads the envelope that docs/cli.md describes. The script's result is data; how it looks on a terminal is
decided here. Ends with the run's own exit code; why a run failed, runner has said on stderr.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from textwrap import fill
from typing import Any

from rich.console import Console
from rich.text import Text

NEXT = """\
Three things to try next
  {runner} show {run}
      the story of this run: what was asked, what happened, how long it took
  {runner} journal {run}
      every event of it, in a chain that cannot be altered unnoticed
  {runner} init /tmp/mine
      a policy, an agent and a script of your own, ready to run
To call it just "runner" in this shell
  export PATH="{folder}:$PATH"
"""


def main() -> int:
    envelope = json.load(sys.stdin)
    if envelope["state"] == "done":
        console = Console(highlight=False)
        _report(console, envelope["result"])
        folder = Path(sys.executable).parent
        runner = os.path.relpath(folder / "runner")
        console.print(NEXT.format(runner=runner, run=envelope["run"], folder=folder), markup=False, soft_wrap=True)
    return int(envelope["exit_code"])


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


if __name__ == "__main__":
    sys.exit(main())
