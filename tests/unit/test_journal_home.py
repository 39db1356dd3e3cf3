"""Where the store lies, and who else may touch it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from runner.errors import StoreError
from runner.journal import default_home, home_folder, open_store, private_folder
from tests.unit.journals_by_hand import written


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_home_is_runner_home_then_xdg_then_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "own"))
    own = default_home()
    monkeypatch.setenv("RUNNER_HOME", "")
    xdg = default_home()
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    users = default_home()

    assert [own, xdg, users] == [
        tmp_path / "own", tmp_path / "state" / "runner", tmp_path / ".local" / "state" / "runner",
    ]  # fmt: skip


def test_the_home_is_made_for_its_owner_alone(own_home: Path) -> None:
    old = os.umask(0)
    try:
        made = home_folder()
    finally:
        os.umask(old)

    assert (made, mode(made)) == (own_home, 0o700)


def test_every_file_of_the_store_is_its_owners_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        store = written(tmp_path / "home", "r1")
        modes = {path.name: mode(path) for path in (tmp_path / "home").rglob("*") if path.is_file()}
        store.close()
    finally:
        os.umask(old)

    assert {"store.db", "store.db-wal"} <= modes.keys()
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("bits", [0o720, 0o702, 0o777])
def test_a_home_that_others_can_write_to_is_refused(tmp_path: Path, bits: int) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(bits)

    with pytest.raises(StoreError, match="others may write to the folder") as refused:
        open_store(tmp_path / "home")
    assert refused.value.hint.startswith("chmod 0700")
    assert list((tmp_path / "home").iterdir()) == []


def test_a_home_of_somebody_else_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        folder = tmp_path / "theirs"
        folder.mkdir(mode=0o700)
        os.chown(folder, 12345, 12345)
    else:
        folder = Path("/")

    with pytest.raises(StoreError, match=r'the folder ".*" belongs to user \d+, this is user \d+'):
        private_folder(folder)


def test_a_file_in_the_place_of_the_home_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")

    with pytest.raises(StoreError, match="cannot make the folder") as refused:
        open_store(tmp_path / "home")
    assert refused.value.hint == "set RUNNER_HOME to a folder of yours"
