"""A uid of its own for each process of an agent: when, what it keeps out, and that nothing of it stays."""

# ruff: noqa: ASYNC110, ASYNC220, ASYNC240 (a test looks at files and processes that others change)
from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from runner.agents import Setting, build_agent, uids
from runner.agents.uids import closed_to_others, identify, program_needs
from runner.errors import AgentFault
from runner.seams import Agent
from tests.unit.agents_by_hand import (
    HandCredential,
    all_gone,
    call,
    command_agent,
    entry,
    lives,
    open_folder,
    python_agent,
    written,
)

as_root = pytest.mark.skipif(
    os.geteuid() != 0 or isinstance(uids._room(os.geteuid()), str), reason="another uid takes root and its capabilities"
)


ROOT = Path(__file__).parents[2]


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that every uid can use, in which temporary files are made too."""
    with open_folder() as folder:
        (folder / "temporary").mkdir(mode=0o777)
        (folder / "temporary").chmod(0o777)
        monkeypatch.setattr("tempfile.tempdir", str(folder / "temporary"))
        yield folder


async def emptied(folder: Path) -> bool:
    """True once nothing is in a folder; False if something still is after a while."""
    end = time.monotonic() + 60
    while list(folder.iterdir()):
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.01)
    return True


# --- which uid -------------------------------------------------------------------------------


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[range]]]:
    """The ids that the user namespace has, for a host that is root there with all capabilities."""
    found = {"uid_map": [range(2**32 - 1)], "gid_map": [range(2**32 - 1)]}
    monkeypatch.setattr(uids, "_mapped", lambda name: found[name])
    monkeypatch.setattr(uids, "_NEEDED_CAPABILITIES", 0)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    uids._room.cache_clear()
    yield found
    uids._room.cache_clear()


def test_each_process_gets_a_uid_that_no_other_has(rooms: Any) -> None:
    found = [identify(same_uid=False, closed="") for _ in range(1000)]

    assert len({identity.uid for identity in found}) == 1000
    assert all(identity.uid in uids.LARGE and identity.reason == "" for identity in found)
    assert all(identity.effective_uid == identity.uid for identity in found)


def test_a_user_namespace_with_few_ids_gives_from_those_without_a_name(
    rooms: dict[str, list[range]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms["uid_map"] = rooms["gid_map"] = [range(1), range(1, 65536)]
    monkeypatch.setattr(uids, "SMALL", range(20_000, 20_003))
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {20_001: "somebody"}[uid])
    held = [identify(same_uid=False, closed="") for _ in range(2)]
    rooms["uid_map"] = [range(1, 65536)]

    assert {identity.uid for identity in held} == {20_000, 20_002}
    del held[0]
    assert identify(same_uid=False, closed="").uid not in (held[0].uid, None)


@pytest.mark.parametrize("short", ["uid_map", "gid_map"])
def test_without_ids_to_spare_the_hosts_is_kept(rooms: dict[str, list[range]], short: str) -> None:
    rooms[short] = [range(1)]
    identity = identify(same_uid=False, closed="")

    assert (identity.uid, identity.reason) == (None, "the host's user namespace has no uids to spare")
    assert identity.effective_uid == 0


def test_without_a_capability_the_hosts_is_kept(rooms: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uids, "_NEEDED_CAPABILITIES", 1 << 63)

    assert "lacks capabilities" in identify(same_uid=False, closed="").reason


@pytest.mark.parametrize(
    ("euid", "same_uid", "closed", "reason"),
    [
        (1000, False, "", "the host is not root"),
        (0, True, "", "its policy says unsafe_same_uid"),
        (0, False, '"/root" is closed', '"/root" is closed'),
    ],
)
def test_who_keeps_the_hosts_uid_is_told_why(
    rooms: Any, monkeypatch: pytest.MonkeyPatch, euid: int, same_uid: bool, closed: str, reason: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: euid)

    identity = identify(same_uid=same_uid, closed=closed)

    assert (identity.uid, identity.reason) == (None, reason)


# --- what others can reach -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "file", "closed"),
    [
        (0o755, 0o644, ""),
        (0o711, 0o644, ""),
        (0o711, 0o755, ""),
        (0o750, 0o644, "within"),
        (0o744, 0o644, "within"),
        (0o755, 0o600, "file"),
        (0o755, 0o640, "file"),
        (0o755, 0o744, "file"),
    ],
)
@pytest.mark.parametrize("path", ["within/file", "link"])
def test_what_is_closed_to_others_is_told_by_the_modes_on_the_way(
    folder: int, file: int, closed: str, path: str
) -> None:
    with open_folder() as top:
        within = top / "within"
        within.mkdir()
        (within / "file").write_text("x")
        (within / "file").chmod(file)
        within.chmod(folder)
        (top / "link").symlink_to("within/file")
        found = closed_to_others(["/usr", str(top / path)])
        # A link has no mode of its own: what is closed through it is told by its name.
        names = {"": "", "within": f"{top}/within", "file": f"{top}/{path}"}

        assert found.partition('" is closed')[0].strip('"') == names[closed]


def test_a_folder_that_others_can_enter_but_not_list_is_closed() -> None:
    with open_folder() as top:
        top.chmod(0o711)

        assert closed_to_others([str(top)]) == f'"{top}" is closed to other users (mode 0711)'
        assert closed_to_others([str(top / "not there")]) == ""


def test_a_link_through_a_closed_folder_is_closed() -> None:
    with open_folder() as top:
        (top / "closed").mkdir()
        (top / "file").write_text("x")
        (top / "closed" / "second").symlink_to("../file")
        (top / "first").symlink_to("closed/second")
        (top / "closed").chmod(0o700)

        assert closed_to_others([str(top / "first")]) == f'"{top}/closed" is closed to other users (mode 0700)'


def test_links_in_a_circle_end() -> None:
    with open_folder() as top:
        (top / "a").symlink_to("b")
        (top / "b").symlink_to("a")

        assert closed_to_others([str(top / "a")]) == ""


@pytest.mark.parametrize(
    ("first", "interpreters"),
    [("#!/bin/sh -e", ["/bin/sh"]), ("#! /usr/bin/env -S sh", ["/usr/bin/env", "sh"]), ("\x7fELF", []), ("", [])],
)
def test_a_script_needs_what_interprets_it(tmp_path: Path, first: str, interpreters: list[str]) -> None:
    script = tmp_path / "x"
    script.write_text(f"{first}\n")
    script.chmod(0o755)
    needs = program_needs(["x", "/some/file", "word", "./x"], f"{tmp_path}:/usr/bin:/bin")

    assert needs[0] == str(script)
    assert [name if name.startswith("/usr/bin/env") or len(interpreters) == 1 else Path(name).name for name in needs[1:-1]] == interpreters
    assert needs[-1] == "/some/file"


def test_a_program_that_is_not_there_needs_nothing() -> None:
    assert program_needs(["no-such-program"], "/usr/bin") == []


# --- from inside -----------------------------------------------------------------------------


async def run(folder: Path, script: str, *arguments: str, **more: Any) -> Any:
    agent = command_agent(folder, "sh", "-c", script, "sh", *arguments, **more)
    try:
        return await agent.run(call())
    finally:
        await agent.close()


@as_root
async def test_a_program_has_a_uid_and_a_gid_of_its_own_and_no_privilege(everywhere: Path) -> None:
    show = 'echo "[$(id -u), $(id -g), \\"$(id -G)\\", \\"$(grep -hE "NoNewPrivs|Cap(Prm|Eff|Amb|Inh)" /proc/self/status | cut -f2 | tr "\\n" " ")\\"]"'
    (uid, gid, groups, privileges), other = [await run(everywhere, show) for _ in range(2)]

    assert uid in uids.LARGE and uid == gid and groups == str(uid)
    assert privileges.split() == ["0" * 16] * 4 + ["1"]
    assert other[0] != uid


@as_root
async def test_a_program_with_a_uid_of_its_own_uses_its_folders_and_streams_and_leaves_neither(everywhere: Path) -> None:
    show = 'echo x > "$HOME/x"; mkdir -p a/b; chmod 0 a; echo said > /dev/stderr; mv .. /tmp/elsewhere 2>/dev/null; rmdir "$HOME/.." 2>/dev/null; echo "\\"$PWD\\"" > /dev/stdout'
    folder = Path(await run(everywhere, show)).parent

    assert folder.parent == everywhere / "temporary"
    assert await emptied(everywhere / "temporary")


@as_root
@pytest.mark.parametrize(
    "attempt",
    ["cat {home}/key", "ls {home}", "kill -0 {host}", "kill -0 $PPID", "cat /proc/{host}/environ", "ls /proc/{host}/fd",
     "cat /proc/$PPID/environ", "ls {other}"],
)  # fmt: skip
async def test_a_program_with_a_uid_of_its_own_cannot_reach_the_host(everywhere: Path, attempt: str) -> None:
    home = everywhere / "home"
    home.mkdir(mode=0o700)
    (home / "key").write_text("x")
    (home / "key").chmod(0o644)
    hanging = command_agent(everywhere, "sleep", "600")
    beside = asyncio.ensure_future(hanging.run(call()))
    while not (others := list((everywhere / "temporary").iterdir())):
        await asyncio.sleep(0.005)
    refused = attempt.format(home=home, host=os.getpid(), other=others[0])
    met = await run(everywhere, f'if {refused} >/dev/null 2>&1; then echo 1; else echo 0; fi')
    kept = await run(everywhere, f'if {refused} >/dev/null 2>&1; then echo 1; else echo 0; fi', same_uid=True)
    beside.cancel()
    await asyncio.wait([beside])
    await hanging.close()

    assert (met, kept) == (0, 1)


@as_root
@pytest.mark.parametrize("what", ["program", "argument", "temporary", "policy says so"])
async def test_a_program_that_could_not_reach_what_it_needs_keeps_the_hosts_uid(
    everywhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    (tmp_path / "show.sh").write_text("#!/bin/sh\nid -u\n")
    (tmp_path / "show.sh").chmod(0o755)
    if what == "temporary":
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    argv = {"program": ["./show.sh"], "argument": ["sh", "./show.sh"]}.get(what, ["sh", "-c", "id -u"])
    agent = command_agent(tmp_path, *argv, same_uid=what == "policy says so")

    assert await agent.run(call()) == os.geteuid()
    await agent.close()


@as_root
async def test_what_a_program_with_a_uid_of_its_own_left_behind_is_killed(everywhere: Path) -> None:
    leave = "setsid sh -c 'trap \"\" TERM HUP; sleep 600 & echo $$ $! > pids; wait' >/dev/null 2>&1 & while [ ! -s pids ]; do :; done; echo \"[$(tr ' ' , < pids)]\""
    pids = await run(everywhere, leave)

    assert len(pids) == 2
    assert await all_gone(pids)


@as_root
async def test_a_program_with_a_uid_of_its_own_dies_with_its_warden(everywhere: Path) -> None:
    told = everywhere / "told"
    agent = command_agent(everywhere, "sh", "-c", f"echo $$ $PPID > {told}; sleep 600")
    attempt = asyncio.ensure_future(agent.run(call()))
    pid, warden = [int(one) for one in (await written(told)).split()]
    os.kill(warden, 9)
    await asyncio.wait([attempt])

    assert isinstance(attempt.exception(), AgentFault)
    assert await all_gone([pid])
    await agent.close()


HOST = '''
import asyncio, sys
from pathlib import Path
from tests.unit.agents_by_hand import HandCredential, call, command_agent, python_agent

HANG = """
import os, time
def f(inputs, call):
    with open(inputs, "w") as file: print(os.getuid(), os.getpid(), file=file)
    while True: time.sleep(1)
"""

async def main(folder, same_uid):
    hang = "trap '' TERM; setsid sleep 600 & echo $(id -u) $$ $! > $0; wait"
    agents = [command_agent(folder, "sh", "-c", hang, str(folder / "program"), same_uid=same_uid), python_agent(folder, HANG)]
    await asyncio.gather(*(agent.run(call(str(folder / "worker"), credential=HandCredential())) for agent in agents))

asyncio.run(main(Path(sys.argv[1]), bool(sys.argv[2])))
'''


@pytest.mark.parametrize("same_uid", [True, pytest.param(False, marks=as_root)])
async def test_a_host_that_is_killed_leaves_no_process_no_folder_and_no_door(everywhere: Path, same_uid: bool) -> None:
    temporary = everywhere / "temporary"
    env = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    host = subprocess.Popen([sys.executable, "-c", HOST, str(everywhere), "x" if same_uid else ""], env=env)
    uid, *pids = [int(one) for one in (await written(everywhere / "program")).split()]
    pids.append(int((await written(everywhere / "worker")).split()[1]))
    made = [folder.name.split("-")[1] for folder in temporary.iterdir()]
    host.kill()
    host.wait()

    assert (uid == os.geteuid()) == same_uid
    assert made.count("door") == 2 and "agent" in made
    assert await all_gone(pids)
    assert await emptied(temporary)


# --- workers ---------------------------------------------------------------------------------

PYTHON = "/usr/bin/python3"


def search_path() -> list[str] | str:
    """Return what a Python that every uid can reach searches, or why there is none."""
    if not os.path.exists(PYTHON):
        return f"no {PYTHON} here"
    show = "import json, sys; print(json.dumps([sys.version_info[:2], sys.path]))"
    version, path = json.loads(subprocess.run([PYTHON, "-I", "-S", "-c", show], capture_output=True, check=True).stdout)
    packages = [place for place in sys.path if place.endswith("site-packages")]
    closed = closed_to_others([PYTHON, *path, *packages, str(ROOT)])
    if version < [3, 11]:
        return f"{PYTHON} is older than 3.11"
    return closed or [*path, *packages, str(ROOT)]


@pytest.fixture
async def build(everywhere: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Makes a sync agent whose workers have a uid of their own."""
    path = search_path()
    if isinstance(path, str):
        pytest.skip(path)
    monkeypatch.setattr("runner.agents.worker_process.INTERPRETER", PYTHON)
    monkeypatch.setattr("runner.agents.workers.sys", SimpleNamespace(path=path, prefix="/usr", base_prefix="/usr"))
    made: list[Agent] = []

    def build(source: str, **more: Any) -> Agent:
        made.append(python_agent(everywhere, source, **more))
        return made[-1]

    yield build
    for agent in made:
        await agent.close()


LOOK = """
import os
STARTED_AS = os.getuid()
def f(inputs):
    import sqlite3, csv
    status = dict(line.split(":\\t") for line in open("/proc/self/status") if ":\\t" in line)
    with open(os.environ["HOME"] + "/x", "w") as file: file.write("x")
    print("to stderr", file=open("/dev/stderr", "w"))
    return {"uid": os.getresuid(), "gid": os.getresgid(), "groups": os.getgroups(), "imported_as": STARTED_AS,
            "effective": status["CapEff"].strip(), "new": status["NoNewPrivs"].strip(), "home": os.environ["HOME"],
            "home_mode": os.stat(os.environ["HOME"]).st_mode & 0o777, "folder": os.getcwd()}
"""


@as_root
async def test_a_worker_imports_as_the_host_and_then_becomes_a_uid_of_its_own(build: Any, everywhere: Path) -> None:
    agent = build(LOOK)
    found = await agent.run(call())
    uid = found["uid"][0]

    assert uid in uids.LARGE
    assert (found["uid"], found["gid"], found["groups"]) == ([uid] * 3, [uid] * 3, [])
    assert (found["imported_as"], found["effective"], found["new"]) == (0, "0" * 16, "1")
    assert found["home"].startswith(str(everywhere / "temporary")) and found["home_mode"] == 0o700
    assert found["folder"] == str(everywhere)
    await agent.close()
    assert await emptied(everywhere / "temporary")


@as_root
async def test_two_workers_have_two_uids_and_a_worker_keeps_its_own(build: Any, everywhere: Path) -> None:
    meet = """
import os, time
def f(folder):
    open(f"{folder}/{os.getpid()}.here", "w").close()
    while len([name for name in os.listdir(folder) if name.endswith(".here")]) < 2: time.sleep(0.005)
    return os.getuid()
"""
    agent = build(meet, parallel=2)
    first = await asyncio.gather(*(agent.run(call(str(everywhere))) for _ in range(2)))
    again = [await agent.run(call(str(everywhere))) for _ in range(3)]

    assert len(set(first)) == 2
    assert set(again) < set(first) and len(set(again)) == 1


@as_root
async def test_a_worker_with_a_uid_of_its_own_cannot_read_what_the_host_keeps(build: Any, everywhere: Path) -> None:
    (everywhere / "home").mkdir(mode=0o700)
    (everywhere / "home" / "key").write_text("x")
    tries = """
import os
def tried(act):
    try: act()
    except OSError as error: return type(error).__name__
    return "done"
def f(inputs):
    return [tried(lambda: open(inputs["key"]).read()), tried(lambda: os.kill(inputs["host"], 0)),
            tried(lambda: open(f"/proc/{inputs['host']}/mem", "rb").close()), tried(lambda: os.kill(os.getppid(), 9)),
            tried(lambda: os.setuid(0)), tried(lambda: os.seteuid(0)), tried(lambda: os.setgroups([0]))]
"""
    found = await build(tries).run(call({"key": str(everywhere / "home" / "key"), "host": os.getpid()}))

    assert found == ["PermissionError"] * 7


@as_root
async def test_a_worker_with_a_uid_of_its_own_is_killed_with_what_it_daemonised(build: Any, everywhere: Path) -> None:
    hang = """
import os, subprocess, time
def f(inputs):
    child = subprocess.Popen(["setsid", "sleep", "600"])
    open(inputs, "w").write(f"{os.getpid()} {child.pid} {os.getppid()}\\n")
    while True: time.sleep(1)
"""
    agent = build(hang)
    attempt = asyncio.ensure_future(agent.run(call(str(everywhere / "told"))))
    pids = [int(one) for one in (await written(everywhere / "told")).split()]
    assert all(lives(pid) for pid in pids)
    attempt.cancel()

    assert await all_gone(pids)
    assert await emptied(everywhere / "temporary")


@as_root
async def test_a_worker_with_a_uid_of_its_own_dies_with_its_warden(build: Any, everywhere: Path) -> None:
    hang = "import os, time\ndef f(inputs):\n    open(inputs, 'w').write(f'{os.getpid()} {os.getppid()}\\n')\n    while True: time.sleep(1)"
    agent = build(hang)
    attempt = asyncio.ensure_future(agent.run(call(str(everywhere / "told"))))
    pid, warden = [int(one) for one in (await written(everywhere / "told")).split()]
    os.kill(warden, 9)
    await asyncio.wait([attempt])

    assert await all_gone([pid])


@as_root
async def test_a_worker_reaches_the_gateway_under_its_own_uid_and_all_of_that_is_seen(build: Any) -> None:
    credential = HandCredential()
    agent = build("import os\ndef f(inputs, call): return [call.http.get('https://crm.example/x').json(), os.getuid()]")
    asked, uid = await agent.run(call(credential=credential))

    assert asked == {"asked": "GET https://crm.example/x", "body": ""}
    assert (credential.uids, credential.observed) == ([uid], ["all"])
    await credential.close()


@as_root
@pytest.mark.parametrize("closed", ["policy", "same_uid"])
async def test_a_worker_whose_folder_is_closed_to_others_keeps_the_hosts_uid(
    build: Any, everywhere: Path, closed: str
) -> None:
    folder = everywhere / "policy"
    folder.mkdir(mode=0o700 if closed == "policy" else 0o755)
    (folder / "m.py").write_text("import os\ndef f(inputs): return os.getuid()")
    agent = build_agent(entry("python", {"call": "m:f"}, unsafe_same_uid=closed == "same_uid"), Setting(folder=folder))

    assert await agent.run(call()) == os.geteuid()
    await agent.close()


@as_root
async def test_a_worker_that_cannot_change_its_uid_is_not_used(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uids, "LARGE", range(2**32 - 1, 2**32))
    monkeypatch.setattr(uids, "_room", lambda euid: uids.LARGE)
    agent = build("def f(inputs): return 1")
    with pytest.raises(AgentFault) as raised:
        await agent.run(call())

    assert raised.value.message == 'agent "a" could not be started'


# --- what a hostile program of its own uid cannot do ------------------------------------------------

COMET = """
import json, os, sys, time
sys.stdin.read()
if os.fork() == 0:
    end = time.monotonic() + 20
    while time.monotonic() < end:  # Each one forks and ends: whoever looks for it by number comes too late.
        os.setsid() if os.getpid() != os.getsid(0) else None
        if os.fork():
            os._exit(0)
    os._exit(0)
time.sleep(0.3)
print(json.dumps({"uid": os.getuid()}))
"""

LINKED = """
import json, os, sys
sys.stdin.read()
os.mkdir("d")
os.rename("d", "e")
os.symlink(sys.argv[1], "d")
os.symlink(sys.argv[1], os.path.join(os.environ["HOME"], "d"))
print(json.dumps({}))
"""


PYTHON = "/usr/bin/python3"


@as_root
@pytest.mark.skipif(not os.path.exists(PYTHON), reason="no Python that every uid can run")
async def test_programs_that_fork_faster_than_anybody_looks_are_killed_with_their_uid(everywhere: Path) -> None:
    agent = command_agent(everywhere, PYTHON, "-S", "-c", COMET)
    out: Any = await agent.run(call({}))
    await agent.close()

    assert [pid for pid in psutil.pids() if _uid_of(pid) == out["uid"]] == []


@as_root
@pytest.mark.skipif(not os.path.exists(PYTHON), reason="no Python that every uid can run")
async def test_links_that_a_program_leaves_lead_its_removal_nowhere(everywhere: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    (victim / "kept").write_text("of root")
    agent = command_agent(everywhere, PYTHON, "-S", "-c", LINKED.replace("sys.argv[1]", repr(str(victim))))
    await agent.run(call({}))
    await agent.close()

    assert (victim / "kept").read_text() == "of root"
    assert await emptied(everywhere / "temporary")


def _uid_of(pid: int) -> int:
    try:
        return psutil.Process(pid).uids().real
    except psutil.NoSuchProcess:
        return -1
