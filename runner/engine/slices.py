"""What a run within a run may use: a slice of what is left of the outer one, held while it runs, given back unused.

    wall            the least of: its policy's, the attempt's timeout, what is left of the outer run's
    spawns, bytes   its share (policy.nested), and not more than is left; the outer script cannot use what is held
    parallel        the slot of the attempt that waits for it, and of its share what is free now
    cost, tokens    what a call of the script agent reserves from the outer budget
    cpu, memory     each guest has its own; its policy gives no more than the outer one does

Nothing is used twice: what the outer run and all runs within it use together is within the outer limits at any time.
The guests of nested runs are counted for all runs of a process (guests).
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from runner.errors import AgentFault
from runner.models import Limits, OutcomeKind
from runner.session import Held, Session

if TYPE_CHECKING:
    from runner.broker import Broker

_WORDS = {"spawns": "spawns", "bytes_in": "bytes_in", "bytes_out": "bytes_out", "log_bytes": "logged"}


class Slice:
    """A part of the limits of a live run."""

    def __init__(self, limits: Limits, held: Held, session: Session, broker: Broker, lent: int) -> None:
        self.limits = limits
        self._held = held
        self._session = session
        self._broker = broker
        self._lent = lent

    def give_back(self, used: Held) -> None:
        """The run has ended: what it did not use is the outer run's again."""
        for one in fields(Held):
            now = getattr(self._session.held, one.name) - getattr(self._held, one.name) + getattr(used, one.name)
            setattr(self._session.held, one.name, now)
        self._broker.attempts.turns.returned(self._lent)


def take_slice(
    outer: Limits, inner: Limits, session: Session, broker: Broker, *, agent: str, seconds: float, spawns: int | None
) -> Slice:
    """Hold a part of what is left of a run. `seconds` is what is left of its wall time and of the attempt; `spawns` is
    what the inner script asks for at most, where the check could tell.

    Raises AgentFault: nothing is left of one limit.
    """
    left = left_of(outer, session)
    wanted = replace(inner, spawns=inner.spawns if spawns is None else min(inner.spawns, max(1, spawns)))
    held = Held(**{one.name: min(getattr(left, one.name), getattr(wanted, one.name)) for one in fields(Held)})
    for one in fields(Held):
        if getattr(held, one.name) <= 0:
            message = f'agent "{agent}" could not begin its run: no {_WORDS[one.name]} are left of this one'
            raise AgentFault(OutcomeKind.LIMIT_REACHED, message)
    lent = broker.attempts.turns.lend(inner.parallel_spawns - 1)
    add(session.held, held)
    limits = replace(
        inner, wall_seconds=min(inner.wall_seconds, max(0.001, seconds)), spawns=held.spawns, bytes_in=held.bytes_in,
        bytes_out=held.bytes_out, log_bytes=held.log_bytes, parallel_spawns=1 + lent,
        frame_bytes=min(inner.frame_bytes, held.bytes_in, held.bytes_out),
    )  # fmt: skip
    return Slice(limits, held, session, broker, lent)


def left_of(outer: Limits, session: Session) -> Held:
    """Return what a run has left of its limits."""
    used = used_by(session)
    return Held(**{one.name: getattr(outer, one.name) - getattr(used, one.name) for one in fields(Held)})


def used_by(session: Session) -> Held:
    """Return what a run has used so far, and what runs within it hold or have used."""
    used = Held(session.spawned, session.bytes_in, session.bytes_out, session.log_bytes)
    add(used, session.held)
    return used


def add(to: Held, more: Held) -> None:
    """Add to what is held."""
    for one in fields(Held):
        setattr(to, one.name, getattr(to, one.name) + getattr(more, one.name))
