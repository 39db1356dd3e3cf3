"""The pages of docs/how-to do what they say: each `sh` block is executed, in order, in one home; units are what systemd
takes; every command that is named exists.

A `text` block right below an `sh` block is what that prints to stdout; `...` stands for anything.

`<!-- not yet -->` stands before a block, or in the line of a command, whose verb or option does not exist. A test fails
as soon as it does, so that the mark is taken away and the block is executed.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import yaml

from runner.cli.app import command
from runner.doctor.machine import FREE_BYTES_WANTED
from runner.journal import open_store
from runner.models import MIB
from runner.policy.starter import write_starter
from tests.conftest import engine_refusal
from tests.docs.test_pages import ROOT, blocks, called
from tests.injected import PORT, copy_of_example, free_port
from tests.runs import TESTS

FOLDER = ROOT / "docs" / "how-to"
PAGES = sorted(FOLDER.glob("*.md"))
OPERATE = (FOLDER / "operate.md").read_text()
INJECTED = (FOLDER / "injected.md").read_text()
MARK = "<!-- not yet -->"

# A host in the middle of a run that does not end by itself, and writes all the time.
HOST = """
import asyncio, sys
from runner import Runner, Script
from tests.runs import policy_of

SOURCE = b'''
while True:
    gather([spawn("echo", {"say": "x" * 1000}) for _ in range(5)])
    sleep(0.02)
'''

async def main():
    async with Runner(sandbox="process") as runner:
        policy = policy_of(limits={"spawns": 100000})
        await runner.run(Script("endless", SOURCE), policy=policy, on_start=lambda run: print(run, flush=True))

asyncio.run(main())
"""

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def shell(page: str) -> Iterator[tuple[str, bool]]:
    """Yield the `sh` blocks of a page, in order, each with whether it is marked."""
    for mark, block in re.findall(rf"({MARK}\n)?^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        yield block, bool(mark)


def shown(page: str) -> dict[str, str]:
    """Return what a page shows as printed, by the block that prints it."""
    found = re.findall(r"^```sh\n(.*?)^```\n\n^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return {block.rpartition("```sh\n")[2]: printed for block, printed in found}


def prints(printed: str, got: str) -> bool:
    """Say whether a command printed what a page shows."""
    return re.fullmatch(re.escape(printed.strip()).replace(re.escape("..."), ".*"), got.strip(), re.DOTALL) is not None


def missing(line: str) -> list[str]:
    """Return what a line of shell asks of `runner` that is not there: a verb, or an option of one."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    if words[:1] != ["runner"]:
        return []
    found, path = command(), "runner"
    for word in words[1:]:
        if not hasattr(found, "get_command") or word.startswith("-"):
            break
        found, path = found.get_command(None, word), f"{path} {word}"
        if found is None:
            return [path]
    options = {name for param in found.params for name in (*param.opts, *param.secondary_opts)}
    return [f"{path} {word}" for word in words if word.startswith("--") and word not in options]


def lost_in(block: str) -> list[str]:
    return [each for line in re.sub(r"<<'END'\n.*?^END$", "", block, flags=re.MULTILINE | re.DOTALL).splitlines() for each in missing(line)]


def prose(page: str) -> list[str]:
    """Return the lines of a page that are in no block."""
    return re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL).splitlines()


def commands_in(line: str) -> list[str]:
    return [code.replace("\\|", "|") for code in re.findall(r"`(runner [^`]+)`", line)]


# --- the commands ----------------------------------------------------------------------------


@every_page
def test_every_command_of_a_page_exists_or_is_marked(page: Path) -> None:
    text = page.read_text()
    lost = [each for block, marked in shell(text) if not marked for each in lost_in(block)]
    lost += [each for line in prose(text) if MARK not in line for code in commands_in(line) for each in missing(code)]

    assert lost == []


@every_page
def test_a_mark_goes_once_its_command_is_there(page: Path) -> None:
    text = page.read_text()
    ready = [block for block, marked in shell(text) if marked and not lost_in(block)]
    ready += [
        line for line in prose(text)
        if MARK in line and line != MARK and not any(missing(code) for code in commands_in(line))
    ]  # fmt: skip

    assert ready == [], f"take {MARK} away: these commands exist now"


@contextmanager
def host_of_a_run(home: Path) -> Iterator[str]:
    """Within, a run is live and has written a while; then its host is killed."""
    host = subprocess.Popen([sys.executable, "-c", HOST], cwd=TESTS.parent, stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    try:
        run = host.stdout.readline().strip()
        store, end = open_store(home), time.monotonic() + 60
        while sum(1 for _ in store.read(run)) < 50:
            assert time.monotonic() < end, "the run did not begin"
            time.sleep(0.05)
        store.close()
        yield run
    finally:
        host.kill()
        host.wait()
        host.stdout.close()


@pytest.fixture
def live(own_home: Path) -> Iterator[str]:
    """A run that is live."""
    with host_of_a_run(own_home) as run:
        yield run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> tuple[Path, Path, str]:
    """A home, a folder, and the run that is done. The home has one that failed too, and one whose host died."""
    home, folder = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("starter")
    home.chmod(0o700)
    (home / "cache").symlink_to(shared_cache)
    write_starter(folder)
    (folder / "broken.py").write_text("raise ValueError('broken')\n")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RUNNER_HOME", str(home))
        done = called("runner run hello.py --json", folder)
        assert called("runner run broken.py", folder).returncode == 1
        with host_of_a_run(home):
            pass
    return home, folder, json.loads(done.stdout)["run"]


@pytest.fixture
def place(made: tuple[Path, Path, str], own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to give commands in. The home has a run that is done, one that failed, and one whose host died."""
    home, folder, run = made
    (own_home / "cache").unlink()
    shutil.copytree(home, own_home, symlinks=True, dirs_exist_ok=True)
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("RUN", run)
    monkeypatch.setenv("BACKUP", str(tmp_path / "backup"))
    monkeypatch.setenv("RESTORED", str(tmp_path / "restored"))
    return tmp_path


@pytest.fixture
def injected(tmp_path: Path) -> Path:
    """The folder of the example, whose server has a port of its own."""
    folder = tmp_path / "injected"
    copy_of_example(folder, free_port())
    return folder


def test_the_blocks_of_operating_run_as_they_stand_while_a_run_is_live(place: Path, live: str) -> None:
    for block, marked in shell(OPERATE):
        if marked or ("runner image" in block and engine_refusal()):
            continue
        done = called(block, place)

        assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_the_blocks_of_the_walkthrough_print_what_is_shown_below_them(injected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = re.findall(r"^HOST, PORT = .*, (\d+)$", (injected / "server.py").read_text(), re.MULTILINE)[0]
    text = INJECTED.replace(PORT, port)
    for block, printed in shown(text).items():
        done = called(block, injected)

        assert done.returncode == 0, f"{block}\n{done.stderr}"
        assert prints(printed, done.stdout), f"{block}\n{done.stdout}\n{done.stderr}"
        for run in re.findall(r"^The server answered run (.*):$", done.stdout, re.MULTILINE):
            monkeypatch.setenv("RUN", run)
            monkeypatch.setenv("FIRST", os.environ.get("FIRST", run))
    assert [block for block, _ in shell(text) if block not in shown(text)] == []


def test_the_blocks_of_the_pipeline_run_as_they_stand(place: Path) -> None:
    for block, _ in shell(PIPELINE):
        done = called(block, place)

        assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_every_page_has_a_test_that_executes_it() -> None:
    assert [page.name for page in PAGES] == ["injected.md", "migrate.md", "operate.md", "pipeline.md"]


# --- backup ----------------------------------------------------------------------------------


def test_a_backup_of_a_home_with_a_live_run_is_a_whole_store(place: Path, own_home: Path, live: str) -> None:
    (own_home / "keys").mkdir(mode=0o700)
    (own_home / "keys" / "k").write_text("key")
    (own_home / "keys" / "k").chmod(0o600)
    for block in ("live.backup(copy)", 'RUNNER_HOME="$BACKUP" runner verify "$RUN"'):
        done = called(next(each for each, _ in shell(OPERATE) if block in each), place)
        assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(place / "backup" / "store.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    assert not [path for path in (place / "backup").rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077]
    copy = open_store(place / "backup")
    try:
        assert copy.verify_all() == 4
        assert sorted(row.state for row in copy.runs()) == ["done", "failed", "interrupted", "interrupted"]
        assert sum(1 for _ in copy.read(live)) >= 50
    finally:
        copy.close()
    assert (place / "backup" / "keys" / "k").read_text() == "key"
    original = open_store(own_home)
    assert original.run_alive(live)
    original.close()


def test_every_file_of_a_home_is_told_of(place: Path, own_home: Path, live: str) -> None:
    section = OPERATE.split("## What lies in the home\n", 1)[1].split("\n## ", 1)[0]
    told = {name.rstrip("/") for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)}

    assert {path.name for path in own_home.iterdir()} <= told


def test_the_page_warns_of_a_full_disk_where_doctor_does() -> None:
    assert f"`runner doctor` warns below {FREE_BYTES_WANTED // MIB} MiB" in OPERATE


# --- the unit --------------------------------------------------------------------------------


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    (unit,) = blocks(OPERATE, "ini")
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit)

    assert parser.sections() == ["Unit", "Service", "Install"]
    assert parser["Service"]["ExecStartPre"].endswith("/runner resume --all")
    if shutil.which("systemd-analyze") is None:
        return
    name = re.findall(r"^# /etc/systemd/system/(\S+)$", unit, re.MULTILINE)[0]
    # It looks whether the programs are there.
    (tmp_path / name).write_text(unit.replace("/opt/runner/bin/", f"{Path(sys.executable).parent}/"))
    done = subprocess.run(["systemd-analyze", "verify", tmp_path / name], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


# --- the pipeline ----------------------------------------------------------------------------

PIPELINE = (FOLDER / "pipeline.md").read_text()


def test_the_hook_reviews_each_script_and_fails_with_the_first_that_is_refused(place: Path) -> None:
    (hook,) = yaml.safe_load(blocks(PIPELINE, "yaml")[0])["repos"][0]["hooks"]
    (place / "worse.py").write_text("result = spawn(str(inputs), {}).result()\n")

    bad = called(f"{hook['entry']} hello.py worse.py", place)

    assert re.match(hook["files"], "scripts/hello.py")
    assert bad.returncode == 9, bad.stderr
    # The first of the two passed, and was shown.
    assert bad.stdout.count("at most") == 2 and "dynamic-agents" in bad.stderr


def test_the_job_reviews_as_it_stands_but_for_where_the_script_is(place: Path) -> None:
    steps = yaml.safe_load(blocks(PIPELINE, "yaml")[1])["jobs"]["review"]["steps"]
    (review,) = [step["run"] for step in steps if step.get("run", "").startswith("runner ")]

    done = called(review.replace("scripts/", ""), place)

    assert done.returncode == 0, done.stderr
    assert json.loads((place / "review.sarif").read_text())["version"] == "2.1.0"
