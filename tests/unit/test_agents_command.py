"""Programs as agents: what they get, what comes back, and that nothing of them stays."""

# ruff: noqa: ASYNC110, ASYNC220, ASYNC240 (a test looks at files and processes that others change)
from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runner.agents import Setting, build_agent, faults
from runner.errors import AgentFault, PolicyError
from runner.policy.model import Reference
from tests.unit.agents_by_hand import HandCredential, all_gone, call, command_agent, entry, open_folder, written

KEY = Reference("env", ("THE_KEY",))


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of programs are made here, so that a test sees all of them."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


async def run(folder: Path, script: str, inputs: Any = None, **more: Any) -> Any:
    agent = command_agent(folder, "sh", "-c", script, **more)
    try:
        return await agent.run(call(inputs))
    finally:
        await agent.close()


async def fault_of(folder: Path, script: str, **more: Any) -> AgentFault:
    with pytest.raises(AgentFault) as raised:
        await run(folder, script, **more)
    return raised.value


async def test_the_environment_is_exactly_path_home_and_what_the_entry_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEFT_AT_HOME", "1")
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    agent = command_agent(tmp_path, sys.executable, "-S", "-c", show, env={"LISTED": "x"})
    env = await agent.run(call())

    assert env.keys() - {"LC_CTYPE"} == {"PATH", "HOME", "LISTED"}  # Python itself sets LC_CTYPE where no locale is.
    assert env["PATH"] == os.environ["PATH"] and env["LISTED"] == "x"
    await agent.close()


async def test_home_and_working_directory_are_fresh_private_and_removed(tmp_path: Path, temporary: Path) -> None:
    show = 'mkdir -p a/b; touch "$HOME/x" a/b/c; ln -s / a/root; chmod 0 a; stat -c \'"%a %n"\' "$PWD" | head -1'
    first, second = [(await run(tmp_path, show)).split() for _ in range(2)]

    assert first[0] == second[0] == "700"
    assert Path(first[1]).parent.parent == temporary and first[1] != second[1]
    assert list(temporary.iterdir()) == []


async def test_paths_that_begin_with_a_dot_resolve_against_the_policys_folder(tmp_path: Path) -> None:
    (tmp_path / "say.sh").write_text("echo '\"hello\"'")
    agent = command_agent(tmp_path, "sh", "./say.sh")

    assert await agent.run(call()) == "hello"
    await agent.close()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo /srv/x >&2; exit 3", 'agent "a" exited with status 3'),
        ("echo 1; exit 1", 'agent "a" exited with status 1'),
        ("kill -SEGV $$", 'agent "a" was killed by signal 11'),
        ("", 'agent "a" returned what is no JSON'),
        ("echo 1 2", 'agent "a" returned what is no JSON'),
        ("printf '\\377'", 'agent "a" returned what is no JSON'),
        ("echo NaN", 'agent "a" returned what is no JSON'),
        ("printf '%070d' 0 | tr 0 '['", 'agent "a" returned what is no JSON'),
    ],
)
async def test_a_script_hears_how_a_program_failed_and_nothing_that_it_wrote(
    tmp_path: Path, script: str, message: str
) -> None:
    assert (await fault_of(tmp_path, script)).message == message


@pytest.mark.parametrize(
    ("script", "how", "lost"),
    [
        ("exit 143", "exited with status 143", False),
        ("kill -TERM $$", "was killed by signal 15", True),
        ("kill -KILL $$", "was killed by signal 9", True),
        ("kill -KILL $PPID; while :; do :; done", "was lost", True),
    ],
)
async def test_a_program_that_says_how_it_ended_failed_and_one_that_was_killed_is_lost(
    tmp_path: Path, script: str, how: str, lost: bool
) -> None:
    fault = await fault_of(tmp_path, script)

    assert (fault.kind, fault.message, fault.lost) == ("failed", f'agent "a" {how}', lost)


async def test_a_program_that_is_not_there_fails_with_the_fix_for_the_operator(tmp_path: Path) -> None:
    agent = command_agent(tmp_path, "/no/such/program")
    with pytest.raises(AgentFault) as raised:
        await agent.run(call())

    assert raised.value.message == 'agent "a" could not be started'
    assert raised.value.detail == (
        'argv[0] is "/no/such/program": No such file or directory\nhint: install it, or correct "argv" of the agent'
    )
    assert not raised.value.lost
    await agent.close()


async def test_the_detail_is_the_end_of_stderr_without_control_characters(tmp_path: Path) -> None:
    fault = await fault_of(tmp_path, "head -c 300000 /dev/zero | tr '\\0' y >&2; printf '\\033[2Jend' >&2; exit 1")

    assert fault.detail.endswith("yyy[2Jend")
    assert len(fault.detail) <= 4096


@pytest.mark.parametrize("script", ["exec cat", "exec 0<&-; sleep 0.05; echo 1", "echo 1"])
async def test_a_program_need_not_read_its_inputs(tmp_path: Path, script: str) -> None:
    assert await run(tmp_path, script, 1) == 1


async def test_output_without_end_costs_no_memory_and_is_cut_off(tmp_path: Path) -> None:
    fault = await fault_of(tmp_path, "exec cat /dev/zero")

    assert (fault.kind, fault.message) == ("invalid_output", 'agent "a" returned more than 65536 bytes')


async def test_stderr_without_end_neither_blocks_nor_costs_memory(tmp_path: Path) -> None:
    assert await run(tmp_path, "head -c 5000000 /dev/zero >&2; echo 1") == 1


# --- what it leaves behind -------------------------------------------------------------------


@pytest.mark.parametrize(
    "leave",
    [
        "sleep 600 &",
        "trap '' TERM HUP; sleep 600 &",
        "setsid sleep 600 &",
        "(setsid sh -c 'sleep 600 & echo $! >> $0; wait' $1 &) ; while [ $(wc -l < $1) -lt 1 ]; do :; done;",
    ],
)
async def test_what_holds_the_pipes_open_after_the_program_ended_is_killed(tmp_path: Path, leave: str) -> None:
    pids = tmp_path / "pids"
    pids.write_text("")
    agent = command_agent(tmp_path, "sh", "-c", f'{leave} [ -n "$!" ] && echo $! >> $1; echo 1', "sh", str(pids))

    assert await agent.run(call()) == 1
    assert len(pids.read_text().split()) >= 1
    assert await all_gone([int(pid) for pid in pids.read_text().split()])
    await agent.close()


async def test_a_cancelled_program_may_clean_up_and_is_killed_if_it_does_not_end(tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = f"trap 'echo term >> {told}' TERM; echo $$ > {told}; while :; do sleep 600 & wait; done"
    agent = command_agent(tmp_path, "sh", "-c", script)
    attempt = asyncio.ensure_future(agent.run(call()))
    pid = int(await written(told))
    attempt.cancel()
    await asyncio.wait([attempt])

    assert await all_gone([pid])
    assert told.read_text() == f"{pid}\nterm\n"
    await agent.close()


async def test_close_leaves_no_folder_even_of_a_program_that_was_running(tmp_path: Path, temporary: Path) -> None:
    agent = command_agent(tmp_path, "sh", "-c", f"echo 1 > {tmp_path}/began; trap '' TERM; sleep 600")
    attempt = asyncio.ensure_future(agent.run(call()))
    await written(tmp_path / "began")
    await agent.close()

    assert list(temporary.iterdir()) == []
    await asyncio.wait([attempt])


async def test_a_launcher_that_was_killed_is_replaced(tmp_path: Path) -> None:
    agent = command_agent(tmp_path, "cat")
    await agent.run(call(1))
    agent._command._launcher._process.kill()  # type: ignore[attr-defined]
    agent._command._launcher._process.wait()  # type: ignore[attr-defined]

    assert await agent.run(call(2)) == 2
    await agent.close()


HOST = '''
import asyncio, sys
from pathlib import Path
from runner.agents import Setting, build_agent
from tests.unit.agents_by_hand import call, entry

HANG = """
import os, subprocess
def f(inputs):
    child = subprocess.Popen(["sleep", "600"])
    with open(inputs, "w") as file: file.write(f"{os.getpid()} {child.pid}\\\\n")
    child.wait()
"""

async def main(folder):
    (folder / "m.py").write_text(HANG)
    program = ["sh", "-c", "trap '' TERM; setsid sleep 600 & echo $$ $! > $0; wait", str(folder / "command")]
    agents = [build_agent(entry("python", {"call": "m:f"}), Setting(folder=folder)),
              build_agent(entry("command", {"argv": program}), Setting(folder=folder))]
    await asyncio.gather(*(agent.run(call(str(folder / "python"))) for agent in agents))

asyncio.run(main(Path(sys.argv[1])))
'''


async def test_a_host_that_is_killed_leaves_no_process_and_no_folder(tmp_path: Path, temporary: Path) -> None:
    env = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[2])}
    host = subprocess.Popen([sys.executable, "-c", HOST, str(tmp_path)], env=env)
    pids = [int(pid) for name in ("python", "command") for pid in (await written(tmp_path / name)).split()]
    host.kill()
    host.wait()

    assert len(pids) == 4
    assert await all_gone(pids)
    end = time.monotonic() + 60
    while list(temporary.iterdir()) and time.monotonic() < end:
        await asyncio.sleep(0.01)
    assert list(temporary.iterdir()) == []


# --- references ------------------------------------------------------------------------------


async def test_a_reference_is_read_at_each_use(tmp_path: Path) -> None:
    values = iter(["one", "two"])
    agent = command_agent(
        tmp_path, "sh", "-c", 'echo "${#K}"', env={"K": KEY}, read_reference=lambda reference: next(values) * 5
    )

    assert [await agent.run(call()) for _ in range(2)] == [15, 15]
    assert next(values, "no more") == "no more"
    await agent.close()


async def test_a_referenced_value_is_cut_out_of_the_detail(tmp_path: Path) -> None:
    fault = await fault_of(
        tmp_path, 'echo "got $K." >&2; exit 1', env={"K": KEY}, read_reference=lambda reference: "hunter2-hunter2"
    )

    assert fault.detail == "got [redacted]."


PLAIN = "import json, os; print(json.dumps({'debug': os.environ['K']}))"
BASE64 = "import base64, os; print('\"Basic ' + base64.b64encode(os.environb[b'K']).decode() + '\"')"


@pytest.mark.parametrize("show", [PLAIN, BASE64])
@pytest.mark.parametrize("value", ["hunter2-hunter2", 'quo"ted\\value', "schlüssel-über"])
async def test_an_output_that_repeats_a_referenced_value_is_refused(tmp_path: Path, value: str, show: str) -> None:
    agent = command_agent(
        tmp_path, sys.executable, "-S", "-c", show, env={"K": KEY}, read_reference=lambda reference: value
    )
    with pytest.raises(AgentFault) as raised:
        await agent.run(call())

    assert raised.value.message == 'agent "a" returned a value that its policy keeps by reference'
    assert value not in raised.value.detail
    await agent.close()


@pytest.mark.parametrize("kind", ["env", "file", "command"])
async def test_a_reference_that_cannot_be_read_fails_the_attempt(tmp_path: Path, kind: str) -> None:
    def refuse(reference: Reference) -> str:
        raise PolicyError("others can read it")

    fault = await fault_of(tmp_path, "echo 1", env={"K": Reference(kind, ("x",))}, read_reference=refuse)

    assert fault.message == 'agent "a" could not be started'
    assert f"{kind}:x cannot be read: others can read it" in fault.detail


def test_references_that_nothing_reads_are_an_error_of_the_policy(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="nothing is there to read them"):
        build_agent(entry("command", {"argv": ["cat"], "env": {"K": KEY}}), Setting(folder=tmp_path))


@pytest.mark.parametrize("kept", range(1, 15))
def test_a_value_that_the_tails_bound_cut_through_is_redacted_too(kept: int) -> None:
    written = b"hunter2-hunter2 and more"[15 - kept :]

    assert faults.errors_of(written, ["hunter2-hunter2"], cut=True) == "and more"


def test_a_value_is_redacted_that_stands_between_control_characters_also_where_the_bound_cut_through() -> None:
    assert faults.errors_of(b"te\x01r2-hun\x02ter2 and hun\x03ter2-hunter2.", ["hunter2-hunter2"], cut=True) == "and [redacted]."
    assert faults.errors_of("üß-hunter2 more".encode()[1:], ["hunter2-üß-hunter2"], cut=True) == "more"
    assert faults.redacted("a key\r\nof two lines", ["key\r\nof two"]) == "a [redacted] lines"


@pytest.mark.parametrize("text", ["'\"\\u0068unter2-hunter2\"'", "'{\"\\u0068unter2-hunter2\": 1}'"])
async def test_an_output_that_repeats_a_referenced_value_by_escapes_is_refused(tmp_path: Path, text: str) -> None:
    fault = await fault_of(tmp_path, f"printf %s {text}", env={"K": KEY}, read_reference=lambda reference: "hunter2-hunter2")

    assert fault.message == 'agent "a" returned a value that its policy keeps by reference'


async def test_inputs_are_one_line_of_json(tmp_path: Path) -> None:
    assert await run(tmp_path, 'read -r line; printf %s "$line"', {"a": ["ü", 1]}) == {"a": ["ü", 1]}


# --- what it may use -------------------------------------------------------------------------

ASK = """
import http.client, json, os, socket, sys
path, key = json.load(sys.stdin) or (os.environ["RUNNER_GATEWAY"], os.environ["RUNNER_GATEWAY_KEY"])
class Gateway(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
gateway = Gateway("crm")
try:
    gateway.request("POST", "/customers/42", body=b"x", headers={"Runner-Key": key})
    print(gateway.getresponse().read().decode())
except Exception as error:
    print(json.dumps(type(error).__name__))
"""
# One that a program with a uid of its own can reach, where the host's own lies in somebody's home.
PYTHON = "/usr/bin/python3"
with_python = pytest.mark.skipif(not os.path.exists(PYTHON), reason=f"no {PYTHON} here")
both_uids = pytest.mark.parametrize("same_uid", [True, False])


@pytest.fixture
async def credential() -> AsyncIterator[HandCredential]:
    credential = HandCredential()
    yield credential
    await credential.close()


@pytest.fixture
def everywhere(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Temporary files are where every uid can reach them."""
    with open_folder() as folder:
        monkeypatch.setattr("tempfile.tempdir", str(folder))
        yield folder


def no_process_names(text: str) -> bool:
    """True when no command line of this machine holds a text."""
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and text.encode() in (folder / "cmdline").read_bytes():
                return False
        except OSError:
            continue
    return True


@with_python
@both_uids
async def test_a_program_reaches_the_gateway_by_the_socket_and_the_key_of_its_environment(
    tmp_path: Path, everywhere: Path, credential: HandCredential, same_uid: bool
) -> None:
    agent = command_agent(tmp_path, PYTHON, "-S", "-c", ASK, same_uid=same_uid)
    output = await agent.run(call(credential=credential))
    own = os.geteuid() == 0 and not same_uid

    assert output == {"asked": "POST http://crm/customers/42", "body": "x"}
    assert credential.observed == ["all" if own else "gateway only"]
    assert (credential.uids[0] != os.geteuid()) == own
    await agent.close()


@with_python
@both_uids
@pytest.mark.parametrize("start", ['"$@"; true', '("$@" & wait)', 'setsid -w "$@"'])
async def test_what_a_program_starts_reaches_the_gateway_too(
    tmp_path: Path, everywhere: Path, credential: HandCredential, same_uid: bool, start: str
) -> None:
    ask = ASK.replace("json.load(sys.stdin)", "None")
    agent = command_agent(tmp_path, "sh", "-c", start, "sh", PYTHON, "-S", "-c", ask, same_uid=same_uid)

    assert (await agent.run(call(credential=credential)))["asked"] == "POST http://crm/customers/42"
    await agent.close()


async def test_the_environment_has_the_gateway_where_a_scope_was_asked_and_nothing_else(
    tmp_path: Path, everywhere: Path, credential: HandCredential
) -> None:
    agent = command_agent(tmp_path, "sh", "-c", "env >&2; exit 1", env={"LISTED": "x"})
    names = []
    for found in (None, credential):
        with pytest.raises(AgentFault) as raised:
            await agent.run(call(credential=found))
        names.append({line.partition("=")[0] for line in raised.value.detail.splitlines()} - {"PWD", "OLDPWD", "SHLVL", "_"})

    assert names == [{"PATH", "HOME", "LISTED"}, {"PATH", "HOME", "LISTED", "RUNNER_GATEWAY", "RUNNER_GATEWAY_KEY"}]
    await agent.close()


async def test_a_program_gets_the_tokens_themselves_where_the_credential_has_them(tmp_path: Path, everywhere: Path) -> None:
    credential = HandCredential(**{"crm.eu-1": "first-token-text", "mail": "second-token-text"})
    agent = command_agent(tmp_path, "sh", "-c", 'printf "[%d, %d]" ${#RUNNER_TOKEN_CRM_EU_1} ${#RUNNER_TOKEN_MAIL}')

    assert await agent.run(call(credential=credential)) == [len("first-token-text"), len("second-token-text")]
    assert credential.observed == ["none"]
    await agent.close()
    await credential.close()


@pytest.mark.parametrize("variable", ["RUNNER_GATEWAY_KEY", "RUNNER_TOKEN_CRM"])
async def test_a_credential_is_cut_out_of_details_and_refused_in_an_output(
    tmp_path: Path, everywhere: Path, variable: str
) -> None:
    credential = HandCredential(crm="the-token-of-crm")
    shows = command_agent(tmp_path, "sh", "-c", f'printf \'"%s"\' "${variable}"')
    fails = command_agent(tmp_path, "sh", "-c", f'printf "%s." "${variable}" >&2; exit 1')
    faults = []
    for agent in (shows, fails):
        with pytest.raises(AgentFault) as raised:
            await agent.run(call(credential=credential))
        faults.append(raised.value)
        await agent.close()

    assert faults[0].message == 'agent "a" returned a credential that it was handed'
    assert [fault.detail for fault in faults] == [
        "its output repeats a value that it was handed, and was not kept", "[redacted]."
    ]  # fmt: skip
    await credential.close()


@with_python
@both_uids
async def test_an_attempt_cannot_use_the_door_of_another_even_with_its_key(
    tmp_path: Path, everywhere: Path, credential: HandCredential, same_uid: bool
) -> None:
    other = HandCredential()
    hangs = command_agent(tmp_path, "sleep", "600", same_uid=same_uid)
    asks = command_agent(tmp_path, PYTHON, "-S", "-c", ASK, same_uid=same_uid)
    attempt = asyncio.ensure_future(hangs.run(call(credential=other)))
    while not other.doors:
        await asyncio.sleep(0.005)
    door = other.doors[0].door
    met = await asks.run(call([door.path, door.key], credential=credential))
    hung_up = ["ConnectionResetError", "BrokenPipeError", "RemoteDisconnected"]

    assert met in (["PermissionError"] if os.geteuid() == 0 and not same_uid else hung_up)
    assert other.requests == []
    assert no_process_names(door.key)
    attempt.cancel()
    await asyncio.wait([attempt])
    await hangs.close()
    await asks.close()
    await other.close()


async def test_a_door_that_cannot_be_opened_fails_the_attempt_before_the_program_is_started(tmp_path: Path) -> None:
    class Shut(HandCredential):
        async def door(self, **more: Any) -> Any:
            raise OSError(28, "No space left on device")

    agent = command_agent(tmp_path, "sh", "-c", f"touch {tmp_path}/ran; echo 1")
    with pytest.raises(AgentFault) as raised:
        await agent.run(call(credential=Shut()))

    assert raised.value.message == 'agent "a" could not be started'
    assert "its door to the gateway could not be opened: No space left on device" in raised.value.detail
    assert not (tmp_path / "ran").exists()
    await agent.close()
