"""Whatever order spawns, attempts, exchanges, uses, ends, revocations, crashes and clock steps come in: the rules hold.

    what was granted is within what the agent may have, and bound to the spawn's own inputs
    no token outlives its run
    nothing is sent with a token that is closed, expired or revoked, or that a crash has orphaned
    what the audit tells is what the resource has received: no request more, none less
    what the authorization server has issued is what the audit names, and all of it is revoked where its host lived

The store, the ledger, the gateway, the embedded issuer and the resource server are the real ones. The clock is held,
and the authorization server is a list: a real one is in tests/integration/test_external_tokens.py.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runner.clock import HeldClock
from runner.credentials.issuers import Issuers
from runner.credentials.ledger import Ledger
from runner.credentials.selection import Selection
from runner.engine.audit import is_active, tokens_of
from runner.errors import AgentFault
from runner.events import EventKind, TokensView
from runner.journal import open_store
from runner.models import Token
from runner.policy.grants import narrow
from runner.seams import DoorRequest, Issued, NotIssued, NotRevoked, Order
from tests.resource_server import ResourceServer
from tests.unit.test_policy_grants import policy_of

RUN_SECONDS = 120.0
AGENT_SCOPES = ["crm:read", "crm:note", "ext:read"]


class ListedServer:
    """An external authorization server: `issued` is its log, `active` what it would introspect as active."""

    def __init__(self, machine: Credentials) -> None:
        self.machine = machine
        self.issued: dict[str, str] = {}
        self.active: set[str] = set()
        self.down = False

    async def issue(self, order: Order) -> Issued:
        if self.down:
            raise NotIssued("the server is down")
        subject = await self.machine.ledger._subject_token(order)
        text = f"opaque-{len(self.issued)}-{order.id}"
        self.issued[order.id] = text
        self.active.add(text)
        now = self.machine.clock.now()
        return Issued(order, Token(text), now, now + 3600, stated=order.scopes, subject_id=subject.order.id)

    async def revoke(self, issued: Issued) -> str:
        if self.down:
            raise NotRevoked("the server is down")
        self.active.discard(issued.token.reveal())
        return "confirmed"

    async def close(self) -> None:
        pass


class MachineIssuers(Issuers):
    server: ListedServer

    def external(self, entry: Any, read_reference: Any, subject: Any) -> Any:
        return self.server


class Credentials(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = HeldClock()
        self.resource = ResourceServer()
        self.server = ListedServer(self)
        self.runs: list[str] = []
        self.crashed: set[str] = set()
        self.accounts: list[tuple[Any, int]] = []
        self.sent_after_close = 0
        self.expected: Counter[str] = Counter()
        self.policy = policy_of(
            {
                "crm": {"url": self.resource.url, "scopes": {"crm:read": "GET /c/{inputs.id}/**", "crm:note": "POST /c/{inputs.id}/n"}},
                "ext": {"url": f"{self.resource.url}/ext", "issuer": "corp", "scopes": {"ext:read": "GET /e/{inputs.id}"}},
            },
            agent={"scopes": AGENT_SCOPES},
            issuers={"corp": {"url": "https://as.example", "client_id": "r", "credential": "env:X"}},
        )  # fmt: skip
        self.begin()

    def wait(self, work: Any) -> Any:
        async def within() -> Any:
            async with asyncio.timeout(60):
                return await work

        return self.loop.run_until_complete(within())

    def begin(self) -> None:
        """A host begins a run."""

        async def opened() -> None:
            self.store = open_store(self.folder / "home", clock=self.clock)
            run = f"run-{len(self.runs)}"
            self.runs.append(run)
            self.journal = self.store.open_run(run, on_failure=lambda error: None)
            self.journal.append(EventKind.RUN_SUBMITTED, {"script": "s", "policy": "p", "script_digest": "d"})
            self.issuers = MachineIssuers(self.store.home, self.store.host, self.clock)
            self.issuers.server = self.server
            self.ledger = Ledger(
                self.policy, self.journal, clock=self.clock, issuers=self.issuers, read_reference=str, script="d",
                frozen=lambda: self.store.frozen, register=lambda kind, body: None,
            )  # fmt: skip
            self.ledger.begin(RUN_SECONDS)
            self.ends = self.clock.now() + RUN_SECONDS
            await self.journal.durable()

        self.wait(opened())
        self.accounts = []

    @rule(
        scopes=st.lists(st.sampled_from(AGENT_SCOPES), min_size=1, unique=True), customer=st.integers(1, 4), timeout=st.floats(0.5, 200)
    )
    def attempt(self, scopes: list[str], customer: int, timeout: float) -> None:
        """An attempt of a spawn begins, and gets its tokens or does not."""
        grant = narrow(self.policy, self.policy.agents["a"], tuple(scopes), timeout, {"id": customer})
        assert grant is not None and {scope for part in grant.parts for scope in part.scopes} == set(scopes)

        async def issued() -> None:
            account = self.ledger.open(grant, spawn=len(self.accounts) + 1, attempt=1)
            self.accounts.append((account, customer))
            await self.journal.durable()
            try:
                if not self.ledger.mint(account):
                    await self.ledger.issue(account)
            except AgentFault as fault:
                assert fault.kind == "unauthorised"

        self.wait(issued())

    @precondition(lambda self: self.accounts)
    @rule(data=st.data(), customer=st.integers(1, 4), what=st.sampled_from([("GET", "crm", "/c/{}/x"), ("POST", "crm", "/c/{}/n"), ("GET", "ext", "/e/{}"), ("GET", "crm", "/c/{}/../9")]))
    def use(self, data: st.DataObject, customer: int, what: tuple[str, str, str]) -> None:
        """An agent makes a request: its own, or one that an injection made it want."""
        account, own = data.draw(st.sampled_from(self.accounts))
        method, resource, path = what
        target = path.format(customer)
        before = len(self.resource.received)

        async def handled() -> int:
            answer = await account.handle(DoorRequest(method, resource, target, []))
            async for _ in answer.body:
                pass
            return int(answer.status)

        status = self.wait(handled())
        held = next((one for one in account.held if one.part.resource.name == resource), None)
        scope = {"crm": "crm:read" if method == "GET" else "crm:note", "ext": "ext:read"}[resource]
        usable = (
            held is not None and held.issued is not None and not held.closed and not account.closed and scope in held.part.scopes
            and self.clock.now() < held.issued.issued_at + held.issued.order.seconds
        )  # fmt: skip
        allowed = usable and own == customer and ".." not in target
        assert (status == 200) == allowed, (status, usable, own, customer, target)
        assert len(self.resource.received) - before == int(allowed)

    @precondition(lambda self: self.accounts)
    @rule(data=st.data(), why=st.sampled_from(["ok", "failed", "timed_out", "cancelled"]))
    def finish(self, data: st.DataObject, why: str) -> None:
        account, _ = data.draw(st.sampled_from(self.accounts))

        async def closed() -> None:
            self.ledger.close(account, why)
            await asyncio.sleep(0)

        self.wait(closed())

    @rule(selection=st.sampled_from([Selection(spawn=1), Selection(scope="crm:note"), Selection(agent="a"), Selection(agent="b")]))
    def revoke(self, selection: Selection) -> None:
        async def revoked() -> None:
            self.ledger.revoke(selection)

        self.wait(revoked())

    @rule(down=st.booleans())
    def switch_the_server(self, down: bool) -> None:
        self.server.down = down

    @rule(seconds=st.floats(0.1, 80))
    def step_the_clock(self, seconds: float) -> None:
        async def stepped() -> None:
            self.clock.advance(seconds)
            for _ in range(5):
                await asyncio.sleep(0)

        self.wait(stepped())

    @rule(crash=st.booleans())
    def end_the_run_and_begin_another(self, crash: bool) -> None:
        run = self.runs[-1]

        async def ended() -> None:
            if crash:
                for task in list(self.ledger._tasks):
                    task.cancel()
                await self.journal.durable()
            else:
                self.server.down = False
                await self.ledger.let_go(0.5)
                self.clock.advance(60)
                for _ in range(20):
                    await asyncio.sleep(0)
                await self.journal.close()
            await self.issuers.close()
            self.store.close()

        self.wait(ended())
        if crash:
            self.crashed.add(run)
            # The revoker of a dead host does that.
            self.server.active.clear()
        self.begin()

    @invariant()
    def the_audit_is_what_was_received_and_issued(self) -> None:
        async def durable() -> None:
            await self.journal.durable()

        self.wait(durable())
        views: list[TokensView] = [tokens_of(self.store, run) for run in self.runs]
        told = Counter(
            f"{use.method} {'/ext' if use.resource == 'ext' else ''}{use.path}" for view in views for use in view.uses if not use.refused
        )
        assert told == Counter(f"{got.method} {got.path}" for got in self.resource.received)
        named = {token.id for view in views for token in view.tokens.values() if token.external and token.issued_at}
        assert named == set(self.server.issued)
        for run, view in zip(self.runs, views, strict=True):
            for token in view.tokens.values():
                assert set(token.scopes) <= set(AGENT_SCOPES)
                if token.issued_at and run == self.runs[-1]:
                    assert token.issued_at + token.seconds >= token.issued_at and min(
                        token.expires_at, token.issued_at + token.seconds
                    ) <= max(self.ends, token.expires_at if token.external else 0) + 1
                if run != self.runs[-1] and not token.external:
                    assert is_active(self.store, token.id, self.clock.now()) is False
                if run in self.crashed and not token.closed_at and not token.uses and token.issued_at:
                    assert token.used is None

    def teardown(self) -> None:
        async def ended() -> None:
            self.server.down = False
            await self.ledger.let_go(0.5)
            for _ in range(10):
                self.clock.advance(30)
                await asyncio.sleep(0.005)
            await self.journal.close()
            await self.issuers.close()
            self.store.close()

        self.wait(ended())
        still = self.server.active
        self.loop.close()
        self.resource.close()
        shutil.rmtree(self.folder)
        assert still == set(), "a token of a host that lived is still active at the server"


TestCredentials = Credentials.TestCase
TestCredentials.settings = settings(
    max_examples=max(8, int(os.environ.get("RUNNER_FUZZ_EXAMPLES", "8")) // 50), stateful_step_count=30, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
