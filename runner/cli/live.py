"""Show a live run in a terminal: one line per agent that counts, what the script prints scrolling above.

rich draws; the caller ticks. There is no drawing thread: a host that forks guests keeps to one thread.
When it closes, the counting lines vanish and the summary takes their place.

Not here: counting (board), what an event says in words (plain).
"""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from runner.cli.board import AgentCount, Board
from runner.cli.plain import event_lines
from runner.cli.text import plural, seconds
from runner.events import Event
from runner.printable import clean

# Agents beyond these are summed in one line: the view must fit a terminal.
SHOWN_AGENTS = 15


class LiveView:
    """Draws on a terminal. Feed it every event, and `tick` it a few times a second."""

    def __init__(self, console: Console, monotonic: Callable[[], float]) -> None:
        self.board = Board()
        self._monotonic = monotonic
        self._begun = monotonic()
        self._unsaid: list[str] = []
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False,
            get_renderable=self._drawn,
        )  # fmt: skip
        self._live.start()

    def see(self, event: Event) -> None:
        self.board.apply(event)
        self._unsaid += event_lines(event, self.board)

    def tick(self) -> None:
        # All that was said since the last picture at once: a print above the picture draws it anew.
        if self._unsaid:
            self._live.console.print(Text("\n".join(self._unsaid)), soft_wrap=True)
            self._unsaid.clear()
        self._live.refresh()

    def close(self) -> None:
        self.tick()
        self._live.stop()

    def _drawn(self) -> Table:
        return drawn(self.board, self._monotonic() - self._begun)


def drawn(board: Board, elapsed: float) -> Table:
    """Return the counting lines: a head with the time and how much runs at once, then one line per agent."""
    table = Table.grid(padding=(0, 2))
    spawns = sum(count.total for count in board.agents.values())
    place = f" in {board.sandbox}" if board.sandbox else ""
    table.add_row(Text(f"{clean(board.script, limit=40)}{place}", style="bold"), Text(seconds(elapsed), style="bold"),
                  Text(plural(spawns, "spawn")), Text(f"{board.running:,} at once"))  # fmt: skip
    for name, count in _rows(board.agents):
        # As Text: in a str rich would read "[red]" in an agent's name as its markup.
        table.add_row(Text(f"  {name}"), *_cells(count))
    return table


def _rows(agents: dict[str, AgentCount]) -> list[tuple[str, AgentCount]]:
    named = [(clean(name, limit=40), count) for name, count in agents.items()]
    if len(named) <= SHOWN_AGENTS:
        return named
    rest = AgentCount()
    for _, count in named[SHOWN_AGENTS:]:
        for part in ("queued", "running", "ok", "failed", "denied"):
            setattr(rest, part, getattr(rest, part) + getattr(count, part))
    return [*named[:SHOWN_AGENTS], (f"{len(named) - SHOWN_AGENTS} more agents", rest)]


def _cells(count: AgentCount) -> list[Text]:
    return [
        _cell(count.ok, "ok", "green"),
        _cell(count.running, "running", "cyan"),
        _cell(count.failed, "failed", "red"),
        _cell(count.denied, "denied", "magenta"),
        _cell(count.queued, "queued", "dim"),
    ]


def _cell(number: int, word: str, style: str) -> Text:
    return Text(f"{number:,} {word}", style=style) if number else Text("")
