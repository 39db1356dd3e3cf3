"""What the revoker holds, and what it does about each message and at the end of its host.

A token is held from the moment its bytes are here, before they are compared and before the host has them, until it is
revoked, forgotten or expired. When the host is gone, whatever is held is revoked, again and again for END_SECONDS.

Not here: pipes and processes (revoker), how a server is asked (exchange).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from runner.clock import Clock
from runner.credentials import revoker_wire as wire
from runner.credentials.answer import MAX_SKEW_SECONDS, Ask, Granted
from runner.credentials.exchange import AuthorizationServer, Refused
from runner.credentials.spool import CONFIRMED, FAILED, TOLD, Outcome, Spool
from runner.models import Token
from runner.seams import NotRevoked

# What is under way when the host dies may take so long: a request's own bound.
FLIGHT_SECONDS = 10.0
END_SECONDS = 60.0
# One round for the host: it decides itself when to ask again.
ROUND_TRIES = 2
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0
# A record that a host did not write within so long after it had heard, it does not write.
TOLD_SECONDS = 10.0
_PARALLEL = 24
_SWEEP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """A server at which tokens are ended, and how many at once: one that hangs must not hold up another."""

    server: AuthorizationServer
    max_seconds: float
    lane: asyncio.Semaphore


@dataclass(slots=True)
class Held:
    """What came of one order, and is out."""

    at: Place
    run: str
    ends: float
    """Epoch seconds: when it expires by itself."""
    tokens: tuple[Token, ...] = field(default=(), repr=False)


class Keeper:
    """Holds tokens, answers a host, and revokes what is left. One event loop."""

    def __init__(self, tell: Callable[[wire.FromRevoker], object], spool: Spool, clock: Clock) -> None:
        self._tell = tell
        self._spool = spool
        self._clock = clock
        self._places: dict[str, Place] = {}
        self._held: dict[str, Held] = {}
        self._flights: dict[str, asyncio.Task[None]] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._abandoned: set[str] = set()
        self._told: dict[str, tuple[float, Outcome]] = {}
        self._gone = False
        self._until = 0.0
        self._swept_at = clock.monotonic()
        self.spool_failed = False
        """An outcome could not be written: nobody will know of it."""

    def take(self, message: wire.FromHost) -> None:
        """Do what the host says; what takes time goes on by itself."""
        match message:
            case wire.Register():
                self._register(message)
            case wire.Issue():
                self._sweep()
                self._begin(self._flights, message.id, self._issue(message))
            case wire.Revoke(id=order):
                self._begin(self._ending, order, self._revoke(order, _going(self._ending, order)))
            case wire.Abandon(id=order):
                if _going(self._flights, order):
                    self._abandoned.add(order)
                else:
                    self._end_soon(order)
            case wire.Hold(id=order):
                if (place := self._places.get(message.key)) is not None:
                    ends = self._clock.now() + message.seconds
                    self._held[order] = Held(place, message.run, ends, (Token(message.token),))
            case wire.Forget(id=order):
                self._held.pop(order, None)
                self._told.pop(order, None)
            case wire.Leave():
                self._told.clear()

    async def leave(self) -> None:
        """The host is gone: revoke what is held and what is under way. Returns once all is revoked or given up."""
        self._gone = True
        self._until = self._clock.monotonic() + END_SECONDS
        for place in self._places.values():
            place.server.end()
        self._end_all()
        heard_since = self._clock.monotonic() - TOLD_SECONDS
        await self._write(*(outcome for at, outcome in self._told.values() if at >= heard_since))
        if flights := list(self._flights.values()):
            _, late = await asyncio.wait(flights, timeout=FLIGHT_SECONDS)
            for flight in late:
                flight.cancel()
            await asyncio.wait(flights)
        self._end_all()
        while self._ending:
            await asyncio.wait(list(self._ending.values()))
        for place in self._places.values():
            await place.server.close()

    # --- one order ---------------------------------------------------------------------------

    def _register(self, message: wire.Register) -> None:
        known = self._places.get(message.key)
        if known is not None:
            known.server.renew(message.registration.credential)
            return
        try:
            server = AuthorizationServer(message.registration, clock=self._clock)
        except (ValueError, ArithmeticError):
            # No policy says such a thing; its orders will be refused.
            return
        self._places[message.key] = Place(server, message.registration.max_seconds, asyncio.Semaphore(_PARALLEL))

    async def _issue(self, order: wire.Issue) -> None:
        place = self._places.get(order.key)
        if place is None or order.id in self._held:
            self._tell(wire.TokenRefused(order.id, "the order cannot be understood: a defect", False))
            return
        held = Held(place, order.run, self._clock.now() + place.max_seconds)

        def hold(tokens: tuple[Token, ...]) -> None:
            held.tokens = tokens
            self._held[order.id] = held

        try:
            granted = await place.server.issue(_ask(order), on_tokens=hold)
        except Refused as error:
            held.tokens = error.left
            await self._refused(order, str(error), may_be_out=error.may_be_out)
        except Exception as error:
            # A defect of ours. The host must not wait for ever, and what is held is revoked below.
            await self._refused(order, f"the revoker failed with {type(error).__name__}", may_be_out=True)
        else:
            self._granted(order, held, granted)
        if self._gone or order.id in self._abandoned:
            self._end_soon(order.id)
        self._abandoned.discard(order.id)

    async def _refused(self, order: wire.Issue, why: str, *, may_be_out: bool) -> None:
        self._tell(wire.TokenRefused(order.id, why, may_be_out))
        if order.id in self._held and self._held[order.id].tokens:
            self._abandoned.add(order.id)
            return
        self._held.pop(order.id, None)
        if may_be_out and (self._gone or order.id in self._abandoned):
            await self._write(Outcome(order.id, order.run, self._clock.now(), FAILED, why))

    def _granted(self, order: wire.Issue, held: Held, granted: Granted) -> None:
        text = granted.token.reveal()
        if any(one.reveal() == text for other in self._held.values() if other is not held for one in other.tokens):
            # It is the other order's: to revoke it here would end it there.
            del self._held[order.id]
            self._tell(wire.TokenRefused(order.id, "the server gave the same token to two orders", False))
            return
        held.ends = self._clock.now() + granted.seconds
        self._tell(wire.TokenIssued(order.id, text, granted.seconds, granted.jti, granted.stated))

    # --- its end -----------------------------------------------------------------------------

    async def _revoke(self, order: str, before: asyncio.Task[None] | None) -> None:
        """Revoke one token for the host, in one bounded round, once what is going on for it is over."""
        if going := [task for task in (_going(self._flights, order), before) if task is not None]:
            await asyncio.wait(going)
        held = self._held.get(order)
        if held is None:
            self._tell(wire.Failed(order, "the revoker does not hold it"))
            return
        try:
            how = await self._round(held)
        except NotRevoked as error:
            self._tell(wire.Failed(order, str(error)))
            if self._gone and order in self._held:
                await self._end(order)
            return
        outcome = self._over(order, held, how)
        if self._gone:
            await self._write(outcome)
        else:
            self._told[order] = (self._clock.monotonic(), outcome)
            self._tell(wire.Revoked(order, CONFIRMED if how == CONFIRMED else TOLD))

    async def _round(self, held: Held) -> str:
        for _ in range(ROUND_TRIES - 1):
            try:
                return await _revoke_all(held)
            except NotRevoked:
                await self._clock.sleep(FIRST_PAUSE_SECONDS)
        return await _revoke_all(held)

    async def _end(self, order: str) -> None:
        """Revoke one token for nobody: until it is done, it has expired, or the time is over."""
        held, now = self._held[order], self._clock.monotonic()
        until = self._until if self._gone else now + END_SECONDS
        until = min(until, now + held.ends + MAX_SKEW_SECONDS - self._clock.now())
        pause, how, why = FIRST_PAUSE_SECONDS, FAILED, "there was no time left"
        async with held.at.lane:
            while how == FAILED and (left := until - self._clock.monotonic()) > 0:
                try:
                    async with asyncio.timeout(max(FLIGHT_SECONDS, left)):
                        how, why = await _revoke_all(held), ""
                except (NotRevoked, TimeoutError) as error:
                    why = str(error) or why
                    await self._clock.sleep(min(pause, max(0.0, left)))
                    pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        await self._write(self._over(order, held, how, why))

    def _over(self, order: str, held: Held, how: str, why: str = "") -> Outcome:
        self._held.pop(order, None)
        return Outcome(order, held.run, self._clock.now(), how, why)

    def _end_all(self) -> None:
        for order in self._held:
            if not _going(self._flights, order):
                self._end_soon(order)

    def _end_soon(self, order: str) -> None:
        if order in self._held and not _going(self._ending, order):
            self._begin(self._ending, order, self._end(order))

    async def _write(self, *outcomes: Outcome) -> None:
        if not outcomes:
            return
        try:
            # In a thread: a disk that is slow must hold up no revocation.
            await asyncio.to_thread(self._spool.append, outcomes)
        except OSError:
            self.spool_failed = True

    def _begin(self, going: dict[str, asyncio.Task[None]], order: str, doing: Coroutine[Any, Any, None]) -> None:
        """Let something go on by itself."""
        task = going[order] = asyncio.get_running_loop().create_task(doing)

        def ended(_: asyncio.Task[None]) -> None:
            if going.get(order) is task:
                del going[order]

        task.add_done_callback(ended)

    def _sweep(self) -> None:
        """Let go of what has expired by every clock."""
        now = self._clock.monotonic()
        if now - self._swept_at < _SWEEP_SECONDS:
            return
        self._swept_at = now
        self._told = {order: found for order, found in self._told.items() if found[0] >= now - TOLD_SECONDS}
        over = self._clock.now() - MAX_SKEW_SECONDS
        for order in [order for order, held in self._held.items() if held.ends < over]:
            if not _going(self._ending, order):
                del self._held[order]


def _going(tasks: dict[str, asyncio.Task[None]], order: str) -> asyncio.Task[None] | None:
    """Return what is going on for an order. A task that ended stands there until the loop has turned once more."""
    task = tasks.get(order)
    return None if task is None or task.done() else task


async def _revoke_all(held: Held) -> str:
    """Revoke what came of one order. Return CONFIRMED or TOLD. Raises NotRevoked."""
    found = {await held.at.server.revoke(token) for token in held.tokens}
    return CONFIRMED if found <= {CONFIRMED} else TOLD


def _ask(order: wire.Issue) -> Ask:
    subject = Token(order.subject) if order.subject else None
    return Ask(order.scopes, order.audience, order.details, subject, order.subject_type)
