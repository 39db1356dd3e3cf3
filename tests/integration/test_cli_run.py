"""`runner run` as a process: what is on which stream, with which exit code, and what the store keeps of it."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from runner import Runner
from runner.cli import call
from runner.events import EventKind, fold
from runner.models import RunState
from tests.runs import AGENTS, TESTS

ROOT = TESTS.parent
ENVELOPE = jsonschema_rs.validator_for(json.loads((ROOT / "docs" / "run-envelope.schema.json").read_text()))
COMMAND = [sys.executable, "-m", "runner"]
SLEEPS = "gather([spawn('slow', {'seconds': 60}) for _ in range(3)])\n"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy in a folder of its own, its python agents beside it."""
    folder = tmp_path / "policy"
    folder.mkdir()
    shutil.copy(TESTS / "actors.py", folder)
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "sandbox": "process", "agents": AGENTS}))
    return path


def written(folder: Path, source: str | bytes, name: str = "script.py") -> Path:
    path = folder / name
    path.write_bytes(source.encode() if isinstance(source, str) else source)
    return path


@dataclass(frozen=True)
class Said:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """Runs a command line in this process."""
    monkeypatch.chdir(ROOT)

    def said(*words: str | Path) -> Said:
        capfd.readouterr()
        code = call([str(word) for word in words])
        return Said(code, *capfd.readouterr())

    return said


def process_of(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command line as a process of its own, in the process sandbox where it runs a script."""
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=60, cwd=ROOT, **options
    )  # type: ignore[call-overload, no-any-return]


def envelope_of(text: str) -> dict[str, object]:
    assert text.count("\n") == 1, "the envelope is one line"
    found = json.loads(text)
    ENVELOPE.validate(found)
    return found


def test_the_result_alone_is_on_stdout_and_the_store_tells_the_run(tmp_path, policy, cli):
    source = "print('half \\x1b[31mway')\na = spawn('echo', {'say': 'é'})\nb = spawn('echo', {'say': 2})\n"
    script = written(tmp_path, source + "result = gather([a, b])\n", "two.py")
    ran = process_of("run", script, "--policy", policy, "--sandbox", "process", "--inputs", '{"q": 1}')

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == '[{"said":"é"},{"said":2}]\n'
    assert "| half way" in ran.stderr.splitlines()
    assert "\x1b" not in ran.stderr
    assert "  agent echo: 2 ok" in ran.stderr.splitlines()
    assert "  time: " in ran.stderr and "a token is taken as 4 bytes" in ran.stderr

    (row,) = json.loads(cli("runs", "--json").stdout)
    assert (row["script"], row["state"], row["spawns"]) == ("two", "done", 2)
    shown = cli("show", row["run"][:-2])
    assert shown.stdout.startswith(f"run {row['run']}: done in ")
    assert 'inputs {"q":1}' in shown.stdout
    assert envelope_of(cli("show", row["run"], "--json").stdout)["result"] == json.loads(ran.stdout)
    events = [json.loads(line) for line in cli("journal", row["run"], "--json").stdout.splitlines()]
    assert [event["kind"] for event in events][-1] == EventKind.RUN_FINISHED
    verified = cli("verify", row["run"])
    assert verified.stderr == f"run {row['run']}: {len(events)} events, whole and unaltered\n"
    assert verified.returncode == 0


ENDS = [
    ("result = 1", 0, "done", None, None),
    ("x = 1\nresult = {}['a']", 1, "failed", "KeyError", 2),
    ("import os\nresult = 1", 3, "rejected", None, 1),
    ("while True:\n    spawn('echo', {})", 5, "limit", "spawns", None),
]


@pytest.mark.parametrize(("source", "code", "state", "kind", "line"), ENDS, ids=[end[2] for end in ENDS])
def test_each_end_has_its_exit_code_and_one_envelope(tmp_path, policy, source, code, state, kind, line, capfdbinary):
    script = written(tmp_path, source)
    ended = call(["run", str(script), "--policy", str(policy), "--sandbox", "process", "--json"])
    out, err = capfdbinary.readouterr()
    envelope = envelope_of(out.decode())

    assert (ended, envelope["exit_code"], envelope["state"]) == (code, code, state), err.decode()
    if state != "done":
        assert kind is None or envelope["error"]["kind"] == kind
        assert line is None or envelope["error"]["line"] == line
        assert envelope["result"] is None
    assert call(["show", envelope["run"]]) == 0


def test_a_failed_script_shows_its_line_and_stdout_stays_empty(tmp_path, policy, cli):
    script = written(tmp_path, "def pick(row):\n    return row['price']\nresult = [pick({})]\n")
    ran = cli("run", script, "--policy", policy, "--sandbox", "process")

    assert (ran.returncode, ran.stdout) == (1, "")
    assert "KeyError: 'price'" in ran.stderr
    assert "    2 | return row['price']\n      | ^^^^^^^^^^^^^^^^^^^\n    called from line 3, in " in ran.stderr


def test_a_run_with_failed_spawns_says_so_last(tmp_path, policy, cli):
    source = "name = 'no' + 'body'\nresult = gather([spawn('echo', {}), spawn(name, label='x')], on_error='none')\n"
    script = written(tmp_path, source)
    ran = cli("run", script, "--policy", policy, "--sandbox", "process")

    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.splitlines()[-1] == "1 of 2 spawns did not end well: 1 denied"
    assert 'spawn 2 nobody "x": denied: ' in ran.stderr


# --- bad input: one clear error, its exit code, and nothing started --------------------------------

GOOD = b"result = 1\n"
BAD = [
    ("no such script", None, ["missing.py"], 2, 'script "missing.py" cannot be read: No such file or directory'),
    ("a folder", None, ["."], 2, 'script "." cannot be read: Is a directory'),
    ("inputs that are no JSON", GOOD, ["--inputs", "{a: 1}"], 2, "--inputs: "),
    ("inputs that are not exact", GOOD, ["--inputs", "[NaN]"], 2, "NaN is no JSON"),
    ("inputs cut short", GOOD, ["--inputs", '{"a": '], 2, "--inputs: "),
    ("no inputs file", GOOD, ["--inputs", "@nowhere.json"], 2, 'inputs file "nowhere.json" cannot be read'),
    ("no policy file", GOOD, ["--policy", "nowhere.yaml"], 2, "nowhere.yaml"),
    ("no such sandbox", GOOD, ["--sandbox", "vm"], 2, "'vm'"),
    ("a policy that is no YAML", GOOD, ["--policy", "torn.yaml"], 2, "torn.yaml:3: "),
    ("a policy that contradicts itself", GOOD, ["--policy", "odd.yaml"], 2, "odd.yaml:"),
    ("empty", b"", [], 3, ""),
    ("no UTF-8", b"result = '\xff'\n", [], 3, ""),
    ("10 MB", b"#" + b"x" * 10_000_000, [], 3, ""),
    ("broken", b"result = (\n", [], 3, ""),
    ("a fence around it", b"```python\nresult = 1\n```\n", [], 3, "--extract"),
    ("a parser bomb", b"result = " + b"(" * 5000 + b")" * 5000, [], 3, ""),
]  # fmt: skip


@pytest.mark.parametrize(("source", "words", "code", "message"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_bad_input_is_one_clear_error_with_its_exit_code(
    tmp_path, policy, monkeypatch, capfdbinary, source, words, code, message
):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "agents: {}\nlimits: [\n", "torn.yaml")
    written(tmp_path, "version: 1\nlimits: {spawns: -3}\nagents: {}\n", "odd.yaml")
    asked = [str(written(tmp_path, source)) if source is not None else words[0], *words[source is None :]]
    if "--policy" not in asked:
        asked += ["--policy", str(policy)]
    if "--sandbox" not in asked:
        asked += ["--sandbox", "process"]
    ended = call(["run", *asked, "--json"])
    out, err = (stream.decode() for stream in capfdbinary.readouterr())
    envelope = envelope_of(out)

    assert ended == code, err
    assert envelope["exit_code"] == code
    assert message in err
    assert "Traceback" not in err
    assert len(err.encode()) < 4_000
    # A script that was read is on record, rejected; what could not be read left nothing.
    assert [row.state for row in Runner().runs()] == (["rejected"] if code == 3 else [])


def test_without_a_policy_the_error_names_the_verb_that_writes_one(tmp_path, capfdbinary):
    script = written(tmp_path, GOOD)

    assert call(["run", str(script)]) == 2
    assert b"hint: `runner init` writes one" in capfdbinary.readouterr().err


def test_what_init_writes_runs_at_once(tmp_path, cli):
    first = cli("init", tmp_path / "new")
    command = first.stderr.removeprefix("next: runner ").split()
    ran = cli(*command, "--sandbox", "process")

    assert first.returncode == 0, first.stderr
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)
    again = cli("init", tmp_path / "new")
    assert again.returncode == 2
    assert "Traceback" not in again.stderr


def test_a_script_from_stdin_has_its_fence_taken_off_and_its_name_given(policy):
    source = "Here it is:\n```python\nresult = inputs['n'] + 1\n```\n"
    words = ["run", "-", "--extract", "--name", "from-a-model", "--inputs", '{"n": 41}', "--policy", policy]
    ran = process_of(*words, "--sandbox", "process", "--json", input=source)
    envelope = envelope_of(ran.stdout)

    assert (envelope["result"], envelope["script"]) == (42, "from-a-model")


def test_quiet_leaves_stderr_to_errors(tmp_path, policy):
    ran = process_of("run", written(tmp_path, GOOD), "--policy", policy, "--sandbox", "process", "--quiet")

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "1\n", "")


def test_a_reader_that_went_away_changes_neither_the_run_nor_its_exit_code(tmp_path, policy):
    reading, writing = os.pipe()
    os.close(reading)
    words = ["run", str(written(tmp_path, GOOD)), "--policy", str(policy), "--sandbox", "process"]
    ran = subprocess.run([*COMMAND, *words], stdout=writing, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60)
    os.close(writing)

    assert ran.returncode == 0
    assert "Broken" not in ran.stderr and "Traceback" not in ran.stderr


def test_a_script_from_a_stdin_that_is_closed_is_an_empty_one(policy):
    words = [*COMMAND, "run", "-", "--policy", str(policy), "--sandbox", "process"]
    ran = subprocess.run(["sh", "-c", '"$@" <&-', "sh", *words], capture_output=True, text=True, cwd=ROOT, timeout=60)

    assert ran.returncode == 3, ran.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_process_started_with_a_stream_closed_runs_all_the_same(tmp_path, policy, closed):
    words = ["run", str(written(tmp_path, GOOD)), "--policy", str(policy), "--sandbox", "process"]
    ran = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", *COMMAND, *words], capture_output=True, text=True, cwd=ROOT, timeout=60
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ("" if " >&-" in f" {closed}" else "1\n")
    (row,) = Runner().runs()
    Runner().verify(row.run)


def test_a_full_disk_on_stdout_is_exit_8_and_the_run_stays_in_the_store(tmp_path, policy):
    words = ["run", str(written(tmp_path, GOOD)), "--policy", str(policy), "--sandbox", "process"]
    with open("/dev/full", "wb") as full:
        ran = subprocess.run([*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60)

    assert ran.returncode == 8
    assert "stdout could not be written: [Errno 28] No space left on device" in ran.stderr
    assert [row.state for row in Runner().runs()] == ["done"]


def test_in_a_terminal_the_view_is_drawn_and_the_result_is_indented(tmp_path, policy):
    terminal, inner = pty.openpty()
    script = written(tmp_path, "result = gather([spawn('echo', {'say': n}) for n in range(3)])[0]\n")
    words = ["run", str(script), "--policy", str(policy), "--sandbox", "process"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen([*COMMAND, *words], stdout=inner, stderr=inner, env=environment, cwd=ROOT)
    os.close(inner)
    shown = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(terminal)

    assert process.wait(60) == 0
    assert b'{\r\n  "said": 0\r\n}\r\n' in shown
    assert b"agent echo: 3 ok" in shown


# --- from another terminal -------------------------------------------------------------------------


def live_run(*kinds: EventKind) -> str:
    """Return the id of the one run of this store, once it has these events."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        runner = Runner()
        for row in runner.runs():
            if set(kinds) <= {event.kind for event in runner.events(row.run)}:
                return row.run
        runner.store.close()
        time.sleep(0.05)
    raise AssertionError("the run did not begin")


@pytest.fixture
def sleeping(tmp_path, policy) -> Iterator[subprocess.Popen[str]]:
    """A run whose agents sleep for a minute."""
    words = ["run", str(written(tmp_path, SLEEPS)), "--policy", str(policy), "--sandbox", "process", "--json"]
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_run_cleanly(sleeping, number):
    run = live_run(EventKind.WAIT_OPENED)
    children = children_of(sleeping.pid)
    sleeping.send_signal(number)
    out, err = sleeping.communicate(timeout=60)
    envelope = envelope_of(out)

    assert sleeping.returncode == 130, err
    assert (envelope["run"], envelope["state"], envelope["exit_code"]) == (run, "stopped", 130)
    assert envelope["spawns"] == {"cancelled": 3}
    assert children, "there was a guest"
    assert [pid for pid in children if alive(pid)] == []


def test_a_second_signal_ends_the_process_at_once(tmp_path, policy):
    script = written(tmp_path, "spawn('stubborn', {}).result()\n")
    words = ["run", str(script), "--policy", str(policy), "--sandbox", "process"]
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    run = live_run(EventKind.ATTEMPT_STARTED)
    children = children_of(process.pid)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)

    assert (process.returncode, out) == (130, ""), err
    assert [pid for pid in children if alive(pid)] == []
    # Nothing was waited for, the record's last event neither.
    assert Runner().view(run).state is RunState.INTERRUPTED


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    """Return every process below this one."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *children_of(int(child))]
    return found


def test_a_live_run_is_shown_waiting_followed_and_stopped_from_elsewhere(sleeping, cli):
    run = live_run(EventKind.WAIT_OPENED)
    shown = cli("show", run).stdout.splitlines()

    assert shown[0].startswith(f"run {run}: running for ")
    assert shown[1].startswith("waits at line 1 for 3 of 3 spawns, 3 of them open, since ")
    assert shown[2].startswith("  spawn 1 slow: running for ")
    watching = subprocess.Popen(
        [*COMMAND, "watch", run, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    stopped = process_of("stop", run)
    out, err = watching.communicate(timeout=60)
    envelope = envelope_of(out)

    assert (stopped.returncode, stopped.stderr) == (0, f"run {run} has ended: stopped\n")
    assert (watching.returncode, envelope["state"]) == (130, "stopped"), err
    assert sleeping.wait(60) == 130
    assert cli("stop", run).stderr == f"run {run} is not live: stopped\n"


def test_a_run_whose_host_was_killed_is_interrupted_and_never_looks_alive(sleeping, cli):
    run = live_run(EventKind.WAIT_OPENED)
    sleeping.kill()
    sleeping.wait(60)
    deadline = time.monotonic() + 60
    while (view := Runner().view(run)).state is RunState.RUNNING and time.monotonic() < deadline:
        time.sleep(0.1)

    assert view.state is RunState.INTERRUPTED
    assert cli("show", run).stdout.startswith(f"run {run}: interrupted: its host is gone; ")
    assert cli("watch", run).returncode == 6
    assert "interrupted" in cli("runs", "--state", "interrupted").stdout


# --- other verbs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("home", ["/proc/nowhere", "/dev/null"])
def test_a_store_that_cannot_be_used_is_exit_8_before_anything_runs(tmp_path, policy, monkeypatch, capfdbinary, home):
    monkeypatch.setenv("RUNNER_HOME", home)
    ended = call(["run", str(written(tmp_path, GOOD)), "--policy", str(policy), "--sandbox", "process", "--json"])
    out, err = capfdbinary.readouterr()

    assert ended == 8, err
    assert envelope_of(out.decode())["error"]["kind"] == "StoreError"
    assert b"hint: set RUNNER_HOME" in err


def test_a_shell_completes_the_ids_of_runs(tmp_path, policy):
    assert call(["run", str(written(tmp_path, GOOD)), "--policy", str(policy), "--sandbox", "process", "-q"]) == 0
    (row,) = Runner().runs()
    asked = {"_RUNNER_COMPLETE": "complete_bash", "COMP_WORDS": f"runner show {row.run[:6]}", "COMP_CWORD": "2"}
    completed = process_of(env={**os.environ, **asked})

    assert completed.stdout.split() == [row.run]


def test_check_says_the_same_as_a_run_would(tmp_path, policy, capfdbinary):
    script = str(written(tmp_path, "import os\nresult = spawn('nobody').result()\n"))
    ways = ([], ["--json"], ["--format", "model"])
    codes = [call(["check", script, "--policy", str(policy), *more]) for more in ways]
    out, err = capfdbinary.readouterr()

    assert codes == [3, 3, 3], err
    assert b"nobody" in out


@pytest.mark.parametrize("words", [["show"], ["watch"], ["stop"], ["journal"], ["verify"]])
def test_a_run_that_is_not_there_is_exit_2(words, capfdbinary):
    assert call([*words, "nothing"]) == 2
    out, err = capfdbinary.readouterr()

    assert out == b""
    assert b'"nothing"' in err


def test_policy_verbs_show_and_describe_a_policy(policy, capfdbinary):
    assert call(["policy", "check", str(policy)]) == 0
    assert call(["policy", "check", str(policy), "--json"]) == 0
    assert call(["policy", "schema"]) == 0

    assert b"agent echo: " in capfdbinary.readouterr().out


def test_the_journal_printed_as_json_lines_folds_to_the_same_view(tmp_path, policy, capfdbinary):
    assert call(["run", str(written(tmp_path, GOOD)), "--policy", str(policy), "--sandbox", "process", "-q"]) == 0
    (row,) = Runner().runs()
    events = list(Runner().events(row.run))
    capfdbinary.readouterr()
    assert call(["journal", row.run]) == 0
    lines = capfdbinary.readouterr().out.decode().splitlines()

    assert len(lines) == len(events)
    assert fold(events).state is RunState.DONE
    assert all(str(event.kind) in line for event, line in zip(events, lines, strict=True))


def test_what_an_agent_prints_in_the_host_does_not_reach_stdout(tmp_path):
    (tmp_path / "loud.py").write_text(
        "import os\nasync def f(inputs):\n    print('a print')\n    os.write(1, b'raw bytes\\n')\n    return {'n': 1}\n"
    )
    (tmp_path / "runner.yaml").write_text(
        "version: 1\nsandbox: process\nagents:\n  loud:\n    description: Prints.\n    python: loud:f\n"
        "    input: {type: object, properties: {}}\n    output: {type: object, properties: {n: {type: integer}}}\n"
    )
    (tmp_path / "script.py").write_text("result = spawn('loud', {}).result()\n")
    ended = subprocess.run(
        [sys.executable, "-m", "runner", "run", "script.py", "--sandbox", "process"], cwd=tmp_path, capture_output=True, text=True
    )

    assert (ended.returncode, ended.stdout) == (0, '{"n":1}\n')
    assert "a print" in ended.stderr and "raw bytes" in ended.stderr
