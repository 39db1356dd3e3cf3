"""What the broker knows of one handle, whoever settles it: an agent's outcome (live) or a then's (thens). Mutable.

A handle settles once and is told once: in an answer, or at once where the guest itself said what became of it. What
it came to is in the journal; here stands where.

Not here: what a spawn or a then has besides (live, thens), the output itself (outputs).
"""

from __future__ import annotations

import json
from array import array
from typing import TYPE_CHECKING

from runner.guest.wire import OK
from runner.models import OutcomeKind

if TYPE_CHECKING:
    from runner.broker.groups import Group

# As Python values a text may take twenty times its size, and a script can ask for thousands at once: what is longer
# is parsed when it is needed, and until then it is in the journal alone.
SMALL_CHARS = 4_096
# A failure is told again by everything that depends on it: a hundred thousand such texts must stay small.
CAUSE_CHARS = 1_000
_RETOLD_CHARS = 300

quote = json.JSONEncoder(ensure_ascii=False).encode

Cause = tuple[int, str, str, int]
"""The failure that came first: handle, kind, message, attempts."""


class Needs:
    """What an unsettled handle waits for. The value that is to be filled is in the journal; a short one is here too."""

    __slots__ = ("handles", "missing", "seq", "told")

    def __init__(self, handles: array[int], seq: int = 0, told: str = "") -> None:
        self.handles = handles
        """The handles whose outcome it needs, each once."""
        self.missing = len(handles)
        """How many of them have not succeeded yet."""
        self.seq = seq
        """The event that holds the value and its fills; 0 while only the guest can say what becomes of it."""
        self.told = told if len(told) <= SMALL_CHARS else ""
        """That event's value, where it is short: reading it back takes some 30 us."""


class LiveHandle:
    """One handle of this run. Slotted: ten thousand may be open."""

    __slots__ = (
        "attempts", "cause", "delivered", "dependents", "groups", "kind", "message", "n", "needs", "open_thens",
        "order", "output_at", "seq", "size",
    )  # fmt: skip

    def __init__(self, n: int) -> None:
        self.n = n
        self.attempts = 0
        """How many attempts there were; of a then none."""
        self.kind = ""
        self.message = ""
        """Why it failed, fit for a model."""
        self.cause: Cause | None = None
        self.order = 0
        """Which handle of the run this was to settle, from 1; 0 while it has not."""
        self.delivered = False
        """It was in an answer, or the guest knew at once: no answer tells it any more."""
        self.seq = 0
        """The event whose value holds its output."""
        self.output_at = 0
        """Where in that value the output begins; it ends one character before the value's end."""
        self.size = 0
        """Bytes of its output as JSON."""
        self.groups: list[Group] | None = None
        """Those that it is in; some may be kept no longer."""
        self.dependents: list[LiveHandle] | None = None
        """Handles that need its outcome."""
        self.open_thens = 0
        """How many thens of it are open."""
        self.needs: Needs | None = None
        """What it waits for itself, while it does."""

    @property
    def settled(self) -> bool:
        return self.order > 0

    @property
    def succeeded(self) -> bool:
        return self.kind == OK

    @property
    def is_open_then(self) -> bool:
        """Whether the guest is to say what becomes of it, and has not yet."""
        return False

    @property
    def named(self) -> str:
        """Who it is, in messages."""
        raise NotImplementedError

    def root(self) -> Cause:
        """Return the failure that came first: its own, unless it failed because of another's."""
        if self.cause is not None and self.kind == OutcomeKind.DEPENDENCY_FAILED:
            return self.cause
        return self.n, self.kind, shortened(self.message, CAUSE_CHARS), self.attempts

    def failure_text(self) -> str:
        """Return its failure as an answer tells it: JSON with message, attempts and cause."""
        cause = f',"cause":{cause_text(self.cause)}' if self.cause is not None else ""
        return f'{{"attempts":{self.attempts}{cause},"message":{quote(self.message)}}}'

    def failure_value(self, detail: str = "") -> str:
        """Return its failure as the journal's value: keys in order."""
        parts = [f'"cause":{cause_text(self.cause)}'] if self.cause is not None else []
        if detail:
            parts.append(f'"detail":{quote(detail)}')
        return "{" + ",".join([*parts, f'"message":{quote(self.message)}']) + "}"


def cause_text(cause: Cause) -> str:
    handle, kind, message, attempts = cause
    return f"[{handle},{quote(kind)},{quote(message)},{attempts}]"


def needed_message(named: str, cause: Cause, cause_named: str) -> str:
    """Say why something was not done that needed what failed first."""
    _, kind, message, _ = cause
    return f"{named} needs the output of {cause_named}, which is not there: {kind}: {shortened(message, _RETOLD_CHARS)}"


def shortened(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 4] + " ..."
