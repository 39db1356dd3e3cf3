"""A live run is shown in few lines, with counts that are right at every event."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from runner.cli.board import KEPT_FAILURES, Board
from runner.cli.live import SHOWN_AGENTS, LiveView, drawn
from runner.cli.plain import PlainView, status_line
from runner.events import fold
from tests.unit.events_by_hand import RUN, Told


class Lines:
    """A stderr and a clock that moves when told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.now = 100.0
        self.view = PlainView(self.said.append, lambda: self.now)

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.view.tick()


def two_agents() -> Told:
    told = Told()
    told.submitted()
    told.started()
    for n in range(1, 6):
        told.spawned(n, "research" if n < 4 else "summarise", label="acme" if n == 2 else None)
    for n in (1, 2, 4):
        told.attempted(n)
    told.settled(1)
    told.settled(2, "timed_out", message="no answer within 60 s")
    told.settled(5, "denied", message='agent "summarise" is not in the policy')
    return told


def board_of(told: Told) -> Board:
    board = Board()
    for event in told.events:
        board.apply(event)
    return board


def test_the_status_line_tells_each_agent_by_what_its_spawns_do():
    assert status_line(board_of(two_agents())) == ("research: 1 ok, 1 failed, 1 queued; summarise: 1 running, 1 denied")


def test_the_boards_counts_agree_with_the_fold_of_the_same_events():
    told = two_agents()
    told.attempted(3)
    told.attempt_failed(3)
    pausing = board_of(told)
    assert (pausing.running, fold(told.events).counts()["queued"]) == (1, 1)
    assert sum(count.queued for count in pausing.agents.values()) == 1
    told.attempted(3, attempt=2)
    told.settled(3)
    told.settled(4)
    counts = fold(told.events).counts()
    agents = board_of(told).agents.values()

    assert sum(count.ok for count in agents) == counts["ok"] == 3
    assert sum(count.failed for count in agents) == counts["timed_out"] == 1
    assert sum(count.denied for count in agents) == counts["denied"] == 1
    assert sum(count.total for count in agents) == sum(counts.values())
    assert board_of(told).running == 0


def test_plain_lines_tell_the_run_its_output_and_its_failures_at_once():
    lines = Lines()
    for event in two_agents().events:
        lines.view.see(event)
    told = Told()
    lines.view.see(told.printed("looked at \x1b[31m3\x1b[0m\nvendors\n", cost=1.5, why="dear"))

    assert lines.said == [
        f"run {RUN}: vendors under policy demo",
        'spawn 2 research "acme": timed_out: no answer within 60 s',
        'spawn 5 summarise: denied: agent "summarise" is not in the policy',
        "| looked at 3",
        "| vendors  cost=1.5  why=dear",
    ]


def test_plain_lines_name_what_a_weaker_sandbox_lacks():
    lines = Lines()
    lines.view.see(Told().sandboxed(kind="process", missing=("no cgroup", "no namespaces")))

    assert lines.said == ["sandbox process holds less than it could: no cgroup; no namespaces"]


def test_the_status_is_said_at_most_once_a_second_and_only_when_it_changed():
    lines = Lines()
    told = Told()
    lines.view.see(told.spawned(1))
    lines.after(0.5)
    assert lines.said == []
    lines.after(0.5)
    assert lines.said == ["   1.0 s  research: 1 queued"]
    lines.after(5.0)
    assert len(lines.said) == 1
    lines.view.see(told.attempted(1))
    lines.after(0.1)
    assert lines.said[1:] == ["   6.1 s  research: 1 running"]


@pytest.mark.parametrize("outcome", ["ok", "failed"])
def test_ten_thousand_spawns_are_a_handful_of_lines(outcome):
    lines = Lines()
    told = Told()
    for n in range(1, 10_001):
        for event in (told.spawned(n), told.attempted(n), told.settled(n, outcome, message="no")):
            lines.view.see(event)
        lines.after(0.0005)

    assert len(lines.said) <= 5 + (KEPT_FAILURES + 1 if outcome == "failed" else 0)
    assert lines.view.board.agents["research"].total == 10_000


def test_a_flood_in_one_print_is_cut():
    lines = Lines()
    lines.view.see(Told().printed("x\n" * 1000 + "y" * 100_000))

    assert len(lines.said) == 21
    assert lines.said[-1] == "| and 981 more lines"


def rendered(table: object, width: int = 100) -> str:
    file = io.StringIO()
    Console(file=file, width=width, no_color=True).print(table)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def test_the_drawn_view_is_one_line_per_agent_below_the_time():
    board = board_of(two_agents())

    assert rendered(drawn(board, 3.21)) == "\n".join(
        [
            "vendors      3.2 s  5 spawns   1 at once",
            "  research   1 ok              1 failed             1 queued",
            "  summarise         1 running             1 denied",
        ]
    )


def test_the_drawn_view_fits_a_terminal_whatever_an_agent_is_called():
    told = Told()
    for n in range(1, 41):
        told.spawned(n, f"agent{n}\x1b[2J[red]")
    shown = rendered(drawn(board_of(told), 1.0))

    assert len(shown.splitlines()) == SHOWN_AGENTS + 2
    assert "\x1b" not in shown
    assert "agent1[red]" in shown
    assert "25 more agents" in shown


def test_the_live_view_prints_what_happened_above_and_leaves_nothing_behind():
    file = io.StringIO()
    view = LiveView(Console(file=file, force_terminal=True, width=80), lambda: 1.0)
    for event in two_agents().events:
        view.see(event)
        view.tick()
    view.see(Told().printed("the last words"))
    view.close()

    assert "spawn 2 research" in file.getvalue()
    assert "| the last words" in file.getvalue()
    assert file.getvalue().rpartition("\x1b[?25h")[1], "the cursor is shown again"


def test_the_live_view_draws_once_a_tick_however_much_is_printed():
    file = io.StringIO()
    view = LiveView(Console(file=file, force_terminal=True, width=80), lambda: 1.0)
    told = Told()
    for n in range(5_000):
        view.see(told.printed(f"line {n}"))
    drawn_before = file.getvalue().count("at once")
    view.tick()

    assert file.getvalue().count("at once") - drawn_before <= 2
    assert "line 0\n" in file.getvalue().replace("\r", "")
    assert "line 4999\n" in file.getvalue().replace("\r", "")
