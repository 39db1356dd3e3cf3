"""What a second reading found: each way in, tried again."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import zlib
from typing import Any

import pytest
import yaml

from runner import Runner, Script
from runner.clock import SystemClock
from runner.credentials.gateway.account import Account, Held
from runner.credentials.gateway.checks import RequestRefused
from runner.credentials.gateway.passage import Decoder, PassageFailed
from runner.credentials.gateway.upstream import Upstreams
from runner.credentials.selection import Selection
from runner.errors import StoreError
from runner.events import EventKind
from runner.journal import RegisterKind
from runner.policy import load_policy_text
from runner.policy.grants import narrow
from runner.seams import DoorRequest, Subject
from tests.authorization_servers import CLIENT, WORD, Answer, chosen_server
from tests.integration.test_gateway import READ, asks, crm_policy, run_crm, tokens
from tests.resource_server import ResourceServer, Said
from tests.runs import TESTS, agent
from tests.unit.test_gateway_checks import admitted


@pytest.fixture
def crm():
    with ResourceServer() as server:
        yield server


@pytest.mark.parametrize("location", ["http://[{}]/", "http://{}:99999/", "//[{}", "{}"])
@pytest.mark.parametrize("agent", ["fetch", "sync_fetch"])
async def test_a_token_in_a_redirect_reaches_nobody(own_home, crm, location, agent):
    crm.answer = lambda got: Said(302, b"", {"Location": location.format(got.headers["authorization"].removeprefix("Bearer "))})
    ran = await run_crm(own_home, crm_policy(crm), asks(7, ["GET", "http://crm/customers/7"]), agent=agent)

    assert "eyJ" not in json.dumps(ran.result.result)
    assert [event.value for event in ran.events if event.value and "eyJ0eXAi" in event.value] == []
    assert [use.answered for use in tokens(ran).uses] == [True]


async def test_a_credential_in_a_headers_name_reaches_nobody(own_home, crm, monkeypatch):
    monkeypatch.setenv("CRM_KEY", "sk-Hunter2-hunter2")
    crm.answer = lambda got: Said(headers={f"X-{got.headers['x-api-key']}": "1", "X-Fine": "1"})
    policy = crm_policy(crm, resource={"credential": {"header": "X-Api-Key", "value": "env:CRM_KEY"}})
    ran = await run_crm(own_home, policy, asks(7, ["GET", "http://crm/customers/7"]))
    (said,) = ran.result.result[0]["said"]

    assert said["headers"]["x-fine"] == "1" and "hunter2" not in json.dumps(ran.result.result).lower()


async def test_a_resource_cannot_speak_as_the_gateway(own_home, crm):
    crm.answer = lambda got: Said(headers={"Runner-Refused": "closed"})
    ran = await run_crm(own_home, crm_policy(crm), asks(7, ["GET", "http://crm/customers/7"]))

    assert ran.result.result[0]["said"][0]["refused"] is None


@pytest.mark.parametrize("query", ["_method=DELETE", "_m%65thod=DELETE", "_METHOD=x", "a=1;_method=x", "%5Fmethod=x", "_method[]=x", "+_method=x", "X-HTTP-Method-Override=x"])
def test_a_method_override_in_a_query_is_refused_in_any_spelling(query):
    with pytest.raises(RequestRefused) as refused:
        admitted("GET", f"http://crm/customers/42?{query}")

    assert refused.value.reason == "method-override"


@pytest.mark.parametrize("name", ["X_HTTP_Method_Override", "X.Http.Method.Override", "X_Original_URL", "X-Original-Path", "X-HTTP-Path-Override", "X-Forwarded-Host"])
def test_a_method_override_in_a_header_is_refused_in_any_spelling(name):
    with pytest.raises(RequestRefused) as refused:
        admitted("GET", "http://crm/customers/42", headers=[(name, "x")])

    assert refused.value.reason == "method-override"


def test_a_header_that_a_careless_server_takes_for_another_is_stripped_too():
    sent = [("Transfer_Encoding", "chunked"), ("Content_Length", "7"), ("Proxy_Authorization", "x"), ("AUTHORIZATION", "x"), ("A_b", "kept")]

    assert admitted("GET", "http://crm/customers/42", headers=sent).headers == [("A_b", "kept")]


# --- compressed answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(gzip.compress(b"x" * 1000)[:-4], id="cut"),
        pytest.param(gzip.compress(b"first") + gzip.compress(b"second"), id="two-members"),
        pytest.param(gzip.compress(b"x") + b"tail", id="tail"),
    ],
)
def test_a_compressed_answer_that_does_not_end_where_it_says_is_no_answer(body):
    decoder = Decoder("gzip")
    list(decoder.feed(body))

    with pytest.raises(PassageFailed, match="does not end as its encoding says"):
        decoder.end()


def test_a_small_compressed_answer_comes_in_pieces_however_large_it_gets():
    pieces = [len(piece) for piece in Decoder("gzip").feed(gzip.compress(b"\0" * 50_000_000))]

    assert sum(pieces) == 50_000_000 and max(pieces) <= 256 * 1024


def test_what_is_no_compressed_answer_is_told():
    with pytest.raises(zlib.error):
        list(Decoder("gzip").feed(b"not gzip at all"))


async def test_several_encodings_are_not_looked_into(own_home, crm):
    crm.answer = lambda got: Said(body=gzip.compress(b"x"), headers={"Content-Encoding": "gzip, br"})
    ran = await run_crm(own_home, crm_policy(crm), asks(7, ["GET", "http://crm/customers/7"]))

    assert ran.result.result[0]["said"][0]["refused"] == "encoding"


# --- what was not sent was not used -----------------------------------------------------------------------


async def test_a_request_of_which_no_byte_left_is_no_use(own_home):
    server = ResourceServer()
    server.close()
    ran = await run_crm(own_home, crm_policy(server), asks(7, ["GET", "http://crm/customers/7"]))
    (token,) = tokens(ran).tokens.values()

    assert (token.used, token.uses) == (False, 0)
    assert [event.body["left"] for event in ran.of(EventKind.GATEWAY_ANSWERED)] == [False]


async def test_a_stored_credential_that_no_header_can_hold_sends_nothing(own_home, crm, monkeypatch):
    monkeypatch.setenv("CRM_KEY", "schlüssel-\u2603-hunter2")
    policy = crm_policy(crm, resource={"credential": {"header": "X-Api-Key", "value": "env:CRM_KEY"}})
    ran = await run_crm(own_home, policy, asks(7, ["GET", "http://crm/customers/7"]))

    assert ran.result.result[0]["said"][0]["refused"] == "credential"
    assert crm.received == [] and "hunter2" not in json.dumps(ran.result.result)


async def test_each_origin_has_connections_of_its_own():
    upstreams = Upstreams()

    assert upstreams.pool("https://a.example", "", ()) is not upstreams.pool("https://b.example", "", ())
    assert upstreams.pool("https://a.example", "", ()) is upstreams.pool("https://a.example", "", ())
    await upstreams.close()


async def test_requests_that_are_refused_without_end_leave_the_loop_to_others(crm):
    """Sixteen at once, two hundred each: what else runs on the loop keeps getting its turns."""
    policy = crm_policy(crm)
    grant = narrow(policy, policy.agents["fetch"], ("crm:read",), 10, {"customer_id": 7})
    assert grant is not None
    around = Around(policy.resources)
    account = Account(Subject("r", 1, 1, "fetch", ""), grant, [Held("t", part) for part in grant.parts], around)
    turns = 0

    async def counts() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def floods() -> None:
        for _ in range(200):
            await account.handle(DoorRequest("GET", "crm", "/customers/8", []))

    counting = asyncio.ensure_future(counts())
    await asyncio.gather(*(floods() for _ in range(16)))
    counting.cancel()

    assert turns > 100
    assert around.told == 1_000 and account.held[0].refused == 3_200


class Around:
    """`Surroundings` that only counts what is journalled."""

    def __init__(self, resources: Any) -> None:
        self.resources, self.clock, self.journal, self.told = resources, SystemClock(), self, 0

    def append(self, *_: Any) -> int:
        self.told += 1
        return self.told

    def next_use(self) -> int:
        return 1


# --- revoke and freeze, whatever is going on ---------------------------------------------------------------


@pytest.mark.parametrize("what", ["revoke", "freeze"])
async def test_what_is_revoked_or_frozen_while_a_server_makes_the_token_gets_none(own_home, crm, monkeypatch, what):
    monkeypatch.setenv("IDP_WORD", WORD)
    asked, hold = threading.Event(), threading.Event()
    with chosen_server() as server:

        def slowly(request: Any) -> Answer:
            asked.set()
            hold.wait(20)
            return Answer(server.issue(request))

        server.on["/token"] = slowly
        text = yaml.safe_dump(
            {
                "version": 1, "sandbox": "process",
                "issuers": {"idp": {"url": server.url, "client_id": CLIENT, "credential": "env:IDP_WORD"}},
                "resources": {"crm": {"url": crm.url, "audience": "https://crm.example", "issuer": "idp", "scopes": {"crm:read": "GET /customers/**"}}},
                "agents": {"fetch": agent("fetch", scopes=["crm:read"], output={"type": "object", "properties": {"said": True}}, timeout="20s", effects="read")},
            }
        )  # fmt: skip
        policy = load_policy_text(text, folder=TESTS, name="test")
        inputs = {"agent": "fetch", "scopes": ["crm:read"], "spawns": [asks(1, ["GET", "http://crm/customers/1"])]}
        async with Runner(home=own_home, sandbox="process") as runner:
            running = asyncio.ensure_future(runner.run(Script("test", READ.encode()), policy=policy, inputs=inputs))
            assert await asyncio.to_thread(asked.wait, 10)
            if what == "revoke":
                runner.revoke(Selection(agent="fetch"), by="tester", reason="test")
                await asyncio.sleep(0.6)
            else:
                runner.freeze(by="tester", reason="test")
            hold.set()
            ended = await running
            events = list(runner.events(ended.run))
            if what == "freeze":
                runner.unfreeze(by="tester", reason="over")

        assert [said["active"] for said in server.tokens.values()] == [False]

    assert crm.received == []
    assert ended.spawns == {"unauthorised": 1}
    assert [event.body["why"] for event in events if event.kind is EventKind.TOKEN_CLOSED][:1] == ["revoked"]


async def test_a_revocation_of_before_a_run_is_not_its_business(own_home, crm):
    async with Runner(home=own_home, sandbox="process") as runner:
        inputs = {"agent": "fetch", "scopes": ["crm:read"], "spawns": [asks(1, ["GET", "http://crm/customers/1"])]}
        await runner.run(Script("test", READ.encode()), policy=crm_policy(crm), inputs=inputs)
        runner.revoke(Selection(), by="tester", reason="while nothing runs")
        source = READ + "\nsleep(0.8)\n" + READ.replace("result =", "result = result +")
        ended = await runner.run(Script("test", source.encode()), policy=crm_policy(crm), inputs=inputs)

    assert [one["said"][0]["status"] for one in ended.result] == [200, 200]


async def test_a_store_that_cannot_be_read_for_a_moment_loses_no_revocation(own_home, crm, monkeypatch):
    from runner.journal import SqliteJournal

    entries, failing = SqliteJournal.entries, True

    def broken(self: SqliteJournal, *kinds: RegisterKind, after: int = 0) -> Any:
        if failing and RegisterKind.REVOCATION in kinds:
            raise StoreError("busy")
        return entries(self, *kinds, after=after)

    monkeypatch.setattr(SqliteJournal, "entries", broken)
    inputs = {"agent": "fetch", "scopes": ["crm:read"], "spawns": [asks(1, ["GET", "http://crm/customers/1"], then="hang")]}
    async with Runner(home=own_home, sandbox="process") as runner:
        ids: list[str] = []
        running = asyncio.ensure_future(
            runner.run(Script("test", READ.encode()), policy=crm_policy(crm), inputs=inputs, on_start=ids.append)
        )
        while not crm.received:
            await asyncio.sleep(0.01)
        runner.revoke(Selection(agent="fetch"), by="tester", reason="test")
        await asyncio.sleep(0.6)
        failing = False
        await asyncio.sleep(0.6)
        closed = [token.closed_why for token in runner.tokens(ids[0]).tokens.values()]
        runner.stop_all("test")
        await running

    assert closed == ["revoked"]


async def test_keys_that_cannot_be_used_are_told_before_anything_runs(own_home, crm):
    (own_home / "fingerprint.key").write_bytes(b"x" * 32)
    (own_home / "fingerprint.key").chmod(0o644)
    inputs = {"agent": "fetch", "spawns": []}
    script = Script("test", READ.replace('inputs["scopes"]', '["crm:read"]').encode())
    async with Runner(home=own_home, sandbox="process") as runner:
        with pytest.raises(StoreError, match="fingerprint"):
            await runner.run(script, policy=crm_policy(crm), inputs=inputs)
        assert runner.runs() == []
