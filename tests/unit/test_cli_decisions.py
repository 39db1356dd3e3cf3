"""approve, reject, pending, decisions, key, and what the terminal asks before a run."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from runner.check import check
from runner.cli import call
from runner.cli.prompt_review import lets_run
from runner.cli.short_report import script_lines, short_report
from runner.models import Script
from runner.review.flags import flags_of_verdict
from tests.runs import TESTS, agent, policy_of

SOURCE = 'result = spawn("echo", {"say": "hi"}).result()["said"]\n'


@pytest.fixture
def project(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "actors.py").write_text((TESTS / "actors.py").read_text())
    written = {"version": 1, "sandbox": "process", "agents": {"echo": agent("echo")}, "review": "required"}
    (folder / "runner.yaml").write_text(yaml.safe_dump(written))
    (folder / "echo.py").write_text(SOURCE)
    monkeypatch.chdir(folder)
    return folder


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = call(list(words))
    said = capsys.readouterr()
    return code, said.out, said.err


@dataclass(frozen=True)
class Ran:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Runs a script with the command line, in this process; at stdin is nobody."""

    def ran(*words: str) -> Ran:
        monkeypatch.setattr("sys.stdin", io.StringIO())
        capsys.readouterr()
        return Ran(*told(capsys, "run", *words))

    return ran


def test_a_script_waits_is_approved_and_runs(project, capsys, run):
    digest = Script("echo", SOURCE.encode()).digest
    stopped = run("echo.py", "--sandbox", "process", "--json")
    waits = told(capsys, "pending")
    told(capsys, "key", "new", "--name", "Ann Lee")
    approved = told(capsys, "approve", digest[:12], "--reason", "read it", "-o", "echo.py.approval", "--expires", "30d")
    ran = run("echo.py", "--sandbox", "process", "--quiet")
    left = told(capsys, "pending")
    listed = told(capsys, "decisions")

    assert stopped.returncode == 4
    envelope = json.loads(stopped.stdout)
    assert envelope["exit_code"] == 4 and envelope["error"]["kind"] == "ReviewNeeded"
    command = f'runner approve {project}/echo.py --policy {project}/runner.yaml --reason "..."'
    assert (envelope["next"], envelope["error"]["hint"]) == (command, command)
    assert waits[0] == 0 and waits[1].splitlines()[1].split()[:4] == [digest[:12], "echo", "runner", "none"]
    assert waits[2] == f"next: {command}\n"
    assert approved[0] == 0 and len(approved[1].strip()) == 64
    assert approved[2].splitlines()[0].startswith(f"script echo ({digest[:12]}) under policy runner (")
    assert approved[2].splitlines()[-1] == 'approved by "Ann Lee"; echo.py.approval: commit it beside the script'
    assert (ran.returncode, ran.stdout) == (0, '"hi"\n'), ran.stderr
    assert left == (0, "", "nothing waits for a decision\n")
    assert listed[1].splitlines()[1].split()[:3] == [approved[1][:12], "approve", "holds"]


def test_the_command_that_is_hinted_at_is_the_one_that_approves(project, capsys, run):
    import shlex

    told(capsys, "key", "new", "--name", "ann")
    stopped = run("echo.py", "--sandbox", "process")
    hint = stopped.stderr.splitlines()[-1].removeprefix("hint: ")
    words = shlex.split(hint)

    assert words[0] == "runner"
    assert told(capsys, *words[1:])[0] == 0
    assert run("echo.py", "--sandbox", "process", "-q").returncode == 0


def test_a_decision_travels_with_its_script_to_another_home(project, capsys, monkeypatch, tmp_path, run):
    told(capsys, "key", "new", "--name", "ann")
    key = json.loads(told(capsys, "key", "show", "--json")[1])
    told(capsys, "approve", "echo.py", "--reason", "x", "-o", "echo.py.approval")
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    monkeypatch.setenv("RUNNER_HOME", str(other))
    unknown = run("echo.py", "--sandbox", "process")
    (other / "trust.yaml").write_text(
        f"version: 1\nreviewers: [{{name: ann, key: {key['fingerprint']}, may_approve: none}}]\nsecond_person: true\n"
    )
    (other / "trust.yaml").chmod(0o600)
    known = run("echo.py", "--sandbox", "process", "-q")
    (project / "echo.py.approval").rename(project / "elsewhere.approval")
    named = run("echo.py", "--sandbox", "process", "-q", "--approval", "elsewhere.approval")

    assert unknown.returncode == 4
    assert f"its key is {key['fingerprint'][:12]}, which is not the reviewer's key of this home" in unknown.stderr
    assert (known.returncode, named.returncode) == (0, 0), known.stderr + named.stderr


def test_a_rejection_and_a_revocation_end_with_4_and_say_why(project, capsys, run):
    told(capsys, "key", "new", "--name", "ann")
    rejected = told(capsys, "reject", "echo.py", "--reason", "it says hi")
    refused = run("echo.py", "--sandbox", "process")
    revoked = told(capsys, "decisions", "revoke", rejected[1][:12], "--reason", "hi is fine")
    told(capsys, "approve", "echo.py", "--reason", "hi is fine")
    ran = run("echo.py", "--sandbox", "process", "-q")
    rows = json.loads(told(capsys, "decisions", "--json")[1])

    assert refused.returncode == 4
    assert 'was rejected by "ann" under policy "runner": it says hi' in refused.stderr
    assert revoked[1] == rejected[1]
    assert ran.returncode == 0
    assert [(row["decision"], row["state"]) for row in rows] == [("approve", "holds"), ("reject", "revoked")]


def test_digits_name_what_waits_although_a_file_is_called_so(project, capsys, run):
    """Whoever writes scripts may write files: none of them stands in for what was submitted."""
    digest = Script("echo", SOURCE.encode()).digest
    run("echo.py", "--sandbox", "process")
    (project / digest[:12]).write_text('result = "another"\n')
    told(capsys, "key", "new", "--name", "ann")
    told(capsys, "approve", digest[:12], "--reason", "x", "--policy", "runner.yaml")

    assert json.loads(told(capsys, "decisions", "--json")[1])[0]["script_digest"] == digest


def test_what_waits_can_be_approved_for_the_inputs_that_it_waits_with(project, capsys, run):
    run("echo.py", "--sandbox", "process", "--inputs", '{"x": 1}')
    told(capsys, "key", "new", "--name", "ann")
    told(capsys, "approve", "echo.py", "--reason", "x", "--inputs", "asked")

    assert run("echo.py", "--sandbox", "process", "-q", "--inputs", '{"x": 1}').returncode == 0
    assert run("echo.py", "--sandbox", "process", "-q", "--inputs", '{"x": 2}').returncode == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["approve", "echo.py", "--reason", " "], "a reason has 1 to 10,000 characters"),
        (["approve", "echo.py", "--reason", "x", "--expires", "soon"], '--expires "soon" is no duration'),
        (["approve", "echo.py", "--reason", "x", "-o", "echo.py"], '"echo.py" is there'),
        (["approve", "echo.py", "--reason", "x", "--inputs", "asked"], "--inputs asked goes with a script that waits"),
        (["approve", "0" * 12, "--reason", "x"], 'nothing that waits for a decision begins with "000000000000"'),
        (["approve", "nothing.py", "--reason", "x"], "cannot be read"),
        (["decisions", "revoke"], '"revoke" is not known here'),
        (["decisions", "remove", "x"], '"remove" is not known here'),
        (["decisions", "revoke", "0" * 12, "--reason", "x"], "no decisions of the register begin with"),
        (["key", "new", "--name", "bob"], "this home has a reviewer's key"),
        (["key", "new", "--name", "a\nb", "--force"], "is no name of a reviewer"),
    ],
)
def test_a_wrong_call_is_one_error_and_decides_nothing(project, capsys, words, message):
    told(capsys, "key", "new", "--name", "ann")
    code, _, said = told(capsys, *words)

    assert code == 2
    assert message in said
    assert told(capsys, "decisions") == (0, "", "no decisions\n")


def test_a_policy_is_signed_beside_itself(project, capsys):
    told(capsys, "key", "new", "--name", "ann")
    code, out, _ = told(capsys, "key", "sign", "runner.yaml")

    assert (code, out) == (0, "runner.yaml.signature\n")
    assert "runner policy" in (project / "runner.yaml.signature").read_text()


# --- the terminal ------------------------------------------------------------------------------

POLICY = policy_of(agents={"echo": agent("echo", scopes=["crm:read"]), "send": agent("echo", effects="irreversible")})
TRICKY = Script(
    "tri\x1b[2Jcky\u202e",
    'spawn("send", {})\nresult = "\x1b[2J\u202eok" + spawn(inputs, {}, scopes=["crm:read"]).result()["said"]\n'.encode(),
)


def asked(*answers: str, script: Script = TRICKY) -> tuple[bool, list[str]]:
    verdict = check(script, POLICY)
    lines: list[str] = []
    flags = flags_of_verdict(verdict, POLICY)
    return lets_run(script, POLICY, verdict, flags, say=lines.append, answered=iter(answers)), lines


@pytest.mark.parametrize(
    ("answers", "runs"),
    [
        (["run\n"], True), ([" RUN \n"], True), (["script\n", "show report\n", "run\n"], True), (["maybe\n", "run\n"], True),
        (["no\n"], False), (["\n"], False), ([], False), (["r\n"], False), (["y\n"], False), (["yes\n"], False),
        (["running\n"], False), (["no\n", "run\n"], False), (["?\n"] * 30 + ["run\n"], False),
    ],
)  # fmt: skip
def test_only_the_whole_word_run_lets_it_run(answers, runs):
    assert asked(*answers)[0] is runs


def test_the_short_report_has_at_most_six_lines_and_nothing_in_it_acts_on_a_terminal():
    plain = Script("s\x1b[2J", b'spawn("send", {})\nresult = spawn(inputs, {}, scopes=["crm:read"]).result()["said"]\n')
    verdict = check(plain, POLICY)
    lines = short_report(plain, POLICY, verdict, flags_of_verdict(verdict, POLICY))
    everything = [*lines, *asked("script", "report", "no")[1], *asked("script", "report", "no", script=plain)[1]]

    assert len(lines) <= 6
    assert lines[2] == "agents: computed, so any of echo (none; crm:read), send (irreversible)"
    assert not [line for line in everything if "\x1b" in line or "\u202e" in line or "\n" in line]


def test_a_line_in_which_something_hides_is_marked():
    assert script_lines(Script("s", "a = 1\nb = '\u202e'\n\ttab\r\n".encode())) == [
        "1  a = 1", "2  b = ''   <- characters that hide or act on a terminal stand here", "3  \ttab", "4  "
    ]  # fmt: skip


def in_terminal(project: Path, *answers: str) -> tuple[int, str]:
    """Run the script in a terminal of its own; type an answer each time the question stands there."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "run", "echo.py", "--sandbox", "process", "-q"], stdin=slave, stdout=slave,
        stderr=slave, cwd=project, env={**os.environ, "TERM": "dumb"}, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    left, seen, deadline = list(answers), "", time.monotonic() + 60
    questions = 0
    while time.monotonic() < deadline:
        ready, _, _ = select.select([master], [], [], 0.2)
        try:
            data = os.read(master, 65536) if ready else b""
        except OSError:  # The other side is closed.
            break
        seen += data.decode("utf-8", "replace")
        if not data and process.poll() is not None:
            break
        if seen.count("run it? [") > questions:
            questions += 1
            os.write(master, (left.pop(0) if left else "\x04").encode())
    os.close(master)
    return process.wait(60), seen


def test_in_a_terminal_the_answer_lets_it_run_signed_with_the_homes_key(project, capsys):
    told(capsys, "key", "new", "--name", "ann")
    code, seen = in_terminal(project, "script\n", "run\n")
    (row,) = json.loads(told(capsys, "decisions", "--json")[1])

    assert code == 0, seen
    assert "verdict: the check accepts it, 0 remarks" in seen
    assert '1  result = spawn("echo"' in seen
    assert (row["how"], row["reviewer"], row["state"], len(row["key"])) == ("prompt", "ann", "holds", 64)
    assert told(capsys, "pending")[1] == ""


@pytest.mark.parametrize("answer", ["no\n", "\x04"])
def test_in_a_terminal_no_and_the_end_of_input_leave_it_waiting(project, capsys, answer):
    code, seen = in_terminal(project, answer)

    assert code == 4, seen
    assert "needs a review" in seen
    assert told(capsys, "decisions") == (0, "", "no decisions\n")
    assert len(json.loads(told(capsys, "pending", "--json")[1])) == 1


def test_in_a_terminal_nobody_is_asked_where_a_second_person_decides(project, own_home):
    (own_home / "trust.yaml").write_text("version: 1\nsecond_person: true\n")
    (own_home / "trust.yaml").chmod(0o600)
    code, seen = in_terminal(project, "run\n")

    assert code == 4
    assert "run it?" not in seen
