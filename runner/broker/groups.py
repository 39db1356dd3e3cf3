"""The groups of handles that a guest waits for, and when a wait is over.

A group holds what was added to it and is in no answer yet. What a wait costs grows with what was added and what has
settled since, never with the group: a loop over a hundred thousand handles that settle one by one stays linear.

The guest chooses the groups. The host keeps the GROUPS_KEPT waited for last, so a handle is in no more than these.

Not here: settling what a wait leaves over, and its answer (broker).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable

from runner.broker.handle import LiveHandle
from runner.clock import Timer
from runner.guest.wire import GROUPS_KEPT, Wait
from runner.seams import Reply


class Group:
    """Handles that are in no answer yet: those still open, and those that have settled."""

    __slots__ = ("kept", "open", "settled", "succeeded")

    def __init__(self) -> None:
        self.kept = True
        self.open: dict[int, LiveHandle] = {}
        self.settled: dict[int, LiveHandle] = {}
        self.succeeded = 0
        """How many of the settled have succeeded."""

    def add(self, handles: Iterable[LiveHandle]) -> None:
        """Add handles that are in no answer yet; one that is in it already stays as it is."""
        for live in handles:
            if not live.settled:
                self.open[live.n] = live
            elif live.n not in self.settled:
                self.settled[live.n] = live
                self.succeeded += live.succeeded
            if live.groups is None:
                live.groups = [self]
            elif self not in live.groups:
                live.groups = [group for group in live.groups if group.kept] + [self]

    def over(self, wait: Wait) -> str:
        """Return why a wait for it is over ("ready", "failed"), or "" while it is not."""
        still = len(self.open)
        if wait.of == "ok":
            if self.succeeded >= wait.need:
                return "ready"
            return "failed" if self.succeeded + still < wait.need else ""
        if len(self.settled) >= wait.need:
            return "ready"
        # Nothing that could settle is left. A sleep has nothing either, and ends by its time.
        return "ready" if not still and (self.settled or wait.until is None) else ""


class Groups:
    """The groups of one run, by the numbers that the guest gave them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Group] = OrderedDict()

    def waited_for(self, number: int) -> Group:
        """Return the group of this number, empty where it is new; the one waited for least lately goes."""
        group = self._kept.get(number)
        if group is None:
            group = self._kept[number] = Group()
            if len(self._kept) > GROUPS_KEPT:
                _, gone = self._kept.popitem(last=False)
                gone.kept, gone.open, gone.settled = False, {}, {}
        self._kept.move_to_end(number)
        return group


def note_settled(live: LiveHandle) -> None:
    """Tell the groups of a handle that it has settled."""
    for group in live.groups or ():
        if group.open.pop(live.n, None) is not None:
            group.settled[live.n] = live
            group.succeeded += live.succeeded


def note_delivered(live: LiveHandle) -> None:
    """Take a handle out of its groups: it has settled, and the guest knows or is about to."""
    for group in live.groups or ():
        group.open.pop(live.n, None)
        if group.settled.pop(live.n, None) is not None:
            group.succeeded -= live.succeeded
    live.groups = None
    live.delivered = True


class OpenWait:
    """The wait that is open."""

    __slots__ = ("ended", "ending", "future", "group", "timer", "wait")

    def __init__(self, wait: Wait, group: Group, future: asyncio.Future[Reply]) -> None:
        self.wait = wait
        self.group = group
        self.future = future
        self.timer: Timer | None = None
        self.ending = False
        """It is looked at in a moment, and answered if it is over then."""
        self.ended = ""
        """Why it is over; "" while it is not."""
