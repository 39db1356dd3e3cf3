"""What becomes of nested runs whose host died: they do not go on, they end with the run that they are nested in.

Whoever goes on with the outer run closes them first: their tokens, their open spawns, and the runs within them. An
attempt that was waiting for one comes to what the attempt of any agent comes to that was at work when its host died.

Not here: how a nested run begins (nesting).
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.engine.nesting import PARENT
from runner.engine.resuming import ResumedExecution
from runner.engine.slices import add
from runner.errors import RunNotFound, UsageError
from runner.events import EventKind
from runner.journal import SqliteJournal
from runner.session import Ending, Held


class ClosedExecution(ResumedExecution):
    """The end of a nested run whose host died. No guest is started, and no agent is called."""

    def _begin(self) -> Ending:
        super()._begin()
        self.stop(PARENT)
        return self._stopped(PARENT)


def parent_of(store: SqliteJournal, run: str) -> str:
    """Return the run that a run is nested in; "" for none. Raises RunNotFound."""
    first = next(store.read(run), None)
    return "" if first is None else str(first.body.get("parent", ""))


def nested_in(store: SqliteJournal, run: str) -> Iterator[str]:
    """Yield the runs of the store that are nested in this one, as both journals say."""
    for event in store.read(run, kinds=(EventKind.RUN_NESTED,)):
        nested = str(event.body["run"])
        try:
            if parent_of(store, nested) == run:
                yield nested
        except RunNotFound:
            continue  # The host died before it began, or it was pruned.


def may_be_closed(store: SqliteJournal, run: str) -> bool:
    """Say whether a run has not ended and nobody serves it."""
    return not store.run_ended(run) and not store.run_alive(run)


def is_alone(store: SqliteJournal, run: str) -> bool:
    """Say whether a run is nested in none that could still go on."""
    parent = parent_of(store, run)
    try:
        return not parent or store.run_ended(parent)
    except RunNotFound:
        return True


def require_outermost(store: SqliteJournal, run: str) -> None:
    """Raise UsageError for a run that is nested in one which has not ended."""
    if not is_alone(store, run):
        parent = parent_of(store, run)
        raise UsageError(
            f'run "{run}" is nested in run "{parent}": it ends with that, and does not go on by itself',
            hint=f"runner resume {parent}",
        )


def spent_within(store: SqliteJournal, run: str, seen: set[str] | None = None) -> Held:
    """Return what ended runs within a run have used of its limits."""
    seen, spent = seen if seen is not None else {run}, Held()
    for nested in nested_in(store, run):
        if nested in seen:
            continue
        seen.add(nested)
        for event in store.read(nested, kinds=(EventKind.RUN_FINISHED,)):
            usage = event.body["usage"]
            used = {name: int(usage.get(name, 0)) for name in ("bytes_in", "bytes_out", "log_bytes")}
            add(spent, Held(sum(event.body["spawns"].values()), **used))
        add(spent, spent_within(store, nested, seen))
    return spent
