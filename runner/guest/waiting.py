"""The one place where a script waits: ask the host until enough of some handles is known.

A `Watch` follows handles of all kinds through the log of deliveries, each delivery once, so that a loop over a
hundred thousand of them costs what they are and not their square. Functions given to `then` run in here: at the
beginning of a call that has to wait, and after each answer.

Not here: what a caller makes of it (gathering, completing), what an outcome is (outcomes).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from runner.guest.conversation import Conversation, Delivered, Group, current
from runner.guest.outcomes import bases, known
from runner.guest.thens import run_ready

if TYPE_CHECKING:
    from runner.guest.handles import Handle


class Watch(Group):
    """Handles that are waited for. `open` maps the numbers that are not delivered to the handles made of them."""

    __slots__ = ("_arrived", "_conversation", "_looked", "plain")

    def __init__(self) -> None:
        super().__init__()
        self._conversation = current()
        self._arrived: list[tuple[int, Handle]] = []
        self._looked = len(self._conversation.log)
        self.plain = True
        """No part or text is among them: the host can count them itself."""

    def add(self, handle: Handle) -> None:
        """Follow this handle; each one once. Raises Unsendable."""
        found = known(self._conversation, handle)
        if found is not None:
            self._arrived.append((found.order, handle))
            return
        if handle._made is None:
            self._follow(handle._n, handle)
            return
        self.plain = False
        for n in bases(handle):
            if n not in self._conversation.delivered:
                self._follow(n, handle)

    def _follow(self, n: int, handle: Handle) -> None:
        there = self.open.get(n)
        if there is None:
            self.open[n] = handle
            self.unsaid.append(n)
        elif type(there) is list:
            there.append(handle)
        else:
            self.open[n] = [there, handle]

    def news(self) -> list[Handle]:
        """Return the handles that became known since the last call, in the order of delivery."""
        found = [handle for _, handle in sorted(self._arrived, key=lambda each: each[0])]
        self._arrived.clear()
        log = self._conversation.log
        for n in log[self._looked :] if self._looked < len(log) else ():
            there = self.open.pop(n, None)
            if there is None:
                continue
            order = self._conversation.delivered[n].order
            for handle in there if type(there) is list else (there,):
                told = known(self._conversation, handle)
                # A text is told by the delivery that decides it, and by no other.
                if told is not None and told.order == order:
                    found.append(handle)
        self._looked = len(log)
        return found


def wait(
    watch: Group,
    missing: Callable[[], int],
    *,
    of: str = "settled",
    until: float | None = None,
    rest: str = "keep",
) -> None:
    """Return once `missing()` is 0 or the clock has reached `until`. What is ready by then has been called.

    Raises RuntimeError inside a function given to `then`, if it would have to wait.
    """
    conversation = current()
    if missing() == 0:
        return
    require_may_wait(conversation)
    run_ready(conversation)
    while (need := missing()) > 0:
        ended = conversation.ask(watch, need, of=of, until=until, rest=rest)
        run_ready(conversation)
        if ended == "timeout":
            return


def require_may_wait(conversation: Conversation) -> None:
    if conversation.inside_then:
        raise RuntimeError(
            "a function given to then() cannot wait: return the handle, or a value with handles in it, "
            "and what comes after goes into another then()"
        )


def outcome(handle: Handle) -> Delivered:
    """Return the handle's outcome; wait for it if it is not told. Raises Unsendable."""
    conversation = current()
    found = known(conversation, handle)
    if found is not None:
        return found
    watch = Watch()
    watch.add(handle)

    def missing() -> int:
        watch.news()
        return 0 if known(conversation, handle) is not None else len(watch.open)

    # A text has failed with the first of its handles, and is there with the last.
    wait(watch, missing, of="settled" if len(watch.open) == 1 else "ok")
    found = known(conversation, handle)
    assert found is not None
    return found


def pause(seconds: float) -> None:
    """Wait until the clock is that much later."""
    conversation = current()
    require_may_wait(conversation)
    until = conversation.now + seconds
    run_ready(conversation)
    group, ended = Group(), ""
    while ended != "timeout":
        ended = conversation.ask(group, 1, until=until)
        run_ready(conversation)
