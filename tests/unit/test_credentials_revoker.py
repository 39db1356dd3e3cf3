"""What the revoker does about each message, and at the end of its host; how it writes down what became of tokens."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.clock import HeldClock
from runner.credentials import keeper as keeping
from runner.credentials import revoker_wire as wire
from runner.credentials.keeper import Keeper
from runner.credentials.registration import Registration
from runner.credentials.spool import Outcome, Spool, read_spools
from tests.authorization_servers import CLIENT, CRM, HANG, WORD, Answer, Asked, ChosenServer, chosen_server


@pytest.fixture
def server():
    with chosen_server() as found:
        yield found


class Kept:
    """A keeper on a held clock, what it told its host, and what it wrote down."""

    def __init__(self, folder: Path) -> None:
        self.clock = HeldClock(time.time())
        self.told: list[wire.FromRevoker] = []
        self.folder = folder
        self.keeper = Keeper(self.told.append, Spool(folder / "host.jsonl"), self.clock)

    def register(self, server: ChosenServer, key: str = "idp", **changes: Any) -> None:
        fields = {"name": "idp", "url": server.url, "client_id": CLIENT, "auth": "client_secret_basic", "credential": WORD}
        self.keeper.take(wire.Register(key, Registration(**{**fields, **changes})))

    async def issue(self, order: str, key: str = "idp") -> Any:
        self.keeper.take(wire.Issue(order, key, "run-1", ("crm:read",), CRM))
        return await self.answer(order)

    async def revoke(self, order: str) -> Any:
        self.keeper.take(wire.Revoke(order))
        return await self.answer(order)

    async def answer(self, order: str) -> Any:
        count = len([told for told in self.told if told.id == order])  # type: ignore[union-attr]
        return (await self.until(lambda: [told for told in self.told if told.id == order][count:]))[-1]  # type: ignore[union-attr]

    async def until(self, found: Callable[[], Any], *, held: bool = False) -> Any:
        """Return what is found once something is. Waits of the keeper take no time, or, held, for ever."""
        end = time.monotonic() + 60
        while not (result := found()) and time.monotonic() < end:
            await asyncio.sleep(0.002)
            if not held:
                self.clock.advance_to_next()
        return result

    async def leave(self) -> None:
        leaving = asyncio.create_task(self.keeper.leave())
        await self.until(leaving.done)
        await leaving

    @property
    def spooled(self) -> list[dict[str, Any]]:
        return [line for _, lines in read_spools(self.folder) for line in lines]


@pytest.fixture
def kept(tmp_path):
    return Kept(tmp_path)


# --- messages --------------------------------------------------------------------------------


async def test_an_order_is_answered_with_a_token(server, kept):
    kept.register(server)
    issued = await kept.issue("1")

    assert issued == wire.TokenIssued("1", next(iter(server.tokens)), 300, "", ("crm:read",))
    await kept.leave()


async def test_a_revocation_is_answered_once_it_is_confirmed(server, kept):
    kept.register(server)
    await kept.issue("1")

    assert await kept.revoke("1") == wire.Revoked("1", "confirmed")
    assert await kept.revoke("1") == wire.Failed("1", "the revoker does not hold it")


async def test_a_revocation_that_is_asked_twice_is_answered_twice(server, kept):
    kept.register(server)
    await kept.issue("1")
    kept.keeper.take(wire.Revoke("1"))
    kept.keeper.take(wire.Revoke("1"))
    await kept.until(lambda: len(kept.told) == 3)

    assert kept.told[1:] == [wire.Revoked("1", "confirmed"), wire.Failed("1", "the revoker does not hold it")]


async def test_an_order_for_a_server_that_was_not_told_is_refused(kept):
    assert await kept.issue("1", "nobody") == wire.TokenRefused("1", "the order cannot be understood: a defect", False)


@pytest.mark.parametrize("changes", [{"per_second": 0.0}, {"private": ("10.0.0.0/99",)}])
async def test_a_registration_that_cannot_be_costs_its_own_orders_alone(server, kept, changes):
    kept.register(server, "bad", **changes)
    kept.register(server)

    assert isinstance(await kept.issue("1", "bad"), wire.TokenRefused)
    assert isinstance(await kept.issue("2"), wire.TokenIssued)
    await kept.leave()


async def test_a_revocation_is_tried_twice_then_left_to_the_host(server, kept):
    kept.register(server)
    await kept.issue("1")
    server.on["/revoke"] = Answer(status=500)
    failed = await kept.revoke("1")
    tries = len(server.paths("/revoke"))
    del server.on["/revoke"]

    assert failed == wire.Failed("1", 'issuer "idp" answered with status 500')
    assert tries == 2
    assert await kept.revoke("1") == wire.Revoked("1", "confirmed")


async def test_a_revocation_waits_for_its_order(server, kept):
    kept.register(server)
    server.on["/token"] = lambda asked: Answer(server.issue(asked), seconds=0.1)
    kept.keeper.take(wire.Issue("1", "idp", "run-1", ("crm:read",), CRM))
    await kept.until(lambda: server.paths("/token"))
    kept.keeper.take(wire.Revoke("1"))
    await kept.until(lambda: len(kept.told) == 2)

    assert [type(told) for told in kept.told] == [wire.TokenIssued, wire.Revoked]


async def test_an_unfit_token_that_could_not_be_revoked_is_tried_on(server, kept):
    kept.register(server)
    server.on["/token"] = server.giving(scope="crm:read crm:admin")
    server.on["/revoke"] = Answer(status=500)
    refused = await kept.issue("1")
    del server.on["/revoke"]
    (line,) = await kept.until(lambda: kept.spooled)

    assert refused.may_be_out
    assert refused.why.endswith('what it gave is not revoked: issuer "idp" answered with status 500')
    assert (line["token"], line["run"], line["how"]) == ("1", "run-1", "confirmed")
    assert list(server.tokens.values()) == [{"active": False}]


async def test_an_abandoned_token_is_revoked_and_written_down(server, kept):
    kept.register(server)
    await kept.issue("1")
    kept.keeper.take(wire.Abandon("1"))
    (line,) = await kept.until(lambda: kept.spooled)

    assert (line["token"], line["how"]) == ("1", "confirmed")
    assert len(kept.told) == 1


async def test_an_order_that_is_abandoned_the_moment_it_is_answered_is_revoked(server, kept):
    """Host and server may be that quick; the task of the order is over, and not yet cleared away."""
    kept.register(server)
    tell = kept.keeper._tell

    def abandon(message: Any) -> None:
        tell(message)
        asyncio.get_running_loop().call_soon(kept.keeper.take, wire.Abandon("1"))

    kept.keeper._tell = abandon
    await kept.issue("1")

    assert [line["how"] for line in await kept.until(lambda: kept.spooled)] == ["confirmed"]


async def test_a_token_of_a_lost_revoker_is_held(server, kept):
    kept.register(server)
    kept.keeper.take(wire.Hold("1", "idp", "run-1", "the-token", 60.0))
    await kept.leave()

    assert [line["how"] for line in kept.spooled] == ["confirmed"]
    assert server.tokens == {"the-token": {"active": False}}


async def test_a_defect_of_ours_is_an_answer_too(server, kept, monkeypatch):
    kept.register(server)

    async def fails(*_: Any, **__: Any) -> None:
        raise KeyError("the-token")

    monkeypatch.setattr("runner.credentials.exchange.AuthorizationServer.issue", fails)

    assert await kept.issue("1") == wire.TokenRefused("1", "the revoker failed with KeyError", True)


# --- the host is gone ------------------------------------------------------------------------


async def test_all_that_is_held_is_revoked_when_the_host_is_gone(server, kept):
    kept.register(server)
    for number in range(5):
        await kept.issue(str(number))
    await kept.leave()

    assert sorted(line["token"] for line in kept.spooled) == ["0", "1", "2", "3", "4"]
    assert {line["how"] for line in kept.spooled} == {"confirmed"}
    assert list(server.tokens.values()) == [{"active": False}] * 5


async def test_a_token_is_tried_for_a_minute_then_given_up(server, kept):
    kept.register(server)
    await kept.issue("1")
    tries: list[float] = []

    def fail(asked: Asked) -> Answer:
        tries.append(kept.clock.monotonic())
        return Answer(status=500)

    server.on["/revoke"] = fail
    await kept.leave()
    pauses = [round(after - before, 1) for before, after in itertools.pairwise(tries)]

    assert pauses[:6] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert 55 <= tries[-1] - tries[0] <= 60
    assert [(line["how"], line["why"]) for line in kept.spooled] == [("failed", 'issuer "idp" answered with status 500')]


async def test_a_token_that_has_expired_by_every_clock_is_not_tried(server, kept):
    kept.register(server)
    await kept.issue("1")
    kept.clock.advance(601)
    await kept.leave()

    assert [(line["how"], line["why"]) for line in kept.spooled] == [("failed", "there was no time left")]
    assert server.paths("/revoke") == []


async def test_tokens_that_expired_are_let_go(server, kept):
    kept.register(server)
    await kept.issue("1")
    kept.clock.advance(601)
    await kept.issue("2")

    assert await kept.revoke("1") == wire.Failed("1", "the revoker does not hold it")


async def test_a_server_that_hangs_holds_up_no_other(server, kept, monkeypatch):
    monkeypatch.setattr(keeping, "_PARALLEL", 2)
    monkeypatch.setattr("runner.credentials.sending.WHOLE_SECONDS", 0.3)
    with chosen_server() as other:
        kept.register(other, "other")
        kept.register(server)
        for number in range(5):
            await kept.issue(f"hung-{number}", "other")
        await kept.issue("well")
        other.on["/revoke"] = Answer(seconds=HANG)
        leaving = asyncio.create_task(kept.keeper.leave())
        (line,) = await kept.until(lambda: kept.spooled)
        leaving.cancel()

    assert (line["token"], line["how"]) == ("well", "confirmed")


async def test_what_is_under_way_when_the_host_goes_is_finished_and_revoked(server, kept):
    kept.register(server)
    server.on["/token"] = lambda asked: Answer(server.issue(asked), seconds=0.1)
    kept.keeper.take(wire.Issue("1", "idp", "run-1", ("crm:read",), CRM))
    await kept.until(lambda: server.paths("/token"))
    await kept.leave()

    assert [(line["token"], line["how"]) for line in kept.spooled] == [("1", "confirmed")]


async def test_what_does_not_end_when_the_host_goes_is_cut_and_revoked(server, kept, monkeypatch):
    """The token is here, and its introspection hangs."""
    monkeypatch.setattr(keeping, "FLIGHT_SECONDS", 0.2)
    monkeypatch.setattr("runner.credentials.sending.WHOLE_SECONDS", 0.6)
    kept.register(server)
    server.on["/introspect"] = Answer(seconds=HANG)
    kept.keeper.take(wire.Issue("1", "idp", "run-1", ("crm:read",), CRM))
    await kept.until(lambda: server.paths("/introspect"))
    leaving = asyncio.create_task(kept.keeper.leave())
    await kept.until(lambda: server.paths("/revoke"))
    del server.on["/introspect"]
    await kept.until(leaving.done)

    assert list(server.tokens.values()) == [{"active": False}]


async def test_an_order_without_an_answer_is_written_down_when_the_host_is_gone(server, kept, monkeypatch):
    monkeypatch.setattr("runner.credentials.sending.WHOLE_SECONDS", 0.2)
    kept.register(server)
    server.on["/token"] = Answer(seconds=HANG)
    kept.keeper.take(wire.Issue("1", "idp", "run-1", ("crm:read",), CRM))
    await kept.until(lambda: server.paths("/token"))
    await kept.leave()

    (line,) = kept.spooled
    assert (line["how"], line["why"]) == ("failed", 'issuer "idp": no answer within 0.2 s; the server may have issued a token')


async def test_nothing_is_asked_any_more_when_the_host_is_gone(server, kept):
    kept.register(server, per_second=1)
    for number in range(3):
        kept.keeper.take(wire.Issue(str(number), "idp", "run-1", ("crm:read",), CRM))
    await kept.until(lambda: len(kept.told) == 1, held=True)
    await kept.leave()

    assert len(server.paths("/token")) == 1
    assert list(server.tokens.values()) == [{"active": False}] * len(server.tokens)


async def test_what_a_dead_host_was_told_last_is_written_down(server, kept):
    """It may have died before it recorded that."""
    kept.register(server)
    await kept.issue("early")
    await kept.revoke("early")
    kept.clock.advance(11)
    await kept.issue("late")
    await kept.revoke("late")
    await kept.leave()

    assert [line["token"] for line in kept.spooled] == ["late"]


async def test_what_a_host_took_before_it_left_is_not_written_down(server, kept):
    kept.register(server)
    await kept.issue("1")
    await kept.revoke("1")
    kept.keeper.take(wire.Leave())
    await kept.leave()

    assert kept.spooled == []


async def test_an_outcome_that_cannot_be_written_is_not_lost_without_a_sign(server, kept):
    kept.register(server)
    await kept.issue("1")
    (kept.folder / "host.jsonl").mkdir()
    await kept.leave()

    assert kept.keeper.spool_failed
    assert list(server.tokens.values()) == [{"active": False}]


# --- the spool -------------------------------------------------------------------------------


def test_a_spool_is_read_as_it_was_written(tmp_path):
    Spool(tmp_path / "b.jsonl").append([Outcome("2", "run", 2.5, "failed", "a\nline \u2028 é")])
    Spool(tmp_path / "a.jsonl").append([Outcome("1", "run", 1.0, "confirmed")])
    Spool(tmp_path / "a.jsonl").append([Outcome("3", "run", 3.0, "told")])

    assert [(path.name, [line["token"] for line in lines]) for path, lines in read_spools(tmp_path)] == [
        ("a.jsonl", ["1", "3"]), ("b.jsonl", ["2"]),
    ]  # fmt: skip
    assert [line["why"] for _, lines in read_spools(tmp_path) for line in lines][-1] == "a\nline \u2028 é"
    assert (tmp_path / "a.jsonl").stat().st_mode & 0o777 == 0o600


def test_there_are_no_spools_where_there_is_no_folder(tmp_path):
    assert list(read_spools(tmp_path / "none")) == []


def test_half_a_line_costs_no_other(tmp_path):
    path = tmp_path / "a.jsonl"
    Spool(path).append([Outcome("1", "run", 1.0, "confirmed")])
    with open(path, "ab") as file:
        file.write(b'{"token": "2", "ru')
    Spool(path).append([Outcome("3", "run", 3.0, "confirmed")])

    assert [line["token"] for _, lines in read_spools(tmp_path) for line in lines] == ["1", "3"]


GOOD = {"token": "1", "run": "r", "at": 1.0, "how": "told", "why": ""}


@pytest.mark.parametrize(
    "line",
    [b"", b"null", b"[]", b"{}", b"\xff", json.dumps({**GOOD, "more": 1}).encode(), json.dumps({**GOOD, "how": "so"}).encode(),
     json.dumps({**GOOD, "token": 1}).encode(), json.dumps({**GOOD, "at": "now"}).encode(), b"[" * 10_000],
)  # fmt: skip
def test_a_line_that_is_none_is_left_out(tmp_path, line):
    (tmp_path / "a.jsonl").write_bytes(line + b"\n" + json.dumps(GOOD).encode() + b"\n")

    assert [lines for _, lines in read_spools(tmp_path)] == [[GOOD]]


def test_a_link_and_a_pipe_are_no_spools(tmp_path):
    os.mkfifo(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").mkdir()
    (tmp_path / "c.jsonl").symlink_to("/etc/passwd")

    assert list(read_spools(tmp_path)) == []


def test_a_spool_that_is_removed_while_it_is_read_loses_nothing(tmp_path):
    path = tmp_path / "a.jsonl"
    spool = Spool(path)
    spool.append([Outcome("1", "run", 1.0, "confirmed")])
    writing = threading.Thread(target=spool.append, args=([Outcome("2", "run", 2.0, "confirmed")],))
    read = []
    for found, lines in read_spools(tmp_path):
        writing.start()
        writing.join(0.1)
        waits = writing.is_alive()
        read += lines
        found.unlink()
    writing.join()
    read += [line for _, lines in read_spools(tmp_path) for line in lines]

    assert waits
    assert [line["token"] for line in read] == ["1", "2"]


def test_two_revokers_write_one_after_the_other(tmp_path):
    path = tmp_path / "a.jsonl"
    path.touch(0o600)
    writing = threading.Thread(target=Spool(path).append, args=([Outcome("1", "run", 1.0, "told")],))
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        writing.start()
        writing.join(0.1)
        waits = writing.is_alive()
    writing.join()

    assert waits
    assert len([line for _, lines in read_spools(tmp_path) for line in lines]) == 1


# --- the wire --------------------------------------------------------------------------------

FROM_HOST: list[Any] = [
    wire.Register("k", Registration("idp", "https://as.example", "me", "client_secret_basic", "word", private=("10.0.0.0/8",))),
    wire.Issue("1", "k", "run", ("a", "b"), CRM, [{"type": "x", "é": [1, None, 2.5]}], "subject"),
    wire.Revoke("1"), wire.Abandon("1"), wire.Hold("1", "k", "run", "token", 1.5), wire.Forget("1"), wire.Leave(),
]  # fmt: skip
FROM_REVOKER: list[Any] = [
    wire.Ready(), wire.TokenIssued("1", "token", 60, "jti", ("a",)), wire.TokenIssued("1", "token", 60),
    wire.TokenRefused("1", "why", True), wire.Revoked("1", "told"), wire.Failed("1", "why"),
]  # fmt: skip


def heard(data: bytes, *, at_host: bool, size: int) -> tuple[list[Any], list[str]]:
    messages: list[Any] = []
    ends: list[str] = []
    frames = wire.Frames(messages.append, lambda: ends.append("end"), at_host=at_host)
    for start in range(0, len(data), size):
        frames.data_received(data[start : start + size])
    return messages, ends


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(("said", "at_host"), [(FROM_HOST, False), (FROM_REVOKER, True)])
def test_what_is_said_is_heard(said, at_host, size):
    assert heard(b"".join(map(wire.encode, said)), at_host=at_host, size=size) == (said, [])


@pytest.mark.parametrize("message", [*FROM_HOST, *FROM_REVOKER])
def test_no_message_shows_a_credential(message):
    assert "'token'" not in repr(message)
    assert "'word'" not in repr(message)
    assert "'subject'" not in repr(message)


@pytest.mark.parametrize(
    "payload",
    [b"{}", b"[]", b"{", b'{"t":"ready"}', b'{"t":"revoke"}', b'{"t":"revoke","id":1}', b'{"t":"revoke","id":"1","x":1}',
     b'{"t":"hold","id":"1","key":"k","run":"r","token":"t","seconds":"5"}',
     b'{"t":"hold","id":"1","key":"k","run":"r","token":"t","seconds":NaN}',
     b'{"t":"register","key":"k","registration":{"name":"n"}}', b"\xff\xff"],
)  # fmt: skip
def test_anything_else_ends_the_conversation(payload):
    frame = len(payload).to_bytes(4, "big") + payload

    assert heard(frame + wire.encode(wire.Leave()), at_host=False, size=100_000) == ([], ["end"])


@pytest.mark.parametrize("length", [0, wire.MAX_FRAME_BYTES + 1, 2**32 - 1])
def test_a_length_that_cannot_be_ends_the_conversation(length):
    assert heard(length.to_bytes(4, "big"), at_host=False, size=4) == ([], ["end"])


def test_a_message_that_is_too_large_is_not_sent():
    with pytest.raises(wire.BadFrame, match="1,048,576 are allowed"):
        wire.encode(wire.Issue("1", "k", "run", (), "x" * wire.MAX_FRAME_BYTES))
