"""`runner journal`: a run's events one by one.

Not here: what a journal means (events.fold), the story of a run (story), whether it is whole (verify).
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from runner.cli.runs import RunArgument, opened
from runner.events import Event
from runner.models import Json


def journal(
    run: RunArgument,
    after: Annotated[int, typer.Option(min=0, help="Only events with a number above this.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines, one event each.")] = False,
) -> int:
    """Print the events of a run."""
    from runner.cli.output import put
    from runner.cli.text import json_text

    with opened() as runner:
        for event in runner.events(runner.find(run), after=after):
            if not put(json_text(event_object(event), indent=False) if json else event_line(event)):
                break
    return 0


def event_object(event: Event) -> dict[str, Json]:
    """Return an event as JSON. `value` is null where there never was one, or where it was erased."""
    return {
        "run": event.run,
        "seq": event.seq,
        "kind": str(event.kind),
        "at_us": event.at_us,
        "body": event.body,
        "value": None if event.value is None else event.content(),
        "value_digest": event.value_digest,
        "digest": event.digest,
    }


def event_line(event: Event) -> str:
    """Return an event as one line: number, time, kind, then what it says."""
    from runner.cli.text import json_text
    from runner.printable import clean

    facts = [f"{key}={_shown(value)}" for key, value in event.body.items() if value not in (None, "", [], {})]
    if event.value is not None:
        facts += [f"{key}: {clean(json_text(value, indent=False), limit=80)}" for key, value in event.content().items()]
    elif event.value_digest:
        facts.append("value erased")
    return clean(f"{event.seq:>6}  {_time(event.at_us)}  {event.kind:<16} {'  '.join(facts)}")


def _shown(value: Any) -> str:
    from runner.cli.text import json_text
    from runner.printable import clean

    text = value if isinstance(value, str) else json_text(value, indent=False)
    # Twelve digits tell digests apart for a person; --json has them whole.
    return text[:12] if len(text) == 64 and text.isalnum() else clean(text, limit=80)


def _time(at_us: int) -> str:
    import time

    return f"{time.strftime('%H:%M:%S', time.localtime(at_us // 1_000_000))}.{at_us // 1000 % 1000:03}"
