"""An imported run says what its maker liked of tokens: of those of this home it proves nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runner.archive.importing import import_file
from runner.clock import HeldClock
from runner.engine.audit import is_active, token
from runner.events import EventKind
from runner.journal import SqliteJournal, open_store
from tests.unit.archives_by_hand import exported
from tests.unit.journals_by_hand import FINISHED, begin

ISSUED = {
    "token": "t1", "issuer": "embedded", "spawn": 1, "attempt": 1, "agent": "research", "resource": "crm",
    "audience": "urn:crm", "scopes": ["crm:read"], "seconds": 600.0, "issued_at": 1.0, "expires_at": 2e9,
    "fingerprint": "f1",
}  # fmt: skip
CLOSED = {"token": "t1", "why": "settled", "used": False, "uses": 0, "refused": 0, "observed": "all"}
NOW = 1_750_000_000.0


def store_with(home: Path, run: str, *, closed: bool, **more: object) -> SqliteJournal:
    store = open_store(home, clock=HeldClock())

    async def write() -> None:
        journal = begin(store, run)
        journal.append(EventKind.TOKEN_ISSUED, {**ISSUED, **more}, "{}")
        if closed:
            journal.append(EventKind.TOKEN_CLOSED, CLOSED)
        journal.append(EventKind.RUN_FINISHED, FINISHED, '{"result":1}')
        await journal.close()

    asyncio.run(write())
    return store


def taken_in(store: SqliteJournal, theirs: SqliteJournal, run: str, folder: Path) -> None:
    exported(theirs, run, folder / f"{run}.zip")
    theirs.close()
    import_file(store.archive, folder / f"{run}.zip", by="me")


@pytest.mark.parametrize("run", ["a-before", "z-behind"])
def test_a_token_that_was_closed_here_is_not_opened_again_by_a_file(tmp_path: Path, run: str) -> None:
    store = store_with(tmp_path / "ours", "m-ours", closed=True)
    assert is_active(store, "t1", NOW) is False
    taken_in(store, store_with(tmp_path / "theirs", run, closed=False, agent="somebody"), run, tmp_path)
    found = token(store, "t1")

    assert is_active(store, "t1", NOW) is False
    assert found is not None
    assert (found.run, found.agent) == ("m-ours", "research")
    store.close()


@pytest.mark.parametrize("run", ["a-before", "z-behind"])
def test_a_token_that_is_open_here_is_not_closed_by_a_file(tmp_path: Path, run: str) -> None:
    store = store_with(tmp_path / "ours", "m-ours", closed=False)
    taken_in(store, store_with(tmp_path / "theirs", run, closed=True), run, tmp_path)

    assert is_active(store, "t1", NOW) is True
    store.close()


def test_a_token_that_a_file_alone_knows_is_none_of_ours(tmp_path: Path) -> None:
    store = open_store(tmp_path / "ours")
    taken_in(store, store_with(tmp_path / "theirs", "r1", closed=False), "r1", tmp_path)

    assert is_active(store, "t1", NOW) is None
    assert store.find_token(token="t1") is None
    assert store.runs_with_tokens() == []
    store.close()
