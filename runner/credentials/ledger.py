"""What becomes of each token of a run: meant, issued or refused, closed, and, where a server made it, revoked.

    meant      with the attempt, durable before a server is asked
    issued     by a server, once that is durable; by the embedded issuer at once, durable before the agent is called;
               compared with what was asked; its bytes stay in memory, the journal gets an id and a keyed fingerprint
    closed     on every end of its attempt, before the spawn settles; the door is disarmed first
    revoked    an external one, in the background, again and again until the server confirms or it has expired

A pause and a queue hold no token: each attempt has its own, a fallback never inherits one.

Not here: which scopes may be asked for (broker.permit), how a token is made (issuer, external), requests (gateway).
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import floor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runner.clock import Clock
from runner.credentials.gateway.account import Account, Held
from runner.credentials.issuers import Issuers
from runner.credentials.selection import Selection
from runner.errors import AgentFault, Defect, PolicyError, StoreError
from runner.events import EventKind
from runner.events.tokens import EMBEDDED
from runner.guest.wire import canonical
from runner.models import OutcomeKind
from runner.policy.grants import Grant, Part
from runner.policy.model import Policy, Reference, Resource
from runner.seams import Issued, Issuer, Minter, NotIssued, NotRevoked, Order, RunJournal, Subject

if TYPE_CHECKING:
    import httpcore2

# Each twice as long as the one before; after the last a token is left to its expiry, and shown as not revoked.
REVOCATION_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


class Ledger:
    """The tokens of one run. One object, one event loop."""

    def __init__(
        self,
        policy: Policy,
        journal: RunJournal,
        *,
        clock: Clock,
        issuers: Issuers,
        read_reference: Callable[[Reference], str],
        script: str,
        frozen: Callable[[], bool],
        register: Callable[[EventKind, dict[str, Any]], object],
        parent: str = "",
    ) -> None:
        """`register` notes what happens after the run's last event; it may block. `script` is the script's digest."""
        self.journal = journal
        self.clock = clock
        self.resources = policy.resources
        self._policy = policy
        self._issuers = issuers
        self._read_reference = read_reference
        self._script = script
        self._frozen = frozen
        self._register = register
        self._parent = parent
        self._ends = float("inf")
        self._ended = False
        self._uses = 0
        self._external: dict[str, Issuer] = {}
        self._open: dict[str, tuple[Account, Held]] = {}
        # What was revoked, each with the handles that descend from its spawn.
        self._selected: list[tuple[Selection, set[int]]] = []
        self._made_of: dict[int, tuple[int, ...]] = {}
        self._unrevoked: dict[str, tuple[Issuer, Issued]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- as gateway.account.Surroundings -----------------------------------------------------

    def pool(self, resource: Resource) -> httpcore2.AsyncConnectionPool:
        parts = urlsplit(resource.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        return self._issuers.upstreams().pool(origin, _file(self._policy, resource.ca), resource.private)

    def next_use(self) -> int:
        self._uses += 1
        return self._uses

    async def read(self, reference: Reference) -> str:
        # A file may lie on a slow disk, and a command takes as long as it takes.
        return await asyncio.to_thread(self._read_reference, reference)

    # --- whether anything may begin ----------------------------------------------------------

    def begin(self, seconds: float) -> None:
        """The run has begun and ends in so many seconds at the latest: no token outlives it."""
        self._ends = self.clock.monotonic() + seconds

    @property
    def frozen(self) -> bool:
        """Whether no spawn and no attempt may begin now, on this host."""
        return self._frozen()

    def descends(self, handle: int, needed: Iterable[int]) -> None:
        """A handle was made of others: what is revoked with one of them is revoked with it."""
        made_of = self._made_of[handle] = tuple(needed)
        for _, descended in self._selected:
            if not descended.isdisjoint(made_of):
                descended.add(handle)

    def go_on(self, uses: int) -> None:
        """Number the requests of a run behind those that a host before has sent."""
        self._uses = uses

    def _new_id(self) -> str:
        """Return an id of 128 bits that sorts by time, as in RFC 9562: an index likes that."""
        return f"{int(self.clock.now() * 1000) & 0xFFFF_FFFF_FFFF:012x}{secrets.token_hex(10)}"

    # --- one attempt -------------------------------------------------------------------------

    def open(self, grant: Grant, *, spawn: int, attempt: int) -> Account:
        """Begin the account of an attempt, and journal what servers will be asked for, once that is durable."""
        subject = Subject(self.journal.run, spawn, attempt, grant.agent, self._script, self._parent)
        account = Account(subject, grant, [Held(self._new_id(), part) for part in grant.parts], self)
        for held in account.held:
            if held.part.resource.issuer:
                body = _meant(held.id, subject, held.part.resource, held.part.scopes, grant)
                self.journal.append(EventKind.TOKEN_INTENT, body, _opened(held.part))
        return account

    def mint(self, account: Account) -> bool:
        """Mint what the embedded issuer mints. It may be used once that is durable. False: `issue` gets the rest.

        Whether the host is frozen was asked before. Raises AgentFault (unauthorised): none of its tokens can be used,
        and what was issued is closed.
        """
        complete = True
        for held in account.held:
            if held.part.resource.issuer:
                complete = False
                continue
            try:
                order = self._order(account, held)
                issued = self._embedded().mint(order)
            except NotIssued as error:
                raise self._unauthorised(account, held, error) from None
            body = _meant(held.id, account.subject, held.part.resource, held.part.scopes, account.grant)
            self._take(account, held, issued, order.seconds, body, _opened(held.part))
        return complete

    async def issue(self, account: Account) -> None:
        """Obtain what external servers issue; the intents are durable. Raises AgentFault (unauthorised), as `mint`."""
        for held in account.held:
            if not held.part.resource.issuer:
                continue
            try:
                order = self._order(account, held)
                # Once a server was asked its answer is taken, also when the attempt is over: what is out is revoked.
                await asyncio.shield(self._task(self._ask(account, held, order)))
            except NotIssued as error:
                raise self._unauthorised(account, held, error) from None

    def _unauthorised(self, account: Account, held: Held, error: NotIssued) -> AgentFault:
        self._refuse(account, held, error)
        self.close(account, str(OutcomeKind.UNAUTHORISED))
        message = f'agent "{account.subject.agent}" got no credential for {held.part.resource.name!r}'
        return AgentFault(OutcomeKind.UNAUTHORISED, message, detail=str(error))

    def _why_not(self, account: Account, held: Held) -> str:
        """Say why an attempt may not have this token now; "" where it may."""
        if self._frozen():
            return "the host is frozen"
        for selection, descended in self._selected:
            # A token that is not there yet has no id that anybody could have named.
            if not selection.token and selection.takes(account.subject, held.part.scopes, "", descended):
                return "its authority was revoked in this run"
        return ""

    def _order(self, account: Account, held: Held) -> Order:
        """Return what is asked for one token. Raises NotIssued: its time or its authority is over."""
        why = self._why_not(account, held)
        if why:
            raise NotIssued(why)
        seconds = float(floor(min(account.grant.seconds, self._ends - self.clock.monotonic())))
        if seconds < 1:
            raise NotIssued("less than a second of the run is left")
        part = held.part
        resource = part.resource
        return Order(held.id, resource.name, resource.audience, part.scopes, part.details, seconds, account.subject)

    async def _ask(self, account: Account, held: Held, order: Order) -> None:
        issuer = self._issuer(held.part.resource.issuer)
        try:
            issued = await issuer.issue(order)
        except NotIssued as error:
            if held.closed:  # Nobody waits for it any more.
                self._refuse(account, held, error)
                return
            raise
        self._take(account, held, issued, order.seconds)
        if held.closed:
            self._open.pop(held.id)
            self._revoke_later(held.id, issuer, issued)
            return
        # The server took its time: much may have been said meanwhile.
        why = self._why_not(account, held)
        if why:
            self._close(account, held, "revoked")
            raise NotIssued(why)

    def _embedded(self) -> Minter:
        try:
            return self._issuers.embedded()
        except StoreError as error:
            raise NotIssued(error.message) from error

    def _issuer(self, name: str) -> Issuer:
        found = self._external.get(name)
        if found is None:
            try:
                entry = self._policy.issuers[name]
                entry = replace(entry, ca=_file(self._policy, entry.ca))
                found = self._issuers.external(entry, self._read_reference, self._subject_token)
            except (StoreError, PolicyError) as error:
                raise NotIssued(error.message) from error
            self._external[name] = found
        return found

    def _take(
        self, account: Account, held: Held, issued: Issued, seconds: float, meant: dict[str, Any] | None = None,
        value: str | None = None,
    ) -> None:  # fmt: skip
        lives = issued.expires_at - issued.issued_at
        held.issued, held.ends = issued, self.clock.monotonic() + min(seconds, lives)
        self._open[held.id] = (account, held)
        self._issued(issued, "issuer" if lives <= seconds + 1 else "host", meant, value)

    def _issued(self, issued: Issued, enforced: str, meant: dict[str, Any] | None, value: str | None) -> None:
        body = meant
        if body is None:
            body = {
                "token": issued.order.id, "jti": issued.jti, "enforced": enforced, "subject": issued.subject_id,
                "stated": issued.stated,
            }  # fmt: skip
        body["issued_at"] = round(issued.issued_at, 3)
        body["expires_at"] = round(issued.expires_at, 3)
        body["fingerprint"] = issued.token.fingerprint(self._issuers.fingerprint_key)
        self._append(EventKind.TOKEN_ISSUED, body, value)

    def _refuse(self, account: Account, held: Held, error: NotIssued) -> None:
        body: dict[str, Any] = {"token": held.id, "may_be_out": error.may_be_out}
        if not held.part.resource.issuer:
            body |= _meant(held.id, account.subject, held.part.resource, held.part.scopes, account.grant)
        self._append(EventKind.TOKEN_REFUSED, body, canonical({"message": str(error)}))

    async def _subject_token(self, order: Order) -> Issued:
        """Mint the token that is exchanged for the one of `order`: the attempt's own, for the server as audience.

        Its one use is the exchange, which may begin once this has returned. Raises NotIssued.
        """
        server = self._policy.issuers[self.resources[order.resource].issuer]
        mine = replace(order, id=self._new_id(), resource=server.name, audience=server.url, details=None)
        subject = mine.subject
        meant = {
            "token": mine.id, "spawn": subject.spawn, "attempt": subject.attempt, "agent": subject.agent,
            "resource": mine.resource, "audience": mine.audience, "issuer": EMBEDDED, "scopes": mine.scopes,
            "seconds": mine.seconds,
        }  # fmt: skip
        try:
            issued = self._embedded().mint(mine)
            self._issued(issued, "issuer", meant, "{}")
            self._append(
                EventKind.TOKEN_CLOSED,
                {"token": mine.id, "why": "exchanged", "used": True, "uses": 1, "refused": 0, "observed": "all"},
            )
            await self.journal.durable()
        except (StoreError, Defect) as error:
            raise NotIssued(f"the record cannot be written: {error}") from None
        return issued

    # --- its end -----------------------------------------------------------------------------

    def close(self, account: Account, why: str) -> None:
        """End the authority of an attempt: nothing is sent any more, and its external tokens are revoked. Once."""
        if account.closed:
            return
        account.disarm()
        for held in account.held:
            self._close(account, held, why)

    def _close(self, account: Account, held: Held, why: str) -> None:
        if held.closed:
            return
        held.closed = True
        account.disarm(held)
        self._open.pop(held.id, None)
        if held.issued is None and not held.part.resource.issuer:
            return  # There never was one, and nothing says that there should have been.
        used: bool | None = True if held.uses else None if account.grant.raw and held.issued is not None else False
        self._append(
            EventKind.TOKEN_CLOSED,
            {
                "token": held.id, "why": why, "used": used, "uses": held.uses, "refused": held.refused,
                "observed": account.observed,
            },
        )  # fmt: skip
        if held.issued is not None and held.part.resource.issuer:
            self._revoke_later(held.id, self._issuer(held.part.resource.issuer), held.issued)

    def _revoke_later(self, token: str, issuer: Issuer, issued: Issued) -> None:
        # The event that closes it is durable, or the store has failed: it is revoked either way.
        self._unrevoked[token] = (issuer, issued)
        self._task(self._revoke(token, issuer, issued))

    async def _revoke(self, token: str, issuer: Issuer, issued: Issued) -> None:
        for tries, pause in enumerate((*REVOCATION_PAUSES, None), start=1):
            try:
                how = await issuer.revoke(issued)
            except NotRevoked as error:
                value = canonical({"message": str(error)})
                self._append(EventKind.TOKEN_UNREVOKED, {"token": token, "tries": tries}, value)
            else:
                self._unrevoked.pop(token, None)
                self._append(EventKind.TOKEN_REVOKED, {"token": token, "how": how})
                return
            if pause is None or self.clock.now() + pause >= issued.expires_at:
                return
            await self.clock.sleep(pause)

    # --- revocation on demand ----------------------------------------------------------------

    def revoke(self, selection: Selection) -> int:
        """Close every open token that is selected, and mint no such token in this run any more. Return how many.

        With a spawn go the spawns that were made of its output by handle, at any remove.
        """
        if selection.run and selection.run not in (self.journal.run, self._parent):
            return 0
        descended = {selection.spawn} if selection.spawn else set()
        # Handles are numbered in the order in which they were made.
        for handle, made_of in self._made_of.items():
            if not descended.isdisjoint(made_of):
                descended.add(handle)
        self._selected.append((selection, descended))
        chosen = [
            (account, held)
            for account, held in self._open.values()
            if selection.takes(account.subject, held.part.scopes, held.id, descended)
        ]
        for account, held in chosen:
            self._close(account, held, "revoked")
        return len(chosen)

    # --- the record --------------------------------------------------------------------------

    def _append(self, kind: EventKind, body: dict[str, Any], value: str | None = None) -> None:
        """Journal an event; in the register, where the run has had its last one."""
        if self._ended:
            told = {"run": self.journal.run, **body, **({"why": json.loads(value)["message"]} if value else {})}
            self._task(asyncio.to_thread(self._register, kind, told))
            return
        # A journal that failed has told the run, which is ending: tokens are closed and revoked all the same.
        with suppress(StoreError):
            self.journal.append(kind, body, value)

    def _task(self, work: Awaitable[Any]) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(partial(_done, self._tasks))
        return task

    async def let_go(self, seconds: float) -> None:
        """Close what is open, and wait so long for revocations. What is not through then goes on."""
        for account, _ in list(self._open.values()):
            self.close(account, "end")
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)

    def end(self) -> None:
        """The run's last event comes now: what follows goes into the register."""
        self._ended = True

    async def close_all(self, seconds: float) -> None:
        """Wait so long for what is still going on, then leave it: the revoker goes on without us."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)
        for issuer, issued in self._unrevoked.values():
            issuer.abandon(issued)
        for task in list(self._tasks):
            task.cancel()


def _file(policy: Policy, path: str) -> str:
    """Return a path that a policy names, as seen from its folder; "" for none."""
    return str(policy.folder / path) if path else ""


def _meant(token: str, subject: Subject, resource: Resource, scopes: tuple[str, ...], grant: Grant) -> dict[str, Any]:
    """Return what an event says of a token that an attempt is meant to have."""
    body: dict[str, Any] = {
        "token": token, "spawn": subject.spawn, "attempt": subject.attempt, "agent": subject.agent,
        "resource": resource.name, "audience": resource.audience, "issuer": resource.issuer or EMBEDDED,
        "scopes": scopes, "seconds": grant.seconds,
    }  # fmt: skip
    if grant.raw:
        body["raw"] = True
    return body


def _opened(part: Part) -> str:
    """Return the event's value: what it opens, bound to the inputs."""
    value: dict[str, Any] = {"rules": [str(rule) for _, rule in part.rules]}
    if part.details is not None:
        value["details"] = part.details
    return canonical(value)


def _done(tasks: set[asyncio.Task[Any]], task: asyncio.Task[Any]) -> None:
    tasks.discard(task)
    # NotIssued was told to who waited, or journalled; a store that failed has told the run.
    if not task.cancelled():
        task.exception()
