"""What a person reads of a run, as whole text: after it, while it lives, and later from its journal."""

from __future__ import annotations

import time

import pytest

from runner.cli.board import Board
from runner.cli.journal import event_line, event_object
from runner.cli.runs import row_cells
from runner.cli.story import story
from runner.cli.summary import source_lines, summary
from runner.engine.envelope import result_of
from runner.events import RunView, fold
from runner.models import Finding, Script, Severity, Usage
from runner.seams import RunRow
from tests.unit.events_by_hand import RUN, START, Told

SOURCE = """rows = inputs["rows"]
def pick(row):
    return int(row["\u202eprice"])
result = [pick(row) for row in rows]
"""
USAGE = Usage(
    wall_seconds=4.2, sequential_seconds=61.0, attempts=3, parallel_peak=2, output_bytes=1_200_000,
    dropped_bytes=40_000, result_bytes=4_100,
)  # fmt: skip
WARNING = {
    "rule": "unused-handle", "severity": "warning", "line": 3, "column": 5, "text": "spawn(", "message": "never used",
    "fix": "gather it",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def view_of(told: Told) -> RunView:
    return fold(told.events)


def told_story(told: Told, *, at: float) -> str:
    return "\n".join(story(view_of(told), told.events[0].content(), now=START + at))


def begun() -> Told:
    told = Told()
    told.submitted(SOURCE, {"rows": [1, 2]})
    told.checked([WARNING])
    told.sandboxed(hardening=("seccomp-lock", "docker-seccomp"))
    told.started(at=1)
    told.spawned(1, label="acme", at=1)
    told.spawned(2, at=1)
    told.spawned(3, "summarise", at=1)
    told.attempted(1, at=1)
    told.attempted(2, at=2)
    return told


def ended(state: str = "done", **ending: object) -> Told:
    told = begun()
    told.settled(1, at=4)
    told.settled(2, "failed", message="the service said \x1b[31mno\x1b[0m", at=3)
    told.attempted(3, at=3)
    told.settled(3, at=4)
    told.printed("half way\n")
    told.finished(state, usage=USAGE, at=5.2, **ending)
    return told


def test_the_story_of_a_done_run_tells_everything_once():
    assert (
        told_story(ended(result={"best": "acme"}), at=10)
        == f"""\
run {RUN}: done in 4.2 s
asked at 2025-06-15 15:06:40
script vendors, sha256 aaaaaaaaaaaa
policy demo, sha256 bbbbbbbbbbbb
inputs {{"rows":[1,2]}}
trace {"f" * 32}
sandbox docker, Python 3.11, lock verified, image sha256:1234, held by seccomp-lock, docker-seccomp
check: accepted with 1 warning
  vendors:3:5: warning: never used [unused-handle]
    fix: gather it
spawns: 3
  agent research: 1 ok, 1 failed
  agent summarise: 1 ok
slowest:
  3.0 s  spawn 1 research "acme"
  1.0 s  spawn 2 research
  1.0 s  spawn 3 summarise
did not end well:
  spawn 2 research: failed: the service said no
printed: 1 text
  | half way
result:
  {{
    "best": "acme"
  }}
time: 4.2 s; the same 3 attempts one after the other: 61.0 s, 14.5 times as long; at most 2 at once
context: 1.2 MB (about 310,000 tokens) of agents' results stayed out of the caller's context, 4.1 KB (about 1,025 \
tokens) came back; a token is taken as 4 bytes
1 of 3 spawns did not end well: 1 failed"""
    )


def test_the_story_of_a_live_run_begins_with_what_it_waits_for():
    told = begun()
    told.waited([1, 2, 3], until=START + 61, at=1)

    assert told_story(told, at=10).splitlines()[:5] == [
        f"run {RUN}: running for 9.0 s",
        "waits at line 4 for 3 of 3 spawns, 3 of them open, since 15:06:41 (9.0 s), until 15:07:41 at the latest",
        '  spawn 1 research "acme": running for 9.0 s',
        "  spawn 2 research: running for 8.0 s",
        "  spawn 3 summarise: queued for 9.0 s",
    ]


def test_the_story_of_a_live_run_tells_what_its_handles_wait_for():
    told = begun()
    told.events.pop()  # The second attempt has not begun.
    told.attempt_failed(1, backoff=2.0, at=3)
    told.attempted(3, at=1)
    told.attempt_failed(3, agent="summarise", following="fallback", at=2)
    told.attempted(3, 2, "archive", at=2)
    told.derived(4, 1, at=2)
    told.spawned(5, "summarise", needs=(1, 2, 3, 4, 4), at=2)
    told.spawned(6, "summarise", needs=(1,), at=2)
    told.settled(2, at=4)
    told.waited([1, 3, 4, 5, 6], at=4)

    assert told_story(told, at=10).splitlines()[1:7] == [
        "waits at line 4 for 5 of 5 handles, 5 of them open, since 15:06:44 (6.0 s), until they settle",
        '  spawn 1 research "acme": attempt 1 failed; another one follows',
        "  spawn 3 summarise: running for 9.0 s, attempt 2 of archive",
        "  then 4 of handle 1: not settled for 8.0 s",
        "  spawn 5 summarise: waits for spawn 1, spawn 3, then 4 (8.0 s)",
        "  spawn 6 summarise: waits for spawn 1 (8.0 s)",
    ]


def test_the_story_tells_thens_and_who_was_tried_again():
    told = begun()
    told.attempt_failed(1, following="fallback", at=3)
    told.attempted(1, 2, "archive", at=3)
    told.settled(1, agent="archive", attempts=2, at=4)
    told.derived(4, 1, at=4)
    told.returned(4, fills=True, at=4)
    told.then_settled(4, "dependency_failed", message="no such part", at=4)
    told.derived(5, 1, 2, 3, 4, at=4)
    told.returned(5, {"x": 1}, at=4)
    lines = told_story(told, at=10).splitlines()
    begin = lines.index("took more than one attempt:")

    assert lines[begin : begin + 5] == [
        "took more than one attempt:",
        '  spawn 1 research "acme": 2 attempts, the last of archive',
        "thens: 2",
        "did not end well:",
        "  then 4 of handle 1: dependency_failed: no such part",
    ]


def test_a_sleeping_script_waits_without_handles():
    told = begun()
    told.waited([], until=START + 61, at=1)

    assert told_story(told, at=10).splitlines()[1] == "waits at line 4: sleeps since 15:06:41 (9.0 s), until 15:07:41"


@pytest.mark.parametrize(
    ("events", "lines"),
    [
        (1, [f"run {RUN}: waiting for a sandbox, for 10.0 s", "asked at 2025-06-15 15:06:40"]),
        (9, [f"run {RUN}: running for 9.0 s", "waits for nothing: the script computes"]),
    ],
)
def test_a_run_that_waits_for_no_spawn_says_what_it_does(events, lines):
    told = begun()
    del told.events[events:]

    assert told_story(told, at=10).splitlines()[:2] == lines


def test_a_run_whose_host_is_gone_is_not_shown_as_alive():
    told = begun()
    told.waited([1], at=2)
    view = view_of(told)
    view.interrupt()
    text = "\n".join(story(view, told.events[0].content(), now=START + 10))

    assert text.startswith(f"run {RUN}: interrupted: its host is gone; it was last heard of at 15:06:42\n")
    assert "waits" not in text


def test_a_failed_script_shows_its_line_with_a_marker_and_the_way_there():
    told = ended(
        "failed", kind="ValueError", line=3, message="invalid literal: 'x'", trace=[[4, "<module>"], [3, "pick"]]
    )

    assert (
        "\n".join(told_story(told, at=10).splitlines()[-8:-2])
        == """\
ValueError: invalid literal: 'x'
  at vendors:3
    3 | return int(row["price"])
      | ^^^^^^^^^^^^^^^^^^^^^^^^
    called from line 4, in <module>
time: 4.2 s; the same 3 attempts one after the other: 61.0 s, 14.5 times as long; at most 2 at once"""
    )


@pytest.mark.parametrize("line", [0, 2, 99])
def test_a_line_that_is_not_in_the_script_is_not_shown(line):
    assert source_lines(Script("s", b"x = 1\n\n"), line) == []


def test_lines_are_counted_as_python_counts_them():
    script = Script("s", "a = '\u2028\x0c'\r\nb = 2\rc = 3\n".encode())

    assert source_lines(script, 3) == ["    3 | c = 3", "      | ^^^^^"]


@pytest.mark.parametrize(
    ("code", "column", "width", "shown", "marker"),
    [
        ("    x = f(1)", 1, 0, "x = f(1)", "^^^^^^^^"),
        ("    x = f(1)", 9, 1, "    x = f(1)", "        ^"),
        ("    x = f(1)", 5, 99, "    x = f(1)", "    ^^^^^^^^"),
        ("\tx = \x1b[31m1", 6, 1, " x = 1", "     ^"),
        ("x = 1", 40, 3, "x = 1", "     ^"),
    ],
)
def test_the_marker_stands_under_what_it_marks(code, column, width, shown, marker):
    assert source_lines(Script("s", code.encode()), 1, column, width) == [f"    1 | {shown}", f"      | {marker}"]


def test_a_stopped_run_says_by_whom():
    told = begun()
    told.finished("stopped", kind="stopped", message="stopped by Ctrl-C", usage=USAGE, at=3)

    assert "stopped by Ctrl-C" in told_story(told, at=10).splitlines()


def test_the_summary_ends_with_the_failed_spawns():
    told = ended(result={"best": "acme"})
    board = Board()
    for event in told.events:
        board.apply(event)
    result = result_of(view_of(told))

    assert (
        "\n".join(summary(result, board, Script("vendors", SOURCE.encode()), next_command=f"runner show {RUN}"))
        == f"""\
vendors:3:5: warning: never used [unused-handle]
  fix: gather it
done in 4.2 s: run {RUN}
  agent research: 1 ok, 1 failed
  agent summarise: 1 ok
  time: 4.2 s; the same 3 attempts one after the other: 61.0 s, 14.5 times as long; at most 2 at once
  context: 1.2 MB (about 310,000 tokens) of agents' results stayed out of the caller's context, 4.1 KB (about 1,025 \
tokens) came back; a token is taken as 4 bytes
next: runner show {RUN}
1 of 3 spawns did not end well: 1 failed"""
    )


def test_the_summary_of_a_rejected_script_is_its_findings_and_no_repetition_of_them():
    told = Told()
    told.submitted(SOURCE)
    told.checked(
        [{**WARNING, "severity": "error", "rule": "import", "message": 'module "os" is not allowed', "text": "int"}]
    )
    told.finished("rejected", kind="import", line=3, message='module "os" is not allowed')
    lines = summary(
        result_of(view_of(told)), Board(), Script("vendors", SOURCE.encode()), next_command="runner check v.py"
    )

    assert lines == [
        'vendors:3:5: error: module "os" is not allowed [import]',
        '    3 |     return int(row["price"])',
        "      |     ^^^",
        "  fix: gather it",
        f"rejected: run {RUN}",
        "next: runner check v.py",
    ]


def test_findings_survive_the_journal():
    told = Told()
    told.submitted()
    told.checked([WARNING])

    assert result_of(view_of(told)).findings == (
        Finding("unused-handle", Severity.WARNING, 3, 5, "spawn(", "never used", "gather it"),
    )


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (RunRow(RUN, "vendors", "demo", "done", START, START + 4.2, 1234, False),
         (RUN, "vendors", "done", "1,234", "15:06:40", "4.2 s")),
        (RunRow(RUN, "v\x1b[2J", "demo", "running", START, 0.0, 3, True),
         (RUN, "v", "running", "3", "15:06:40", "10.0 s")),
        (RunRow(RUN, "v", "demo", "interrupted", START, 0.0, 3, False), (RUN, "v", "interrupted", "3", "15:06:40", "")),
    ],
)  # fmt: skip
def test_a_run_is_one_row_of_the_table(row, cells):
    assert row_cells(row, START + 10) == cells


def test_an_event_is_one_clean_line_and_one_object():
    event = Told().settled(7, "failed", message="no\nway \x1b[31m!", at=1.25)

    assert event_line(event) == (
        "     1  15:06:41.250  spawn_settled    "
        'spawn=7  agent=research  outcome=failed  attempts=1  seconds=1.0  bytes=20  message: "no\\nway \\u001b[31m!"'
    )
    assert event_object(event) == {
        "run": RUN, "seq": 1, "kind": "spawn_settled", "at_us": 1_750_000_001_250_000,
        "body": {"spawn": 7, "agent": "research", "outcome": "failed", "attempts": 1, "seconds": 1.0, "bytes": 20},
        "value": {"message": "no\nway \x1b[31m!"}, "value_digest": "d" * 64, "digest": "e" * 64,
    }  # fmt: skip
