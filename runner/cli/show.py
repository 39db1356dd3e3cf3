"""`runner show`: the story of one run.

Not here: the words (story), following a live run (watch), single events (journal).
"""

from __future__ import annotations

import time
from typing import Annotated

import typer

from runner.cli.runs import RunArgument, opened


def show(
    run: RunArgument,
    json: Annotated[bool, typer.Option("--json", help="Print the envelope of docs/cli.md.")] = False,
) -> int:
    """Tell the story of a run: what was asked, what happened, how it ended."""
    from runner.cli.envelope import of_view
    from runner.cli.output import put, put_json
    from runner.cli.story import story

    with opened() as runner:
        found = runner.find(run)
        view = runner.view(found)
        submitted = next(runner.events(found)).content()
    if json:
        put_json(of_view(view))
    else:
        put("\n".join(story(view, submitted, now=time.time())))
    return 0
