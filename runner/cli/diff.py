"""`runner diff`: what differs between two runs, in words: it worked yesterday, and what is different today.

Not here: what differs (archive.diff).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli.complete import run_ids
from runner.cli.runs import RunArgument, opened
from runner.cli.text import plural, seconds
from runner.errors import UsageError
from runner.printable import clean

if TYPE_CHECKING:
    from runner.archive.diff import RunDiff
    from runner.archive.pairing import Pair
    from runner.archive.setup import Setup

SHOWN_PAIRS = 20
# Digests, versions, names: enough to tell two apart.
_DIGITS = 12


def diff(
    run: RunArgument,
    other: Annotated[
        str, typer.Argument(metavar="[RUN]", help="The run that is compared with it.", autocompletion=run_ids)
    ] = "",
    last_good: Annotated[
        bool, typer.Option("--last-good", help="Compare with the last run before it, of the same script, that is done.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print it as one JSON object.")] = False,
) -> int:
    """Say what differs between two runs: the ground they stood on, each spawn, their ends."""
    from runner.cli.output import put, put_json

    if bool(other) is last_good:
        raise UsageError("a diff is of two runs", hint="`runner diff RUN RUN`, or `runner diff RUN --last-good`")
    with opened() as runner:
        if last_good:
            right = runner.find(run)
            left = runner.good_run_before(right)
        else:
            left, right = runner.find(run), runner.find(other)
        found = runner.diff(left, right)
    if json:
        put_json(diff_object(found))
    else:
        put("\n".join(diff_lines(found)))
    return 0


def diff_lines(found: RunDiff) -> list[str]:
    """Return what a person reads: what changed, the first spawn that differs, the rest, the ends, the answer."""
    lines = [f"expected: {_run(found.left)}", f"got:      {_run(found.right)}"]
    for change in found.changes:
        lines.append(f"{change.what}: expected {_short(change.left)}, got {_short(change.right)}")
        lines += _indented(change.lines)
    if not found.changes:
        lines.append("script, policy, inputs, agents, sandbox and versions are the same")
    lines += _spawns(found)
    if found.ending:
        lines.append("they ended otherwise:")
        lines += _indented(found.ending)
    return [*lines, answer(found)]


def _run(setup: Setup) -> str:
    return clean(f"run {setup.run}, script {setup.submitted.get('script', '')}, {setup.state}")


def _short(text: str) -> str:
    is_digest = len(text) == 64 and text.isalnum()
    return text[:_DIGITS] if is_digest else clean(text, limit=80)


def _spawns(found: RunDiff) -> list[str]:
    counts = found.counts
    parts = [f"{found.same:,} the same", *(f"{count:,} {_COUNTED[kind]}" for kind, count in counts.items())]
    lines = [f"spawns: {', '.join(parts)}"]
    first = found.first_pair
    if first is None or found.first is None:
        return lines
    label = f' "{clean(found.first.label, limit=60)}"' if found.first.label else ""
    lines.append(f"first that differs: {_pair(first, label)}")
    lines += _indented(f"{kind}: {line}" for kind, line in found.first.lines)
    rest = [pair for pair in found.differing if pair is not first]
    if rest:
        lines.append("the others:")
        lines += [f"  {_pair(pair)}" for pair in rest[:SHOWN_PAIRS]]
    if len(rest) > SHOWN_PAIRS:
        kinds = Counter(kind for pair in rest[SHOWN_PAIRS:] for kind in pair.kinds)
        told = ", ".join(f"{count:,} {_COUNTED[kind]}" for kind, count in kinds.items())
        lines.append(f"  and {len(rest) - SHOWN_PAIRS:,} more: {told}")
    return lines


_COUNTED = {
    "inputs": "with other inputs", "agent": "of another agent", "outcome": "with another outcome",
    "output": "with another output", "seconds": "with another duration", "added": "added", "removed": "removed",
}  # fmt: skip


def _pair(pair: Pair, label: str = "") -> str:
    one = pair.left or pair.right
    assert one is not None
    moved = pair.left is not None and pair.right is not None and pair.left.n != pair.right.n
    there = f" (there spawn {pair.right.n})" if moved and pair.right is not None else ""
    kinds = ", ".join(map(_word, pair.kinds))
    return f"spawn {one.n} {clean(one.agent)}{label}{there}, line {one.line}: {kinds}{_figures(pair)}"


def _word(kind: str) -> str:
    return {"seconds": "time"}.get(kind, str(kind))


def _figures(pair: Pair) -> str:
    left, right = pair.left, pair.right
    if left is None or right is None:
        return ""
    told = f", {left.outcome or 'open'} before, now {right.outcome or 'open'}" if left.outcome != right.outcome else ""
    if "seconds" in pair.kinds:
        told += f", {seconds(left.seconds)} before, now {seconds(right.seconds)}"
    return told


def answer(found: RunDiff) -> str:
    """Return the last line: whether they are equal in all that matters."""
    slow = sum(pair.kinds == ("seconds",) for pair in found.differing)
    time_told = f"; {plural(slow, 'spawn')} took 3 times as long or as short" if slow else ""
    if found.equal:
        return f"equal in all that matters{time_told}"
    parts = [change.what for change in found.changes]
    if found.telling:
        parts.append(plural(len(found.telling), "spawn"))
    if found.ending:
        parts.append("the end")
    return clean(f"they differ: {', '.join(parts)}{time_told}")


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {clean(line, limit=400)}" for line in lines]


def diff_object(found: RunDiff) -> dict[str, Any]:
    """Return the same for a program: every pair that differs, no value but those of the first."""
    return {
        "version": 1,
        "equal": found.equal,
        "expected": _run_object(found.left),
        "got": _run_object(found.right),
        "changes": [
            {"what": change.what, "expected": change.left, "got": change.right, "lines": list(change.lines)}
            for change in found.changes
        ],
        "spawns": {"same": found.same, **found.counts},
        "first": None if found.first is None or found.first_pair is None else {
            **_pair_object(found.first_pair),
            "label": found.first.label or None,
            "lines": [{"kind": str(kind), "line": line} for kind, line in found.first.lines],
        },
        "differing": [_pair_object(pair) for pair in found.differing],
        "ending": list(found.ending),
        "answer": answer(found),
    }  # fmt: skip


def _run_object(setup: Setup) -> dict[str, Any]:
    return {"run": setup.run, "script": setup.submitted.get("script"), "state": setup.state}


def _pair_object(pair: Pair) -> dict[str, Any]:
    one = pair.left or pair.right
    assert one is not None
    return {
        "agent": one.agent,
        "line": one.line,
        "kinds": [str(kind) for kind in pair.kinds],
        **{
            whose: None if spawn is None else {
                "spawn": spawn.n, "outcome": spawn.outcome or None, "seconds": spawn.seconds,
                "called": spawn.called or None,
            }
            for whose, spawn in (("expected", pair.left), ("got", pair.right))
        },
    }  # fmt: skip
