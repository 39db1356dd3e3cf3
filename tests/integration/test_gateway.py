"""Agents reach resources through the gateway: with the scopes that were asked, for the inputs that were given, on the record."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from runner import Runner, Script
from runner.errors import StoreError
from runner.events import EventKind, TokensView
from runner.models import RunState
from runner.policy.model import Policy
from tests import actors
from tests.resource_server import ResourceServer, Said
from tests.runs import ANY_OBJECT, Ran, agent, policy_of, run_script

FETCHED = {"type": "object", "properties": {"said": {"type": "array", "items": ANY_OBJECT}}, "required": ["said"]}
READ = 'result = gather([spawn(inputs["agent"], one, scopes=inputs["scopes"]) for one in inputs["spawns"]], on_error="none")'


@pytest.fixture
def crm():
    with ResourceServer() as server:
        yield server


def crm_policy(server: ResourceServer, *, resource: dict[str, Any] | None = None, **more: Any) -> Policy:
    scopes = ["crm:read", "crm:write"]
    written = {
        "url": f"{server.url}/api",
        "scopes": {"crm:read": ["GET,HEAD /customers/{inputs.customer_id}/**"], "crm:write": ["POST /customers/{inputs.customer_id}/notes"]},
        **(resource or {}),
    }  # fmt: skip
    agents = {
        name: agent(name, output=FETCHED, scopes=scopes, timeout="10s", effects="read") for name in ("fetch", "sync_fetch")
    }
    agents["late_fetch"] = agent("late_fetch", scopes=scopes)
    agents["raw"] = agent("raw", scopes=scopes, unsafe_raw_token=True, output={"type": "object", "properties": {"said": True}})
    agents["echo"] = agent("echo", scopes=scopes)
    return policy_of(agents=agents, resources={"crm": written}, **more)


def asks(customer: Any, *requests: list[Any], **more: Any) -> dict[str, Any]:
    return {"customer_id": customer, "requests": [list(one) for one in requests], **more}


async def run_crm(
    home: Path, policy: Policy, *spawns: dict[str, Any], scopes: tuple[str, ...] = ("crm:read",), agent: str = "fetch", source: str = READ
) -> Ran:
    return await run_script(
        home, source, policy=policy, inputs={"agent": agent, "scopes": list(scopes), "spawns": list(spawns)}
    )


def tokens(ran: Ran) -> TokensView:
    view: TokensView = ran.view.tokens
    return view


@pytest.mark.parametrize("agent", ["fetch", "sync_fetch"])
async def test_a_spawn_for_one_customer_cannot_read_another_with_the_same_scope(own_home, crm, agent):
    ran = await run_crm(
        own_home, crm_policy(crm),
        asks(42, ["GET", "http://crm/customers/42/orders"], ["GET", "http://crm/customers/43/orders"]),
        asks(43, ["GET", "http://crm/customers/43/orders"], ["GET", "http://crm/customers/42/orders"]),
        agent=agent,
    )  # fmt: skip

    assert [[one["status"] for one in said["said"]] for said in ran.result.result] == [[200, 403], [200, 403]]
    assert Counter(got.path for got in crm.received) == {"/api/customers/42/orders": 1, "/api/customers/43/orders": 1}
    assert [(use.path, use.refused) for use in tokens(ran).uses if use.refused] == [
        ("/customers/43/orders", "not-opened"), ("/customers/42/orders", "not-opened"),
    ] or len(tokens(ran).uses) == 4  # fmt: skip


async def test_every_request_that_arrived_is_in_the_audit_and_no_other(own_home, crm):
    spawns = [asks(n, *[["GET", f"http://crm/customers/{n}/{m}"] for m in range(n % 4)]) for n in range(20)]
    ran = await run_crm(own_home, crm_policy(crm), *spawns)
    view = tokens(ran)

    assert Counter(f"/api{use.path}" for use in view.uses) == Counter(got.path for got in crm.received)
    assert {use.status for use in view.uses} == {200}
    assert [token.uses for token in sorted(view.tokens.values(), key=lambda one: one.spawn)] == [n % 4 for n in range(20)]
    assert [token.used for token in sorted(view.tokens.values(), key=lambda one: one.spawn)] == [n % 4 > 0 for n in range(20)]
    assert all(token.closed_at and token.closed_why == "ok" and token.observed == "gateway only" for token in view.tokens.values())


async def test_the_resource_gets_the_attempts_token_and_the_agent_never_its_bytes(own_home, crm):
    crm.answer = lambda got: Said(body=json.dumps(got.headers).encode(), headers={"X-Echo": got.headers["authorization"]})
    ran = await run_crm(
        own_home, crm_policy(crm), asks(7, ["GET", "http://crm/customers/7/x", {"Authorization": "Bearer mine", "X-Mine": "1"}])
    )
    (received,) = crm.received
    scheme, _, token = received.headers["authorization"].partition(" ")
    (said,) = ran.result.result[0]["said"]

    assert scheme == "Bearer" and token.count(".") == 2
    assert received.headers["x-mine"] == "1" and received.headers["accept-encoding"] == "identity"
    assert token not in json.dumps(ran.result.result)
    assert said["headers"]["x-echo"] == "Bearer [redacted]" and "[redacted]" in said["text"]
    assert [event.body["redacted"] for event in ran.of(EventKind.GATEWAY_ANSWERED)] == [2]


async def test_a_stored_credential_goes_on_the_request_under_the_same_scopes(own_home, crm, monkeypatch):
    monkeypatch.setenv("CRM_KEY", "sk-hunter2-hunter2")
    crm.answer = lambda got: Said(body=str(got.headers).encode())
    policy = crm_policy(crm, resource={"credential": {"header": "X-Api-Key", "value": "env:CRM_KEY", "prefix": "Key "}})
    ran = await run_crm(own_home, policy, asks(7, ["GET", "http://crm/customers/7"], ["GET", "http://crm/customers/8"]))

    assert [(got.path, got.headers["x-api-key"], got.headers.get("authorization")) for got in crm.received] == [
        ("/api/customers/7", "Key sk-hunter2-hunter2", None)
    ]
    assert "hunter2" not in json.dumps(ran.result.result)
    assert [token.uses for token in tokens(ran).tokens.values()] == [1]


async def test_a_stored_credential_that_cannot_be_read_sends_nothing(own_home, crm, monkeypatch):
    monkeypatch.delenv("CRM_KEY", raising=False)
    policy = crm_policy(crm, resource={"credential": {"header": "X-Api-Key", "value": "env:CRM_KEY"}})
    ran = await run_crm(own_home, policy, asks(7, ["GET", "http://crm/customers/7"]))

    assert ran.result.result[0]["said"][0]["status"] == 502
    assert (crm.received, [use.refused for use in tokens(ran).uses]) == ([], ["credential"])


async def test_inputs_that_do_not_fit_into_a_path_deny_the_spawn_before_a_token_exists(own_home, crm):
    ran = await run_crm(own_home, crm_policy(crm), asks("4/2"), asks(".."), asks(""), asks("4%2F2"), {"requests": []})

    assert ran.result.spawns == {"denied": 5}
    assert {event.body["rule"] for event in ran.of(EventKind.SPAWN_DENIED)} == {"scopes-not-bound"}
    assert (ran.of(EventKind.TOKEN_INTENT), ran.of(EventKind.ATTEMPT_STARTED)) == ([], [])


async def test_inputs_that_the_host_fills_in_are_bound_as_well(own_home, crm):
    source = """
one = spawn("echo", {"customer_id": 1, "say": 9}, scopes=[])
filled = spawn("fetch", {"customer_id": one["said"], "requests": [["GET", "http://crm/customers/9"], ["GET", "http://crm/customers/1"]]}, scopes=["crm:read"])
result = [said["status"] for said in filled.result()["said"]]
"""
    ran = await run_crm(own_home, crm_policy(crm), source=source)

    assert ran.result.result == [200, 403]


async def test_no_scope_no_token_and_no_door(own_home, crm):
    ran = await run_crm(own_home, crm_policy(crm), asks(7, ["GET", "http://crm/customers/7"]), scopes=())

    assert ran.result.spawns == {"failed": 1}
    assert (ran.of(EventKind.TOKEN_INTENT), crm.received) == ([], [])


async def test_a_spawn_beyond_its_grant_is_refused_before_a_token_exists(own_home, crm):
    ran = await run_crm(own_home, crm_policy(crm), asks(7), scopes=("crm:read", "crm:delete"))

    assert [event.body["rule"] for event in ran.of(EventKind.SPAWN_DENIED)] == ["scopes-not-granted"]
    assert ran.of(EventKind.TOKEN_INTENT) == []


async def test_a_redirect_within_the_resource_is_passed_on_and_one_to_elsewhere_is_not(own_home, crm):
    places = {"/api/customers/7/a": "/api/customers/7/b", "/api/customers/7/c": "http://evil.example/x", "/api/customers/7/d": "//evil.example/x"}
    crm.answer = lambda got: Said(302, b"", {"Location": places[got.path]}) if got.path in places else Said()
    ran = await run_crm(own_home, crm_policy(crm), asks(7, *[["GET", f"http://crm/customers/7/{x}"] for x in "acd"]))

    assert [said["status"] for said in ran.result.result[0]["said"]] == [302, 502, 502]
    assert [use.failure for use in tokens(ran).uses] == ["", "redirect", "redirect"]


async def test_an_answer_that_is_compressed_all_the_same_is_looked_into(own_home, crm):
    crm.answer = lambda got: Said(
        body=gzip.compress(got.headers["authorization"].encode()), headers={"Content-Encoding": "gzip"}
    )
    ran = await run_crm(own_home, crm_policy(crm), asks(7, ["GET", "http://crm/customers/7"]))

    assert ran.result.result[0]["said"][0]["text"] == "Bearer [redacted]"


async def test_an_answer_that_nobody_can_look_into_is_not_passed_on(own_home, crm):
    crm.answer = lambda got: Said(body=b"x", headers={"Content-Encoding": "br"})
    ran = await run_crm(own_home, crm_policy(crm), asks(7, ["GET", "http://crm/customers/7"]))

    assert ran.result.result[0]["said"][0]["refused"] == "encoding"


async def test_a_resource_that_is_down_is_told_and_recorded(own_home):
    server = ResourceServer()
    server.close()
    ran = await run_crm(own_home, crm_policy(server), asks(7, ["GET", "http://crm/customers/7"]))

    assert ran.result.result[0]["said"][0]["refused"] == "unreachable"
    assert [use.failure for use in tokens(ran).uses] == ["unreachable"]


async def test_a_private_address_that_the_policy_does_not_list_is_not_connected_to(own_home, crm):
    policy = crm_policy(crm, resource={"url": f"http://localhost:{crm.port}/api"})
    ran = await run_crm(own_home, policy, asks(7, ["GET", "http://crm/customers/7"]))

    assert ran.result.result[0]["said"][0]["refused"] == "address"
    assert crm.received == []


async def test_proxy_variables_are_ignored(own_home, crm, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    ran = await run_crm(own_home, crm_policy(crm), asks(7, ["GET", "http://crm/customers/7"]))

    assert ran.result.result[0]["said"][0]["status"] == 200


async def test_query_and_body_are_recorded_only_where_the_policy_says_so(own_home, crm):
    ask = asks(7, ["POST", "http://crm/customers/7/notes?kind=call", None, "private words"])
    silent = await run_crm(own_home, crm_policy(crm), ask, scopes=("crm:write",))
    told = await run_crm(own_home, crm_policy(crm, resource={"record": ["query", "body"]}), ask, scopes=("crm:write",))

    assert [got.body for got in crm.received] == [b"private words"] * 2
    assert [(use.query, use.body) for use in tokens(silent).uses] == [("", "")]
    assert [(use.query, use.body) for use in tokens(told).uses] == [("kind=call", "private words")]


# --- the end of an attempt ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "then", "why"),
    [("fetch", "raise", "failed"), ("fetch", "hang", "timed_out"), ("sync_fetch", "die", "failed"), ("sync_fetch", "hang", "timed_out")],
)
async def test_a_token_is_closed_on_every_outcome_before_its_spawn_settles(own_home, crm, agent, then, why):
    source = READ.replace("scopes=inputs", "timeout=1, scopes=inputs")
    ran = await run_crm(own_home, crm_policy(crm), asks(7, ["GET", "http://crm/customers/7"], then=then), agent=agent, source=source)
    order = [event.kind for event in ran.events if event.kind in (EventKind.TOKEN_CLOSED, EventKind.SPAWN_SETTLED)]

    assert [token.closed_why for token in tokens(ran).tokens.values()] == [why]
    assert [token.uses for token in tokens(ran).tokens.values()] == [1]
    assert order == [EventKind.TOKEN_CLOSED, EventKind.SPAWN_SETTLED]


async def test_each_attempt_has_a_token_of_its_own_and_a_pause_none(own_home, crm):
    source = 'h = spawn("fetch", inputs["spawns"][0], scopes=["crm:read"], retry=Retry(attempts=2, backoff=0.2), fallback="echo")\nresult = h.result()'
    ran = await run_crm(own_home, crm_policy(crm), asks(7, ["GET", "http://crm/customers/7"], then="raise"), source=source)
    of_tokens = [event for event in ran.events if str(event.kind).startswith("token_") or event.kind is EventKind.ATTEMPT_FAILED]
    kinds = [str(event.kind) for event in of_tokens]

    assert kinds == ["token_issued", "token_closed", "attempt_failed"] * 3 + ["token_issued", "token_closed"]
    assert [(token.attempt, token.agent, token.uses) for token in tokens(ran).tokens.values()] == [
        (1, "fetch", 1), (2, "fetch", 1), (3, "fetch", 1), (4, "echo", 0),
    ]  # fmt: skip


async def test_nothing_is_sent_once_the_attempt_is_over(own_home, crm):
    actors_of_run = await run_crm(
        own_home, crm_policy(crm), {"customer_id": 7, "url": "http://crm/customers/7"}, agent="late_fetch",
        source=READ + '\nsleep(0.3)',
    )  # fmt: skip
    module = _actors_module()
    await asyncio.gather(*module.PENDING)

    assert actors_of_run.result.state is RunState.DONE
    assert module.LATE[-1] == 403
    assert crm.received == []


def _actors_module() -> Any:
    """The module as policies import it: a copy of its own."""
    import sys

    found = [module for name, module in list(sys.modules.items()) if name.endswith(".actors") and module is not actors]
    return next(module for module in found if getattr(module, "PENDING", None))


async def test_a_request_on_its_way_is_cut_when_the_attempt_ends(own_home, crm):
    hold = threading.Event()
    crm.answer = lambda got: Said(hold=hold)
    ran = await run_crm(
        own_home, crm_policy(crm), asks(7, ["GET", "http://crm/customers/7"]), source=READ.replace("scopes=inputs", "timeout=0.5, scopes=inputs")
    )
    hold.set()

    assert ran.result.spawns == {"timed_out": 1}
    assert [(use.status, use.failure, use.answered) for use in tokens(ran).uses] == [(0, "cut", True)]
    assert [token.used for token in tokens(ran).tokens.values()] == [True]


async def test_a_stopped_run_leaves_no_token_open(own_home, crm):
    script = Script("test", READ.encode())
    inputs = {"agent": "fetch", "scopes": ["crm:read"], "spawns": [asks(n, ["GET", f"http://crm/customers/{n}"], then="hang") for n in range(5)]}
    async with Runner(home=own_home, sandbox="process") as runner:
        running = asyncio.ensure_future(runner.run(script, policy=crm_policy(crm), inputs=inputs))
        while len(crm.received) < 5:
            await asyncio.sleep(0.02)
        runner.stop_all("test")
        ended = await running
        view = runner.tokens(ended.run)

    assert ended.state is RunState.STOPPED
    assert Counter((token.closed_why, token.state(0)) for token in view.tokens.values()) == {("cancelled", "closed"): 5}


async def test_a_raw_token_is_handed_out_only_where_the_policy_says_so_and_its_use_is_unknown(own_home, crm):
    ran = await run_crm(own_home, crm_policy(crm), {"customer_id": 7}, agent="raw")
    ((name, length),) = ran.result.result[0]["said"]
    (token,) = tokens(ran).tokens.values()

    assert name == "crm" and length > 100
    assert (token.raw, token.used, token.observed) == (True, None, "none")


# --- on demand ------------------------------------------------------------------------------------------


async def test_a_frozen_host_begins_no_spawn_and_no_attempt(own_home, crm):
    source = """
first = spawn("fetch", inputs["spawns"][0], scopes=["crm:read"]).result()
sleep(0.4)
second = spawn("fetch", inputs["spawns"][0], scopes=["crm:read"])
third = spawn("echo", {})
gather([second, third], on_error="none")
result = [second.error.kind, third.error.kind, str(third.error)]
"""
    async with Runner(home=own_home, sandbox="process") as runner:
        inputs = {"spawns": [asks(7, ["GET", "http://crm/customers/7"])]}
        running = asyncio.ensure_future(runner.run(Script("test", source.encode()), policy=crm_policy(crm), inputs=inputs))
        while not crm.received:
            await asyncio.sleep(0.01)
        async with Runner(home=own_home) as other:
            assert other.freeze(by="tester", reason="test")
            assert not other.freeze(by="tester", reason="again")
            ended = await running
            assert other.unfreeze(by="tester", reason="over")
        again = await runner.run(Script("test", b'result = spawn("echo", {}).result()'), policy=crm_policy(crm))

    assert ended.result[:2] == ["denied", "denied"]
    assert "frozen" in ended.result[2]
    assert again.state is RunState.DONE
    assert len(crm.received) == 1


@pytest.mark.parametrize("selected", ["run", "spawn", "agent", "scope", "token", "all"])
async def test_revoking_closes_what_is_selected_at_once_and_mints_no_such_token_again(own_home, crm, selected):
    from runner.credentials.selection import Selection

    source = """
handles = [spawn("fetch", one, scopes=["crm:read"], timeout=10, retry=1) for one in inputs["spawns"]]
sleep(1)
for handle in handles:
    handle.cancel()
later = spawn("fetch", inputs["later"], scopes=["crm:read"])
gather([later], on_error="none")
result = later.error.kind if later.error else "ok"
"""
    waits = asks(1, ["GET", "http://crm/customers/1"], then="hang")
    inputs = {"spawns": [waits, {**waits, "customer_id": 2, "requests": [["GET", "http://crm/customers/2"]]}], "later": asks(3, ["GET", "http://crm/customers/3"])}
    async with Runner(home=own_home, sandbox="process") as runner:
        ids: list[str] = []
        running = asyncio.ensure_future(
            runner.run(Script("test", source.encode()), policy=crm_policy(crm), inputs=inputs, on_start=ids.append)
        )
        while len(crm.received) < 2:
            await asyncio.sleep(0.01)
        (run,) = ids
        first = next(iter(runner.tokens(run).tokens.values()))
        selection = {
            "run": Selection(run=run), "spawn": Selection(run=run, spawn=1), "agent": Selection(agent="fetch"),
            "scope": Selection(scope="crm:read"), "token": Selection(token=first.id), "all": Selection(),
        }[selected]  # fmt: skip
        runner.revoke(selection, by="tester", reason="test")
        active_at_once = runner.token_active(first.id)
        await asyncio.sleep(0.6)
        closed = [token.closed_why for token in runner.tokens(run).tokens.values()]
        ended = await running

    one_only = selected in ("spawn", "token")
    assert active_at_once is False
    assert closed == ["revoked", "" if one_only else "revoked"]
    assert ended.result == ("ok" if one_only else "unauthorised")


async def test_what_descends_from_a_revoked_spawn_is_revoked_with_it(own_home, crm):
    from runner.credentials.selection import Selection

    source = """
root = spawn("echo", {"customer_id": 1, "say": 5}, scopes=["crm:read"])
child = spawn("fetch", {"customer_id": root["said"], "requests": [["GET", "http://crm/customers/5"]], "then": "hang"}, scopes=["crm:read"])
other = spawn("fetch", {"customer_id": 6, "requests": [["GET", "http://crm/customers/6"]], "then": "hang"}, scopes=["crm:read"])
sleep(1)
later = spawn("fetch", {"customer_id": root["said"], "requests": []}, scopes=["crm:read"])
gather([later], on_error="none")
result = later.error.kind
"""
    async with Runner(home=own_home, sandbox="process") as runner:
        ids: list[str] = []
        running = asyncio.ensure_future(
            runner.run(Script("test", source.encode()), policy=crm_policy(crm), inputs={}, on_start=ids.append)
        )
        while len(crm.received) < 2:
            await asyncio.sleep(0.01)
        runner.revoke(Selection(run=ids[0], spawn=1), by="tester", reason="test")
        await asyncio.sleep(0.6)
        closed = {token.spawn: token.closed_why for token in runner.tokens(ids[0]).tokens.values()}
        ended = await running

    assert closed == {1: "ok", 2: "revoked", 3: ""}
    assert ended.result == "unauthorised"


async def test_a_journal_that_cannot_be_written_lets_nothing_leave(own_home, crm, monkeypatch):
    from runner.journal import run as journal_run

    original = journal_run.SqliteRunJournal.durable
    calls = 0

    async def durable(self: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:  # The first is of the run's start.
            raise StoreError("the disk is full")
        await original(self)

    monkeypatch.setattr(journal_run.SqliteRunJournal, "durable", durable)
    inputs = {"agent": "fetch", "scopes": ["crm:read"], "spawns": [asks(7, ["GET", "http://crm/customers/7"])]}
    async with Runner(home=own_home, sandbox="process") as runner:
        with pytest.raises(StoreError, match="disk is full"):
            await runner.run(Script("test", READ.encode()), policy=crm_policy(crm), inputs=inputs)

    assert crm.received == []


HOSTILE_SCOPES = [
    "crm:read\u00a0", "crm:read\n", "\tcrm:read", "crm:read crm:write", "CRM:READ", "crm:*", "*", "crm:read\x00", "crm", "crm:read/..", "сrm:read",
]  # fmt: skip


@pytest.mark.parametrize("scopes", [*([one] for one in HOSTILE_SCOPES), ["crm:read", "crm:read"], ["crm:read"] * 200], ids=repr)
async def test_scopes_that_only_look_like_granted_ones_are_denied_and_mint_nothing(own_home, crm, scopes):
    ran = await run_crm(own_home, crm_policy(crm), asks(7, ["GET", "http://crm/customers/7"]), scopes=tuple(scopes))

    assert ran.result.spawns == {"denied": 1}
    assert [event for event in ran.events if str(event.kind).startswith("token_")] == []


@pytest.mark.parametrize("scopes", ['["crm:read"] * 10_000', '["x" * 100_000]', "[1]", '"crm:read"', '[""]'])
async def test_scopes_that_are_no_list_of_scopes_raise_in_the_script(own_home, crm, scopes):
    source = f'try:\n    spawn("fetch", {{}}, scopes={scopes})\n    result = "asked"\nexcept Exception as error:\n    result = "refused"'
    ran = await run_crm(own_home, crm_policy(crm), source=source)

    assert ran.result.result == "refused" or ran.result.state is RunState.REJECTED
    assert ran.of(EventKind.SPAWN_REQUESTED) == []


@pytest.mark.parametrize("timeout", ["-1", "0", 'float("nan")', 'float("inf")', "True", "1e308", '"5"', "61"])
async def test_timeouts_that_are_none_mint_nothing(own_home, crm, timeout):
    source = f'h = None\ntry:\n    h = spawn("fetch", {{"customer_id": 1, "requests": []}}, scopes=["crm:read"], timeout={timeout})\n    gather([h], on_error="none")\nexcept Exception:\n    pass\nresult = h.error.kind if h is not None else "refused"'
    ran = await run_crm(own_home, crm_policy(crm), source=source)

    assert ran.result.state is RunState.REJECTED or ran.result.result in ("refused", "denied"), ran.result
    assert [event for event in ran.events if str(event.kind).startswith("token_")] == []
