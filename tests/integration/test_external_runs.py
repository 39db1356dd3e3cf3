"""Whole runs with tokens of an independent authorization server: its own record is what ours is held against."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import Runner, Script
from runner.events import TokensView
from runner.policy import load_policy_text
from runner.policy.model import Policy
from tests.authorization_servers import CLIENT, CRM, WORD, OidcServer, digest, oidc_server
from tests.integration.test_gateway import FETCHED, asks
from tests.resource_server import ResourceServer
from tests.runs import TESTS, agent, run_script

READ = 'result = gather([spawn("fetch", one, scopes=["crm:read"], timeout=20) for one in inputs["spawns"]], on_error="none")'


@pytest.fixture(scope="module")
def oidc(tmp_path_factory):
    with oidc_server(tmp_path_factory.mktemp("oidc"), resources={CRM: "crm:read crm:write"}) as server:
        yield server


@pytest.fixture
def crm():
    with ResourceServer() as server:
        yield server


def policy_text(crm: ResourceServer, oidc_url: str, **issuer: Any) -> str:
    return yaml.safe_dump(
        {
            "version": 1, "sandbox": "process",
            "issuers": {"idp": {"url": oidc_url, "client_id": CLIENT, "credential": "env:IDP_WORD", "per_second": 1000, **issuer}},
            "resources": {"crm": {"url": crm.url, "audience": CRM, "issuer": "idp", "scopes": {"crm:read": "GET /customers/{inputs.customer_id}", "crm:odd": "GET /odd"}}},
            "agents": {"fetch": agent("fetch", scopes=["crm:read", "crm:odd"], output=FETCHED, timeout="20s", effects="read"), "echo": agent("echo")},
        }
    )  # fmt: skip


def policy_of(crm: ResourceServer, url: str, **issuer: Any) -> Policy:
    return load_policy_text(policy_text(crm, url, **issuer), folder=TESTS, name="test")


@pytest.fixture(autouse=True)
def word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDP_WORD", WORD)


def of_server(oidc: OidcServer, event: str, since: int) -> list[str]:
    return oidc.tokens(event)[since:]


async def test_what_the_server_issued_is_what_the_audit_says_and_all_of_it_is_revoked(own_home, oidc, crm, tmp_path):
    before = len(oidc.tokens("saved")), len(oidc.tokens("destroyed"))
    sent: list[str] = []
    said = crm.answer
    crm.answer = lambda got: (sent.append(got.headers["authorization"].removeprefix("Bearer ")), said(got))[1]
    spawns = [asks(n, ["GET", f"http://crm/customers/{n}"]) for n in range(12)]
    ran = await run_script(own_home, READ, policy=policy_of(crm, oidc.url), inputs={"spawns": spawns})
    view: TokensView = ran.view.tokens
    tokens = list(view.tokens.values())

    assert [one["said"][0]["status"] for one in ran.result.result] == [200] * 12
    assert Counter(of_server(oidc, "saved", before[0])) == Counter(map(digest, sent))
    assert len(tokens) == 12 and all(token.uses == 1 and token.used for token in tokens)
    assert Counter(token.state(time.time()) for token in tokens) == {"revoked": 12}
    assert {token.revoked_how for token in tokens} == {"confirmed"}
    assert {token.enforced for token in tokens} == {"host"}
    assert sorted(of_server(oidc, "destroyed", before[1])) == sorted(map(digest, sent))


@pytest.mark.writes_tokens
async def test_a_servers_own_log_agrees_with_the_audit_until_somebody_else_asks_in_our_name(own_home, oidc, crm, tmp_path):
    said, issued = crm.answer, []
    crm.answer = lambda got: (issued.append(got.headers["authorization"].removeprefix("Bearer ")), said(got))[1]
    spawns = [asks(n, ["GET", f"http://crm/customers/{n}"]) for n in range(3)]
    await run_script(own_home, READ, policy=policy_of(crm, oidc.url), inputs={"spawns": spawns})
    log = tmp_path / "issued.jsonl"

    def reconciled(tokens: list[str]) -> tuple[int, dict[str, Any]]:
        log.write_text("".join(json.dumps({"access_token": token}) + "\n" for token in tokens))
        done = subprocess.run(
            [sys.executable, "-m", "runner", "audit", "--reconcile", str(log), "--format", "json"], capture_output=True, text=True
        )
        return done.returncode, json.loads(done.stdout)

    assert reconciled(issued) == (0, {"version": 1, "agree": True, "matched": 3, "only_there": [], "only_here": []})
    code, told = reconciled([*issued[1:], "opaque-that-nobody-here-asked-for"])
    assert (code, told["matched"], told["only_there"], len(told["only_here"])) == (9, 2, [3], 1)


async def test_a_scope_that_the_server_drops_is_refused_and_nothing_stays_out(own_home, oidc, crm):
    before = len(oidc.tokens("saved")), len(oidc.tokens("destroyed"))
    source = 'h = spawn("fetch", inputs, scopes=["crm:read", "crm:odd"])\ngather([h], on_error="none")\nresult = [h.error.kind, str(h.error)]'
    ran = await run_script(own_home, source, policy=policy_of(crm, oidc.url), inputs=asks(1, ["GET", "http://crm/customers/1"]))
    (token,) = ran.view.tokens.tokens.values()

    assert ran.result.result[0] == "unauthorised"
    assert "crm" in ran.result.result[1] and "scope" not in ran.result.result[1]
    assert token.refused and token.state(time.time()) == "refused"
    assert len(oidc.tokens("saved")) - before[0] == len(oidc.tokens("destroyed")) - before[1]
    assert crm.received == []


async def test_a_token_is_exchanged_for_the_attempts_own_and_the_tree_is_on_the_record(own_home, oidc, crm):
    policy = policy_of(crm, oidc.url, grant="token_exchange")
    ran = await run_script(own_home, READ, policy=policy, inputs={"spawns": [asks(1, ["GET", "http://crm/customers/1"])]})
    tokens = list(ran.view.tokens.tokens.values())
    external = next(token for token in tokens if token.external)
    subject = next(token for token in tokens if not token.external)

    assert ran.result.result[0]["said"][0]["status"] == 200
    assert external.subject == subject.id
    assert (subject.audience, subject.scopes, subject.closed_why, subject.used) == (oidc.url, ("crm:read",), "exchanged", True)
    assert external.state(time.time()) == "revoked"


async def test_a_server_that_is_down_makes_a_spawn_unauthorised_and_a_fallback_may_follow(own_home, crm):
    source = 'result = spawn("fetch", inputs, scopes=["crm:read"], fallback=Fallback("echo", scopes=[])).result()'
    ran = await run_script(
        own_home, source, policy=policy_of(crm, "http://127.0.0.1:9"), inputs={**asks(1, ["GET", "http://crm/customers/1"]), "say": "fallen back"}
    )

    assert ran.result.result == {"said": "fallen back"}
    assert [token.refused != "" for token in ran.view.tokens.tokens.values()] == [True]


@pytest.mark.slow
def test_a_host_that_is_killed_leaves_no_external_token_out(own_home, oidc, crm, tmp_path):
    """`kill -9` with 20 tokens out: the server's own record says that all are revoked within 2 s."""
    before = len(oidc.tokens("saved")), len(oidc.tokens("destroyed"))
    (tmp_path / "policy.yaml").write_text(policy_text(crm, oidc.url).replace("actors:", "tests.actors:"))
    (tmp_path / "script.py").write_text(READ)
    inputs = {"spawns": [asks(n, ["GET", f"http://crm/customers/{n}"], then="hang") for n in range(20)]}
    host = subprocess.Popen(
        [sys.executable, "-m", "runner", "run", str(tmp_path / "script.py"), "--policy", str(tmp_path / "policy.yaml"), "--inputs", json.dumps(inputs), "--quiet", "--sandbox", "process"],
        cwd=TESTS.parent, env={**os.environ, "PYTHONPATH": str(TESTS.parent)}, stderr=subprocess.PIPE,
    )  # fmt: skip
    until = time.monotonic() + 60
    while len(crm.received) < 20 and time.monotonic() < until and host.poll() is None:
        time.sleep(0.02)
    assert len(crm.received) == 20, host.communicate()[1].decode()
    killed = time.time()
    os.kill(host.pid, signal.SIGKILL)
    host.communicate()
    issued = of_server(oidc, "saved", before[0])
    destroyed = oidc.wait(before[1] + 20, "destroyed")[before[1] :]
    ended = [event["at"] / 1000 for event in oidc.events if event["event"].endswith("destroyed")][-20:]

    assert sorted(issued) == sorted(destroyed) and len(issued) == 20
    assert max(ended) - killed < 2, "the last was revoked later than 2 s after the kill"
    told = _audited_until_closed(own_home)
    assert Counter((token.state(time.time()), token.used) for token in told) == {("revoked", True): 20}


def _audited_until_closed(home: Path) -> list[Any]:
    """The revoker writes down what it did as it ends; the next who opens the store records it."""
    until = time.monotonic() + 60
    while True:

        async def look() -> list[Any]:
            async with Runner(home=home) as runner:
                (run,) = runner.store.runs_with_tokens()
                return list(runner.tokens(run).tokens.values())

        found = asyncio.run(look())
        if time.monotonic() > until or not any(token.open_until(time.time()) for token in found):
            return found
        time.sleep(0.1)


async def test_revoking_an_agents_tokens_reaches_the_server(own_home, oidc, crm):
    from runner.credentials.selection import Selection

    before = len(oidc.tokens("destroyed"))
    inputs = {"spawns": [asks(n, ["GET", f"http://crm/customers/{n}"], then="hang") for n in range(3)]}
    async with Runner(home=own_home, sandbox="process") as runner:
        running = asyncio.ensure_future(runner.run(Script("test", READ.encode()), policy=policy_of(crm, oidc.url), inputs=inputs))
        while len(crm.received) < 3:
            await asyncio.sleep(0.01)
        runner.revoke(Selection(agent="fetch"), by="tester", reason="test")
        found = await asyncio.to_thread(oidc.wait, before + 3, "destroyed")
        runner.stop_all("test")
        await running

    assert len(found) == before + 3
