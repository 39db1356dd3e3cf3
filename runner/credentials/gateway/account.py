"""The account of one attempt: its tokens, the door to its resources, and an event for every request at it.

A use is durable before the request leaves (DESIGN rule 13). Closing is synchronous: from then on nothing is sent, what
is on its way is cut, and the counts of each token are final.

Not here: whether a request may leave (checks), sending it (passage), getting and revoking tokens (ledger).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from runner.errors import PolicyError, StoreError
from runner.events import EventKind
from runner.guest.wire import canonical
from runner.models import Token
from runner.policy.grants import Grant, Part
from runner.policy.model import Reference, Resource
from runner.seams import Door, DoorRequest, DoorResponse, Issued, Subject

if TYPE_CHECKING:
    import httpcore2

    from runner.clock import Clock
    from runner.credentials.gateway.checks import Admitted, RequestRefused
    from runner.credentials.gateway.passage import Answer
    from runner.credentials.gateway.socket import SocketDoor
    from runner.seams import RunJournal

# A hostile agent could fill the journal with requests that are refused: beyond these they are only counted.
MOST_REFUSALS_TOLD = 1_000
MOST_SHOWN_CHARS = 1_024
# Who was refused so often is not a program with a mistake in it: the next ones wait a little.
MOST_HASTY_REFUSALS = 100
REFUSAL_PAUSE_SECONDS = 0.01
# Requests of one attempt that are under way at once; more wait.
MOST_AT_ONCE = 16
_RECORDED_BODY_CHARS = 16_384

log = logging.getLogger("runner.gateway")


class Surroundings(Protocol):
    """What the accounts of one run share."""

    @property
    def journal(self) -> RunJournal: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def resources(self) -> Mapping[str, Resource]: ...

    def pool(self, resource: Resource) -> httpcore2.AsyncConnectionPool:
        """Return the connections to a resource. Raises OSError: its authorities' file cannot be used."""
        ...

    def next_use(self) -> int: ...

    async def read(self, reference: Reference) -> str:
        """Return the value of a stored credential. Raises PolicyError."""
        ...


@dataclass(slots=True)
class Held:
    """One token of an attempt, from its intent to its close."""

    id: str
    part: Part
    issued: Issued | None = None
    ends: float = 0.0
    """By the clock's monotonic time: nothing is sent with it from then on."""
    uses: int = 0
    refused: int = 0
    closed: bool = False


@dataclass(slots=True)
class _Sent:
    """A request that left and whose end is not journalled."""

    use: int
    held: Held
    started: float
    bytes: int = 0
    answer: Answer | None = None
    flight: asyncio.Task[Answer] | None = None
    over: bool = False


class Account:
    """`seams.Credential` of one attempt. One event loop. Slotted: thousands are open at once."""

    __slots__ = (
        "_around", "_doors", "_room", "_sent", "_told", "closed", "grant", "held", "observed", "subject",
    )  # fmt: skip

    def __init__(self, subject: Subject, grant: Grant, held: list[Held], around: Surroundings) -> None:
        self.subject = subject
        self.grant = grant
        self.held = held
        self.observed = "none" if grant.raw else "gateway only"
        self.closed = False
        self._around = around
        self._sent: dict[int, _Sent] = {}
        self._told = 0
        self._doors: list[SocketDoor] = []
        self._room: asyncio.Semaphore | None = None

    # --- as seams.Credential ---------------------------------------------------------------

    def client(self) -> Any:
        # Importing an HTTP client takes 90 ms that only a run needs whose agents use one.
        from runner.credentials.gateway.client import client

        return client(self.handle)

    async def door(self, *, uid: int, admits: Callable[[int], bool]) -> Door:
        from runner.credentials.gateway.socket import SocketDoor

        opened = await SocketDoor.open(self.handle, uid=uid, admits=admits)
        if self.closed:
            opened.close_now()
            raise OSError("the attempt is over")
        self._doors.append(opened)
        return opened.door

    @property
    def tokens(self) -> Mapping[str, Token]:
        if not self.grant.raw:
            return {}
        return {one.part.resource.name: one.issued.token for one in self.held if one.issued is not None}

    def observe(self, observed: str) -> None:
        self.observed = "none" if self.grant.raw else observed

    # --- requests --------------------------------------------------------------------------

    async def handle(self, request: DoorRequest) -> DoorResponse:
        """Answer a request of the agent: with what the resource says, or with why it did not leave."""
        from runner.credentials.gateway.checks import RequestRefused, admit
        from runner.credentials.gateway.passage import PassageFailed

        if self._room is None:
            self._room = asyncio.Semaphore(MOST_AT_ONCE)
        try:
            admitted = admit([one.part for one in self.held], request, self._around.resources)
            held = self._usable(admitted)
            credential, hidden = await self._credential(held)
            async with self._room:
                sent = await self._announce(held, admitted)
        except RequestRefused as refusal:
            self._refused(request, refusal)
            if self._told > MOST_HASTY_REFUSALS:
                await asyncio.sleep(REFUSAL_PAUSE_SECONDS)
            return _problem(refusal.status, refusal.reason, refusal.message)
        except StoreError:
            return _problem(503, "record", "the record cannot be written: nothing was sent")
        try:
            async with self._room:
                return self._answered(sent, await self._fly(sent, admitted, credential, hidden))
        except PassageFailed as failed:
            self._over(sent, failure=failed.reason, left=failed.sent)
            return _problem(failed.status, failed.reason, failed.message)
        except Exception as error:
            # Whatever it is: its text may be the resource's, and so a credential.
            self._over(sent, failure="failed")
            log.error("a request to resource %s failed: %s", sent.held.part.resource.name, type(error).__name__)
            return _problem(502, "failed", f"the gateway failed: {type(error).__name__}")

    def _usable(self, admitted: Admitted) -> Held:
        """Return the token under which a request may leave. Raises RequestRefused."""
        from runner.credentials.gateway.checks import RequestRefused

        held = next(one for one in self.held if one.part is admitted.part)
        name = held.part.resource.name
        if self.closed or held.closed:
            raise RequestRefused("closed", "the attempt is over, or its authority was revoked", resource=name)
        if held.issued is None or self._around.clock.monotonic() >= held.ends:
            raise RequestRefused("expired", "its token has expired", resource=name)
        return held

    async def _credential(self, held: Held) -> tuple[tuple[str, str], list[str]]:
        """Return the header that goes on the request, and what no answer may repeat. Raises RequestRefused."""
        assert held.issued is not None
        token = held.issued.token.reveal()
        attached = held.part.resource.attached
        if attached is None:
            return ("Authorization", f"Bearer {token}"), [token]
        try:
            value = await self._around.read(attached.value)
        except PolicyError as error:
            from runner.credentials.gateway.checks import RequestRefused

            name = held.part.resource.name
            # Why goes to who reads logs: a path or a program's name is not for an agent.
            log.warning("the credential of resource %s cannot be read: %s", name, error.message)
            raise RequestRefused("credential", "its credential cannot be read", resource=name, status=502) from None
        if not value.isascii() or not value.isprintable():
            from runner.credentials.gateway.checks import RequestRefused

            name = held.part.resource.name
            message = f"{attached.value} cannot stand in a header"
            raise RequestRefused("credential", message, resource=name, status=502)
        return (attached.header, attached.prefix + value), [token, value]

    async def _announce(self, held: Held, admitted: Admitted) -> _Sent:
        """Make the use durable. Raises StoreError, RequestRefused where the attempt ended meanwhile."""
        around, subject, resource = self._around, self.subject, held.part.resource
        sent = _Sent(around.next_use(), held, around.clock.monotonic())
        self._usable(admitted)
        held.uses += 1
        self._sent[sent.use] = sent
        around.journal.append(
            EventKind.GATEWAY_USED,
            {
                "use": sent.use, "token": held.id, "spawn": subject.spawn, "attempt": subject.attempt,
                "agent": subject.agent, "resource": resource.name, "scope": admitted.scope,
                "method": admitted.method, "host": urlsplit(resource.url).netloc, "rule": admitted.rule.text,
            },
            canonical(_recorded(resource, admitted)),
        )  # fmt: skip
        await around.journal.durable()
        return sent

    async def _fly(self, sent: _Sent, admitted: Admitted, credential: tuple[str, str], hidden: list[str]) -> Answer:
        """Send it, unless the account was closed while it became durable. Raises PassageFailed."""
        from runner.credentials.gateway.passage import PassageFailed, send

        if sent.over:
            raise PassageFailed("closed", "the attempt is over", status=403, sent=False)
        resource = sent.held.part.resource
        try:
            pool = self._around.pool(resource)
        except OSError as error:
            raise PassageFailed("authorities", f"the file of `ca` cannot be used: {error}", sent=False) from None
        sent.flight = asyncio.ensure_future(send(pool, admitted, credential, hidden))
        try:
            answer = await sent.flight
        except asyncio.CancelledError:
            # Cut from here, not with the agent's own end: the agent gets an answer.
            if sent.over:
                raise PassageFailed("closed", "the attempt is over", status=403) from None
            self._over(sent, failure="cut")
            raise
        if sent.over:  # It came in the very turn in which the attempt ended.
            await answer.close()
            raise PassageFailed("closed", "the attempt is over", status=403)
        return answer

    def _answered(self, sent: _Sent, answer: Answer) -> DoorResponse:
        sent.answer = answer

        async def aclose() -> None:
            self._over(sent, failure="cut")
            await answer.close()

        return DoorResponse(answer.status, answer.headers, self._body(sent, answer), aclose)

    async def _body(self, sent: _Sent, answer: Answer) -> AsyncIterator[bytes]:
        from runner.credentials.gateway.passage import PassageFailed

        try:
            async for chunk in answer.chunks:
                if sent.over:
                    raise ConnectionAbortedError("the attempt is over")
                sent.bytes += len(chunk)
                yield chunk
        except PassageFailed as failed:
            self._over(sent, failure=failed.reason)
            raise ConnectionAbortedError(failed.message) from None
        self._over(sent)
        await answer.close()

    # --- what is told ----------------------------------------------------------------------

    def _over(self, sent: _Sent, *, failure: str = "", left: bool = True) -> None:
        """Journal what a request came to, once. `left`: a byte of it may have reached the resource."""
        if sent.over:
            return
        sent.over = True
        del self._sent[sent.use]
        if not left:
            sent.held.uses -= 1
        seconds = self._around.clock.monotonic() - sent.started
        answer = sent.answer
        status, redacted = (answer.status, answer.redactor.count) if answer is not None else (0, 0)
        self._around.journal.append(
            EventKind.GATEWAY_ANSWERED,
            {
                "use": sent.use, "token": sent.held.id, "spawn": self.subject.spawn, "status": status,
                "bytes": sent.bytes, "seconds": round(seconds, 6), "redacted": redacted, "failure": failure,
                "left": left,
            },
        )  # fmt: skip

    def _refused(self, request: DoorRequest, refusal: RequestRefused) -> None:
        held = next((one for one in self.held if one.part.resource.name == refusal.resource), None)
        if held is not None and not held.closed:
            held.refused += 1
        self._told += 1
        if self._told > MOST_REFUSALS_TOLD or self.closed:
            return
        subject = self.subject
        path = _shown(request.target.partition("?")[0])
        self._around.journal.append(
            EventKind.GATEWAY_REFUSED,
            {
                "token": held.id if held is not None else "", "spawn": subject.spawn, "attempt": subject.attempt,
                "agent": subject.agent, "resource": refusal.resource, "method": _shown(request.method)[:16],
                "host": _shown(request.host)[:255], "reason": refusal.reason,
            },
            canonical({"path": path, "message": refusal.message}),
        )  # fmt: skip

    # --- its end ---------------------------------------------------------------------------

    def disarm(self, one: Held | None = None) -> None:
        """Let nothing be sent any more (with one token, or at all), and cut what is on its way."""
        if one is None:
            self.closed = True
            for opened in self._doors:
                opened.close_now()
        for sent in [sent for sent in self._sent.values() if one is None or sent.held is one]:
            flight, answer = sent.flight, sent.answer
            self._over(sent, failure="cut")
            if answer is not None:
                self._cut(answer)
            elif flight is not None:
                flight.cancel()

    def _cut(self, answer: Answer) -> None:
        closing = asyncio.ensure_future(answer.close())
        _closing.add(closing)
        closing.add_done_callback(_closing.discard)


_closing: set[asyncio.Future[Any]] = set()
"""Answers that are being cut: asyncio itself keeps no reference to a task."""


def _recorded(resource: Resource, admitted: Admitted) -> dict[str, str]:
    found = {"path": str(admitted.path)}
    if "query" in resource.record and admitted.query:
        found["query"] = admitted.query
    if "body" in resource.record and admitted.body:
        found["body"] = admitted.body[:_RECORDED_BODY_CHARS].decode("utf-8", "replace")
    return found


def _shown(text: str) -> str:
    """Return what an agent wrote, as a record may hold it."""
    return text[:MOST_SHOWN_CHARS].encode("utf-8", "replace").decode()


def _problem(status: int, reason: str, message: str) -> DoorResponse:
    """Return the gateway's own answer: what a resource says never has the header Runner-Refused."""
    body = json.dumps({"error": reason, "message": message}).encode()

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    async def nothing() -> None:
        pass

    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Runner-Refused", reason)]
    return DoorResponse(status, headers, chunks(), nothing)
