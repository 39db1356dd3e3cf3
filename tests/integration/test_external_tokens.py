"""External tokens against an independent server: its own record says what was issued and what was revoked.

Whatever becomes of the host, of the revoker and of requests under way, no token stays out.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from joserfc.jwk import ECKey

from runner.clock import SystemClock
from runner.credentials import revoker_host
from runner.credentials.external import ExternalIssuer, Revoker
from runner.credentials.spool import FOLDER, read_spools
from runner.models import Token
from runner.policy.model import Reference
from runner.policy.references import read_reference
from runner.seams import Issued, NotIssued, NotRevoked
from tests.authorization_servers import (
    CLIENT,
    DROP,
    HANG,
    WORD,
    Answer,
    chosen_server,
    digest,
    oidc_client,
    oidc_server,
)  # fmt: skip
from tests.external_host import HOST, entry, issue_many, issuer, order

ROOT = Path(__file__).parents[2]
KEY = ECKey.generate_key("P-256", auto_kid=True)
# The issue's bound for a host that was killed is 2 s. Processes of other tests run beside these.
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def oidc(tmp_path_factory):
    """One server for the tests that only count what they themselves did; its clients differ in how they log in."""
    signed = oidc_client(
        client_id="signing", token_endpoint_auth_method="private_key_jwt", jwks={"keys": [KEY.as_dict(private=False)]}
    )
    del signed["client_secret"]
    with oidc_server(tmp_path_factory.mktemp("oidc"), clients=[oidc_client(), signed]) as server:
        yield server


@pytest.fixture
async def revoker(own_home):
    found = Revoker(own_home, HOST)
    yield found
    await found.close()


async def until(holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        await asyncio.sleep(0.01)
    assert holds()


def spooled(home: Path) -> list[dict[str, Any]]:
    return [line for _, lines in read_spools(home / FOLDER) for line in lines]


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Host:
    """`tests.external_host`, started."""

    def __init__(self, url: str, home: Path, count: int, **settings: Any) -> None:
        chosen = {"url": url, "home": str(home), "count": count, **settings}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.external_host", json.dumps(chosen)], cwd=ROOT, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self.revoker: int = self.heard("revoker")

    def heard(self, what: str) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())[what]

    def kill(self) -> float:
        """Kill it. Return when, in the server's time."""
        self.process.kill()
        at = time.time() * 1000
        self.process.communicate()
        return at


# --- what is issued here is issued there -----------------------------------------------------


async def test_what_is_issued_here_is_what_was_issued_there(oidc, revoker):
    before = len(oidc.tokens("saved"))
    issued = await issue_many(issuer(oidc.url, revoker), 20)

    assert sorted(oidc.tokens("saved")[before:]) == sorted(digest(one.token.reveal()) for one in issued)
    assert {one.stated for one in issued} == {("crm:read",)}
    assert {round(one.expires_at - one.issued_at) for one in issued} == {600}
    assert abs(issued[0].issued_at - time.time()) < 60
    await asyncio.gather(*map(issuer(oidc.url, revoker).revoke, issued))


async def test_what_is_revoked_here_is_revoked_there(oidc, revoker):
    server = issuer(oidc.url, revoker)
    issued = await issue_many(server, 5)
    hows = await asyncio.gather(*map(server.revoke, issued))

    assert hows == ["confirmed"] * 5
    assert set(oidc.tokens("destroyed")) >= {digest(one.token.reveal()) for one in issued}


@pytest.mark.parametrize("scopes", [("crm:read", "crm:unknown"), ("crm:unknown",)])
async def test_a_scope_that_the_server_drops_is_noticed_and_nothing_stays_out(oidc, revoker, scopes):
    """oidc-provider answers 200 with less."""
    before = len(oidc.tokens("saved"))
    with pytest.raises(NotIssued, match="what it gave is revoked"):
        await issuer(oidc.url, revoker).issue(order(scopes=scopes))

    made = oidc.tokens("saved")[before:]
    assert len(made) == 1
    assert made[0] in oidc.tokens("destroyed")


async def test_a_resource_that_the_server_does_not_know_is_refused(oidc, revoker):
    with pytest.raises(NotIssued) as caught:
        await issuer(oidc.url, revoker).issue(order(audience="https://hr.example"))

    assert str(caught.value) == 'issuer "idp": it answered invalid_target (status 400)'
    assert not caught.value.may_be_out


async def test_a_wrong_credential_is_refused(oidc, revoker):
    with pytest.raises(NotIssued, match="it answered invalid_client"):
        await issuer(oidc.url, revoker, read_reference=lambda _: "a wrong word").issue(order())


async def test_a_credential_that_cannot_be_read_is_refused_before_anybody_is_asked(oidc, revoker, monkeypatch):
    monkeypatch.delenv("IDP_CREDENTIAL", raising=False)
    server = issuer(oidc.url, revoker, read_reference=lambda ref: read_reference(ref, Path("/")))
    with pytest.raises(NotIssued) as caught:
        await server.issue(order())

    assert str(caught.value) == 'issuer "idp": env:IDP_CREDENTIAL is not set'
    assert revoker.pid == 0


async def test_authorization_details_are_granted_as_asked(oidc, revoker):
    details = [{"type": "customer", "id": "4"}]
    server = issuer(oidc.url, revoker)
    issued = await server.issue(order(details=details))

    assert await server.revoke(issued) == "confirmed"


@pytest.mark.parametrize("form", ["PEM", "JWK"])
async def test_a_private_key_logs_in(oidc, revoker, form):
    text = KEY.as_pem(private=True).decode() if form == "PEM" else json.dumps(KEY.as_dict(private=True))
    server = issuer(oidc.url, revoker, client_id="signing", auth="private_key_jwt", read_reference=lambda _: text)
    issued = await server.issue(order())

    assert await server.revoke(issued) == "confirmed"


async def test_an_attempts_own_token_is_exchanged(oidc, revoker):
    async def mine(asked: Any) -> Issued:
        return Issued(order(99, audience=oidc.url), Token("the.subjects.token"), time.time(), time.time() + 60)

    server = issuer(oidc.url, revoker, grant="token_exchange", subject=mine)
    issued = await server.issue(order())

    exchanged = [found for found in oidc.events if found["event"] == "exchanged"][-1]
    assert exchanged["token"] == digest(issued.token.reveal())
    assert exchanged["subject"] == digest("the.subjects.token")
    assert exchanged["type"] == "urn:ietf:params:oauth:token-type:jwt"
    assert issued.subject_id == order(99).id
    assert await server.revoke(issued) == "confirmed"


async def test_a_subject_token_that_is_kept_elsewhere_is_exchanged(oidc, revoker):
    subject = Reference("env", ("SUBJECT",))
    kept = replace(entry(oidc.url), grant="token_exchange", subject=subject)
    server = ExternalIssuer(
        kept, read_reference=lambda ref: "kept" if ref == subject else WORD, revoker=revoker, clock=SystemClock()
    )
    issued = await server.issue(order())

    assert [found for found in oidc.events if found["event"] == "exchanged"][-1]["subject"] == digest("kept")
    assert issued.subject_id == ""
    assert await server.revoke(issued) == "confirmed"


async def test_a_credential_is_read_again_after_a_moment_not_for_each_order(oidc, revoker):
    reads: list[float] = []

    class Clock(SystemClock):
        moved = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.moved

    clock = Clock()
    server = issuer(oidc.url, revoker, clock=clock, read_reference=lambda _: reads.append(0) or WORD)
    issued = await issue_many(server, 5)
    within = len(reads)
    clock.moved = 11
    issued.append(await server.issue(order(6)))
    await asyncio.gather(*map(server.revoke, issued))

    assert (within, len(reads)) == (1, 2)


# --- the host dies ---------------------------------------------------------------------------


@pytest.mark.parametrize("attempt", range(3))
def test_a_killed_host_leaves_no_token_out(tmp_path, own_home, attempt, record_property):
    with oidc_server(tmp_path) as server:
        host = Host(server.url, own_home, 20)
        issued = host.heard("issued")
        killed_at = host.kill()
        destroyed = server.wait(20, "destroyed", PATIENCE_SECONDS)
        last = max(found["at"] for found in server.events if found["event"] == "client_credentials.destroyed")

        assert issued == 20
        assert sorted(destroyed) == sorted(server.tokens("saved"))
        record_property("revoked_after_ms", last - killed_at)
        print(f"20 tokens revoked {last - killed_at:.0f} ms after the kill")
        assert last - killed_at < 2_000
        wait_for(lambda: ended(host.revoker))
    assert [line["how"] for line in spooled(own_home)] == ["confirmed"] * 20
    assert {line["token"] for line in spooled(own_home)} == {order(number).id for number in range(1, 21)}
    assert {line["run"] for line in spooled(own_home)} == {"run-1"}


def wait_for(holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    assert holds()


def test_signals_that_end_a_whole_group_end_the_host_first(tmp_path, own_home):
    with oidc_server(tmp_path) as server:
        host = Host(server.url, own_home, 5)
        host.heard("issued")
        session = os.getsid(host.revoker)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            os.kill(host.revoker, number)
        time.sleep(0.1)
        held = server.tokens("destroyed") == [] and not ended(host.revoker)
        host.kill()

        assert session == host.revoker
        assert held
        assert len(server.wait(5, "destroyed", PATIENCE_SECONDS)) == 5
        wait_for(lambda: ended(host.revoker))


def test_a_child_that_holds_the_pipes_of_a_killed_host_holds_up_nothing(tmp_path, own_home):
    with oidc_server(tmp_path) as server:
        host = Host(server.url, own_home, 5, child=True)
        child = host.heard("child")
        host.heard("issued")
        host.process.kill()
        host.process.wait()
        try:
            destroyed = server.wait(5, "destroyed", PATIENCE_SECONDS)
            lives = not ended(child)
        finally:
            os.kill(child, signal.SIGKILL)

        assert lives
        assert len(destroyed) == 5
        wait_for(lambda: ended(host.revoker))


def test_a_host_that_is_killed_while_it_asks_leaves_no_token_out(tmp_path, own_home):
    with oidc_server(tmp_path, delay=1_000) as server:
        host = Host(server.url, own_home, 20)
        server.wait(20, "asked")
        before = server.tokens("saved")
        host.kill()
        saved = server.wait(20, "saved", PATIENCE_SECONDS)
        destroyed = server.wait(20, "destroyed", PATIENCE_SECONDS)

        assert before == []
        assert len(saved) == 20
        assert sorted(destroyed) == sorted(saved)
        wait_for(lambda: ended(host.revoker))


def test_a_host_that_ends_leaves_the_rest_to_its_revoker(tmp_path, own_home):
    with oidc_server(tmp_path) as server:
        host = Host(server.url, own_home, 10, seconds=0)
        host.heard("issued")

        assert host.process.wait(PATIENCE_SECONDS) == 0
        assert len(server.wait(10, "destroyed", PATIENCE_SECONDS)) == 10
        host.process.communicate()
        wait_for(lambda: ended(host.revoker))
    assert len(spooled(own_home)) == 10


def test_a_server_that_is_down_for_a_moment_is_asked_again_when_the_host_is_gone(own_home):
    with chosen_server() as server:
        tries: list[float] = []

        def revoke(asked: Any) -> Answer:
            tries.append(time.monotonic())
            if len(tries) <= 6:
                return Answer(status=500, seconds=DROP if len(tries) % 2 else 0.0)
            server.tokens[asked.fields["token"]] = {"active": False}
            return Answer()

        server.on["/revoke"] = revoke
        host = Host(server.url, own_home, 2)
        host.heard("issued")
        host.kill()
        wait_for(lambda: ended(host.revoker), 20)

        assert list(server.tokens.values()) == [{"active": False}] * 2
    assert [line["how"] for line in spooled(own_home)] == ["confirmed"] * 2


# --- the revoker dies ------------------------------------------------------------------------


async def test_a_lost_revoker_is_replaced_and_told_what_is_out(oidc, own_home):
    revoker = Revoker(own_home, HOST)
    server = issuer(oidc.url, revoker)
    issued = await issue_many(server, 10)
    first = revoker.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: revoker.pid not in (0, first))
    one = await server.issue(order(11))
    confirmed = await server.revoke(issued[0])
    await revoker.close()
    tokens = {digest(found.token.reveal()) for found in [*issued, one]}

    await until(lambda: tokens <= set(oidc.tokens("destroyed")))
    assert confirmed == "confirmed"


async def test_an_order_under_way_is_lost_with_its_revoker(own_home):
    revoker = Revoker(own_home, HOST)
    with chosen_server() as chosen:
        chosen.on["/token"] = Answer(seconds=HANG)
        asking = asyncio.create_task(issuer(chosen.url, revoker).issue(order()))
        await until(lambda: bool(chosen.paths("/token")))
        os.kill(revoker.pid, signal.SIGKILL)
        with pytest.raises(NotIssued, match="the revoker was lost") as caught:
            await asking
        await revoker.close()

    assert caught.value.may_be_out


async def test_a_revocation_under_way_is_lost_with_its_revoker_and_can_be_asked_again(own_home):
    revoker = Revoker(own_home, HOST)
    with chosen_server() as chosen:
        server = issuer(chosen.url, revoker)
        issued = await server.issue(order())
        chosen.on["/revoke"] = Answer(seconds=HANG)
        revoking = asyncio.create_task(server.revoke(issued))
        await until(lambda: bool(chosen.paths("/revoke")))
        os.kill(revoker.pid, signal.SIGKILL)
        with pytest.raises(NotRevoked, match="the revoker was lost"):
            await revoking
        del chosen.on["/revoke"]
        how = await server.revoke(issued)
        await revoker.close()

    assert how == "confirmed"


async def test_a_revoker_that_cannot_be_started_gives_no_token(own_home, oidc, monkeypatch):
    monkeypatch.setattr(revoker_host, "command", lambda spool: (["/bin/false"], {}))
    revoker = Revoker(own_home, HOST)
    with pytest.raises(NotIssued, match="the revoker cannot be started: it ended at once"):
        await issuer(oidc.url, revoker).issue(order())
    await revoker.close()


# --- orders that nobody waits for ------------------------------------------------------------


async def test_what_comes_of_an_order_that_was_cancelled_is_revoked(tmp_path, revoker):
    with oidc_server(tmp_path, delay=500) as server:
        asking = asyncio.create_task(issuer(server.url, revoker).issue(order()))
        await asyncio.to_thread(server.wait, 1, "asked")
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

        saved = await asyncio.to_thread(server.wait, 1, "saved")
        destroyed = await asyncio.to_thread(server.wait, 1, "destroyed")
        assert len(saved) == 1
        assert destroyed == saved


async def test_a_token_that_was_given_twice_is_given_once(own_home, revoker):
    with chosen_server() as server:
        server.on["/token"] = server.giving(access_token="one-for-all")
        server.on["/introspect"] = Answer(status=404)
        external = issuer(server.url, revoker)
        first = await external.issue(order(1))
        with pytest.raises(NotIssued, match="the server gave the same token to two orders"):
            await external.issue(order(2))

        assert server.paths("/revoke") == []
        assert await external.revoke(first) == "told"


async def test_a_token_that_is_over_is_forgotten(own_home):
    revoker = Revoker(own_home, HOST)
    with chosen_server() as server:
        issued = await issuer(server.url, revoker).issue(order())
        pid = revoker.pid
        revoker.forget(issued.order.id)
        await revoker.close()
        await until(lambda: ended(pid))

        assert server.paths("/revoke") == []
    assert spooled(own_home) == []


async def test_the_revoker_ends_when_nothing_is_out(oidc, own_home):
    revoker = Revoker(own_home, HOST)
    server = issuer(oidc.url, revoker)
    await server.revoke(await server.issue(order()))
    pid = revoker.pid
    await revoker.close()

    await until(lambda: ended(pid))
    assert spooled(own_home) == []


async def test_a_host_that_is_closing_issues_nothing(oidc, own_home):
    revoker = Revoker(own_home, HOST)
    await revoker.close()

    with pytest.raises(NotIssued, match="the host is closing"):
        await issuer(oidc.url, revoker).issue(order())


# --- nothing shows ---------------------------------------------------------------------------


async def test_nothing_that_others_see_of_the_revoker_shows_a_credential(oidc, tmp_path, own_home, monkeypatch):
    errors = os.open(tmp_path / "stderr", os.O_WRONLY | os.O_CREAT)
    monkeypatch.setattr(revoker_host.subprocess, "DEVNULL", errors)
    monkeypatch.setenv("IDP_CREDENTIAL", WORD)
    revoker = Revoker(own_home, HOST)
    server = issuer(oidc.url, revoker)
    issued = await issue_many(server, 3)
    with pytest.raises(NotIssued):
        await server.issue(order(4, scopes=("crm:unknown",)))
    process = Path("/proc") / str(revoker.pid)
    shown = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    status = (process / "status").read_text()
    limits = psutil.Process(revoker.pid).rlimit(psutil.RLIMIT_CORE)
    session = os.getsid(revoker.pid)
    pid = revoker.pid
    await revoker.close()
    await until(lambda: ended(pid))
    shown += b"".join(path.read_bytes() for path in (own_home / FOLDER).iterdir())
    os.close(errors)

    assert (tmp_path / "stderr").read_bytes() == b""
    for hidden in (WORD, CLIENT + ":", *(one.token.reveal() for one in issued)):
        assert hidden.encode() not in shown
    assert b"confirmed" in shown
    assert "NoNewPrivs:\t1" in status
    assert limits == (0, 0)
    assert session == pid
    assert (own_home / FOLDER).stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (own_home / FOLDER).iterdir()} == {0o600}


def test_a_revoker_cannot_be_read_by_others_of_its_user(own_home):
    """PR_SET_DUMPABLE 0: what /proc shows of it belongs to root, and nobody may attach."""
    with chosen_server() as server:
        host = Host(server.url, own_home, 1)
        host.heard("issued")
        owner = os.stat(f"/proc/{host.revoker}/environ").st_uid
        host.kill()
        wait_for(lambda: ended(host.revoker))

    assert owner == 0


@pytest.mark.parametrize("said", [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x02{}", b'\0\0\0\x0f{"t":"nothing"}', b"\0\0\0\x05abc"])
def test_a_host_that_speaks_nonsense_is_left(own_home, said):
    """A defect of the host: what is held is revoked, and nothing of it is said."""
    argv, env = revoker_host.command(own_home / "spool.jsonl")
    process = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(said)
    process.stdin.flush()
    if said == b"\0\0\0\x05abc":
        process.stdin.close()
        process.stdin = None
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 0
    assert errors == b""
