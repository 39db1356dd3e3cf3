"""What differs between two runs: the ground they stood on, then spawn by spawn, then how they ended.

The left run is the one that is expected, the right one what came. Times do not make two runs differ: they are told, and
that is all. Values are compared by digest, and read only for the first spawn that differs.

Not here: the words (cli.diff).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from runner.archive.pairing import Kind, Pair, SpawnLine, paired, spawn_lines
from runner.archive.setup import ERASED, Change, Setup, changes, differing, setup_of
from runner.errors import UsageError
from runner.guest.wire import OK
from runner.journal import SqliteJournal
from runner.journal.listing import last_good
from runner.journal.reader import read_events
from runner.models import Json


@dataclass(frozen=True, slots=True)
class Detail:
    """In what the first pair differs, in lines by kind. Texts as they were archived: not clean."""

    label: str
    lines: tuple[tuple[Kind, str], ...]


@dataclass(frozen=True, slots=True)
class RunDiff:
    """In what two runs differ."""

    left: Setup
    right: Setup
    changes: list[Change]
    differing: list[Pair]
    """The pairs that differ, also those only in time, and what has no counterpart; in the left run's order."""
    same: int
    """How many pairs do not differ at all."""
    first: Detail | None
    """Of the first that differs in more than time; where none does, of the first that differs in time."""
    ending: list[str]
    """In what their ends differ, in lines."""

    @property
    def counts(self) -> dict[str, int]:
        """How many pairs differ in which kind."""
        found = Counter(kind for pair in self.differing for kind in pair.kinds)
        return {str(kind): found[kind] for kind in Kind if found[kind]}

    @property
    def telling(self) -> list[Pair]:
        """Those that differ in more than time."""
        return [pair for pair in self.differing if pair.kinds != (Kind.SECONDS,)]

    @property
    def first_pair(self) -> Pair | None:
        return next(iter(self.telling or self.differing), None)

    @property
    def equal(self) -> bool:
        """Nothing differs but time."""
        return not self.changes and not self.telling and not self.ending


def diff(store: SqliteJournal, left: str, right: str) -> RunDiff:
    """Return in what two runs differ. Raises RecordBroken."""
    one, other = setup_of(store, left), setup_of(store, right)
    same_script = one.submitted.get("script_digest") == other.submitted.get("script_digest")
    pairs = paired(spawn_lines(store.path, left), spawn_lines(store.path, right), same_script=same_script)
    found = [pair for pair in (_judged(store, left, right, pair) for pair in pairs) if pair.kinds]
    told = RunDiff(one, other, changes(one, other), found, len(pairs) - len(found), None, _ending(one, other))
    if told.first_pair is None:
        return told
    detail = _detail(store, told, same_script=same_script)
    return replace(told, first=detail)


def _judged(store: SqliteJournal, left: str, right: str, pair: Pair) -> Pair:
    """Return the pair without a difference that no script can see: the `detail` of a failure."""
    if Kind.OUTPUT not in pair.kinds or pair.left is None or pair.right is None or pair.left.outcome == OK:
        return pair
    one, other = _value(store, left, pair.left.settled_seq), _value(store, right, pair.right.settled_seq)
    if one is None or other is None or {**one, "detail": ""} != {**other, "detail": ""}:
        return pair
    return replace(pair, kinds=tuple(kind for kind in pair.kinds if kind is not Kind.OUTPUT))


def good_run_before(store: SqliteJournal, run: str) -> str:
    """Return the last run before this one whose script has the same name and that is done. Raises UsageError."""
    found = last_good(store.path, run)
    if not found:
        raise UsageError(
            f'no run of that script before "{run}" is done', hint="`runner runs --state done` lists those that are"
        )
    return found


def _ending(left: Setup, right: Setup) -> list[str]:
    if left.state != right.state:
        return [f"state: expected {left.state}, got {right.state}", *_error(left, "expected"), *_error(right, "got")]
    if left.ending is None or right.ending is None:
        return [ERASED] if left.ending is not right.ending else []
    return differing(*({**setup.ending, "line": setup.finished["line"]} for setup in (left, right) if setup.ending))


def _error(setup: Setup, whose: str) -> list[str]:
    message = (setup.ending or {}).get("message")
    return [f"{whose}: {message}"] if message else []


# --- the first pair ----------------------------------------------------------------------------


def _detail(store: SqliteJournal, told: RunDiff, *, same_script: bool) -> Detail:
    pair = told.first_pair
    assert pair is not None
    left, right = pair.left, pair.right
    values = [
        None if spawn is None else _value(store, setup.run, spawn.requested_seq)
        for spawn, setup in ((left, told.left), (right, told.right))
    ]
    label = next((str(value["label"]) for value in values if value and value.get("label")), "")
    lines: list[tuple[Kind, str]] = []
    if left is None or right is None:
        asked = [(value or {}).get("inputs") or {} for value in values]
        return Detail(label, tuple((pair.kinds[0], line) for line in differing(*asked)))
    for kind in pair.kinds:
        if kind is Kind.INPUTS:
            lines += [(kind, line) for line in _inputs(told, values[0], values[1], same_script=same_script)]
        elif kind is Kind.OUTPUT:
            lines += [(kind, line) for line in _output(store, told, left, right)]
        elif kind is Kind.OUTCOME:
            lines += [(kind, line) for line in _outcome(store, told, left, right)]
        elif kind is Kind.AGENT:
            lines.append((kind, f"expected {left.called}, got {right.called}"))
        else:
            lines.append((kind, f"expected {left.seconds:.3f} s, got {right.seconds:.3f} s"))
    return Detail(label, tuple(lines))


def _inputs(
    told: RunDiff, left: dict[str, Json] | None, right: dict[str, Json] | None, *, same_script: bool
) -> list[str]:
    if left is None or right is None:
        return [ERASED]
    asked = [{key: value.get(key) for key in ("inputs", "fills")} for value in (left, right)]
    if found := differing(*asked):
        setups = {change.what for change in told.changes}
        if same_script and "inputs" not in setups and told.left.started.get("seed") != told.right.started.get("seed"):
            found.append("the script asked otherwise though nothing before differs: seed and start time do")
        return found
    return ["the script asked the same: what differs came out of a handle in its inputs"]


def _output(store: SqliteJournal, told: RunDiff, left: SpawnLine, right: SpawnLine) -> list[str]:
    one, other = _value(store, told.left.run, left.settled_seq), _value(store, told.right.run, right.settled_seq)
    if one is None or other is None:
        return [ERASED]
    if "output" in one and "output" in other:
        return differing(one["output"], other["output"]) or ["the same but for the order of keys"]
    return differing(one, other)


def _outcome(store: SqliteJournal, told: RunDiff, left: SpawnLine, right: SpawnLine) -> list[str]:
    lines = [f"expected {left.outcome or 'not settled'}, got {right.outcome or 'not settled'}"]
    for setup, spawn, whose in ((told.left, left, "expected"), (told.right, right, "got")):
        value = _value(store, setup.run, spawn.settled_seq) or {}
        if value.get("message"):
            lines.append(f"{whose}: {value['message']}")
    return lines


def _value(store: SqliteJournal, run: str, seq: int) -> dict[str, Json] | None:
    """Return the value of one event; None where it was erased, or there is none."""
    event = next(read_events(store.path, run, seq - 1, of=f"seq = {seq:d}"), None)
    return None if event is None or event.value is None else event.content()
