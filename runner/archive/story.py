"""All that the story of a run needs, read in one pass without a value of an output."""

from __future__ import annotations

from dataclasses import dataclass

from runner.archive.flags import Flag, flags
from runner.archive.work import WorkView
from runner.events import RunView
from runner.journal import SqliteJournal
from runner.journal.outline import read_outline
from runner.models import Json


@dataclass(frozen=True, slots=True)
class Story:
    """What a journal says of its run, and what is worth a look in it."""

    view: RunView
    submitted: dict[str, Json]
    """The value of the first event: script, policy and inputs; empty where it was erased."""
    work: WorkView
    flags: list[Flag]


def story_of(store: SqliteJournal, run: str) -> Story:
    """Return the story of a run; `interrupted` if it has not ended and its host is gone. Raises RecordBroken."""
    alive = store.run_alive(run)
    # Asked before the events are read: a run that ends in between is told as ended, not as dead.
    view = RunView()
    work = WorkView(view)
    submitted: dict[str, Json] = {}
    for event in read_outline(store.path, run):
        if event.seq == 1:
            submitted = event.content()
        view.apply(event)
        work.apply(event)
    if not view.ended and not alive:
        view.interrupt()
    return Story(view, submitted, work, flags(view, work))
