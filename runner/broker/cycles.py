"""Find out at once when a then's value would need the then itself, through whatever else waits for it.

A handle that waits is above those that it needs. Spawns are told after what they need, so only the value that a
then returns can close a circle, and only then is anything searched. Searching all that a handle needs would cost
the whole graph each time: a script that returns a thousand values over a chain of a thousand spawns would take the
host's time for itself. This is the two-way search with levels of Bender, Fineman, Gilbert and Tarjan ("A new
approach to incremental cycle detection and related problems", 2015): backwards no more than STEPS on one level,
then forwards only where levels rise. All searches together cost at most about STEPS for each need ever told.

Not here: who needs what (dataflow), what becomes of the one that closes a circle (thens).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runner.broker.handle import LiveHandle

STEPS = 256
"""About the square root of how many needs a large run has."""


class Levels:
    """The levels of handles that wait. A handle's level is never below that of one that it needs."""

    def __init__(self, lives: Mapping[int, LiveHandle]) -> None:
        self._lives = lives
        self._above: dict[int, int] = {}
        """Levels above 0."""

    def add(self, live: LiveHandle) -> None:
        """Take a handle that waits and that nothing needs yet."""
        if self._above and live.needs is not None:
            level = max((self._above.get(n, 0) for n in live.needs.handles), default=0)
            if level:
                self._above[live.n] = level

    def closes_circle(self, live: LiveHandle, needed: Iterable[int]) -> bool:
        """Say whether one of these needs `live` already, itself or through others: then `live` must not need it.

        Ask before `live.needs` are the new ones. After True `live` must fail, and with it what needs it.
        """
        clear: set[int] = set()
        return any(n == live.n or self._needs(n, live, clear) for n in needed)

    def _needs(self, n: int, live: LiveHandle, clear: set[int]) -> bool:
        """As above, for one of them. `clear` are handles of the level of `live` whose needs were all looked at."""
        level, own = self._above.get(n, 0), self._above.get(live.n, 0)
        if level < own or n in clear:
            return False
        seen, complete = self._below(n, level, clear)
        if live.n in seen:
            return True
        if complete and level == own:
            clear |= seen
            return False
        self._above[live.n] = level if complete else level + 1
        return self._raised(live, seen if complete else {n})

    def _below(self, n: int, level: int, clear: set[int]) -> tuple[set[int], bool]:
        """Return what a handle needs on its own level, itself included, and whether that is all of it but `clear`."""
        seen, pending, steps = {n}, [n], 0
        while pending:
            needs = self._lives[pending.pop()].needs
            for needed in needs.handles if needs is not None else ():
                steps += 1
                if steps > STEPS:
                    return seen, False
                if needed in seen or needed in clear or self._lives[needed].settled:
                    continue
                if self._above.get(needed, 0) == level:
                    seen.add(needed)
                    pending.append(needed)
        return seen, True

    def _raised(self, live: LiveHandle, below: set[int]) -> bool:
        """Lift what needs `live` to its level. True when one of `below` is among that: then the circle is closed."""
        pending = [live]
        while pending:
            lower = pending.pop()
            level = self._above[lower.n]
            for upper in lower.dependents or ():
                if upper.settled:
                    continue
                if upper.n in below:
                    return True
                if self._above.get(upper.n, 0) < level:
                    self._above[upper.n] = level
                    pending.append(upper)
        return False
