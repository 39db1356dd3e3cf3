"""`runner replay`, `resume`, `fail` and `run --reuse` at the command line: streams, exit codes, words, JSON."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import psutil
import pytest
import yaml

from runner import Runner
from runner.cli import call
from runner.events import EventKind
from tests.crash.cut import cut
from tests.runs import AGENTS, TESTS, agent

ENVELOPE = jsonschema_rs.validator_for(json.loads((TESTS.parent / "docs" / "run-envelope.schema.json").read_text()))
TWO = "a = spawn('echo', {'say': inputs.get('say', 'a')})\nb = spawn('echo', {'say': a['said']})\nresult = [a.result(), b.result()]\n"
ESC = "\x1b[31mred\x07"
BIDI = "\u202eevil\u2066"


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()


class Shell:
    """Command lines in a folder with a policy, scripts and agents, in this process."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capfd = capfd
        shutil.copy(TESTS / "actors.py", folder)
        self.policy()

    def policy(self, name: str = "policy.yaml", *, agents: dict[str, Any] | None = None, **more: Any) -> str:
        path = self.folder / name
        path.write_text(yaml.safe_dump({"version": 1, "sandbox": "process", "agents": agents or AGENTS, **more}))
        return str(path)

    def write(self, source: str, name: str = "two.py") -> str:
        path = self.folder / name
        path.write_bytes(source.encode("utf-8", "surrogatepass"))
        return str(path)

    def __call__(self, *words: str) -> Said:
        self._capfd.readouterr()
        code = call(list(words))
        out, err = self._capfd.readouterr()
        return Said(code, out, err)

    def run(self, source: str = TWO, *words: str, name: str = "two.py") -> str:
        """Run a script; return its id."""
        before = set(self.runs())
        self("run", self.write(source, name), "--policy", str(self.folder / "policy.yaml"), "--sandbox", "process", *words)
        (run,) = set(self.runs()) - before
        return run

    def runs(self) -> list[str]:
        runner = Runner()
        found = [row.run for row in runner.runs()]
        runner.store.close()
        return found

    def interrupted(self, source: str, at: Callable[[Any], bool], *, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        """Run a script, and have its host died after the first event of which `at` holds; in a home of its own."""
        run = self.run(source)
        runner = Runner()
        events = list(runner.events(run))
        source_home = runner.store.home
        runner.store.close()
        home.mkdir(mode=0o700)
        cut(source_home, home, run, next(event.seq for event in events if at(event)))
        monkeypatch.setenv("RUNNER_HOME", str(home))
        return run


@pytest.fixture
def shell(tmp_path, capfd, monkeypatch):
    # A what-if takes the best sandbox of the machine; a container for each would take seconds.
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    return Shell(tmp_path, capfd)


# --- replay ------------------------------------------------------------------------------------


def test_an_identical_replay_is_exit_0_and_the_recorded_result(shell):
    run = shell.run()
    said = shell("replay", run)

    assert (said.code, said.out) == (0, '[{"said":"a"},{"said":"a"}]\n')
    assert said.lines == [f"identical: 2 spawns, 5 frames: run {run}"]


def test_an_identical_replay_of_a_failed_run_tells_how_it_ended_and_has_no_result(shell):
    run = shell.run("spawn('rude', {}).result()\n")
    said = shell("replay", run)

    assert (said.code, said.out) == (0, "")
    assert said.lines == [
        'ended as recorded: failed: SpawnFailed: agent "rude" raised ValueError', f"identical: 1 spawn, 3 frames: run {run}",
    ]  # fmt: skip


def test_a_replay_that_diverges_is_exit_7_and_tells_where(shell):
    run = shell.run()
    said = shell("replay", run, "--strict", "--script", shell.write(TWO.replace("b = spawn", "b = spawn('echo', {})\nc = spawn"), "o.py"))

    assert (said.code, said.out) == (7, "")
    assert said.lines[:2] == [f"run {run}: left its record", "diverged at frame 2, spawn 2, line 2"]
    assert said.lines[-1].strip() == "likely cause: the script was changed, first at line 2"
    assert "identical" not in said.err


def test_a_replay_as_json_is_one_object_of_the_documented_fields(shell):
    run = shell.run()
    same = json.loads(shell("replay", run, "--json").out)
    other = shell("replay", run, "--json", "--strict", "--script", shell.write("result = 1", "o.py"))
    differs = json.loads(other.out)

    assert same == {
        "version": 1, "run": run, "identical": True, "state": "done", "result": [{"said": "a"}, {"said": "a"}], "error": None,
        "divergence": None, "notes": [], "frames": 5, "spawns": 2, "sandbox": "process",
    }  # fmt: skip
    assert (other.code, differs["identical"], differs["divergence"]["what"], differs["divergence"]["frame"]) == (7, False, "finished", 1)
    assert list(differs) == list(same)


def test_a_what_if_that_comes_to_the_same_is_exit_0_and_its_result(shell):
    run = shell.run()
    said = shell("replay", run, "--script", shell.write(TWO + "# a comment\n", "o.py"))

    assert (said.code, said.out) == (0, '[{"said":"a"},{"said":"a"}]\n')
    assert re.fullmatch(r"2 spawns matched, 0 not in the record, 0 changed; \S+ s of the script's time", said.lines[0].replace("ms", "s"))
    assert said.lines[1:] == [f"comes to the same: run {run}"]


def test_a_what_if_tells_all_that_differs_with_the_most_important_last(shell):
    run = shell.run()
    said = shell("replay", run, "--inputs", '{"say": "b"}')

    assert (said.code, said.out) == (7, "")
    assert said.lines == [
        'not in the record: spawn 1 echo (line 1) with {"say":"b"}',
        "not asked any more: spawns 1, 2 of the record",
        "stopped at line 3: what it waits for is not in the record; --mocks answers it",
        "0 spawns matched, 1 not in the record, 0 changed; 0 ms of the script's time",
    ]


def test_mocks_answer_at_the_command_line_and_the_end_differs(shell):
    run = shell.run()
    (shell.folder / "mocks.yaml").write_text("version: 1\nagents: {echo: [{output: {said: mock}, seconds: 9}]}\n")
    said = shell("replay", run, "--inputs", '{"say": "b"}', "--mocks", str(shell.folder / "mocks.yaml"))

    assert (said.code, said.out) == (7, '[{"said":"mock"},{"said":"mock"}]\n')
    assert said.lines[0] == 'not in the record: spawn 1 echo (line 1) with {"say":"b"}, answered by a mock'
    assert said.lines[-2:] == [
        "0 spawns matched, 2 not in the record, 0 changed; 18.0 s of the script's time", "goes another way; the end differs",
    ]  # fmt: skip


def test_a_what_if_as_json_has_everything(shell):
    run = shell.run()
    said = shell("replay", run, "--json", "--script", shell.write("spawn('echo', {'say': 'a'})\nspawn('echo', {'say': 7}).result()", "o.py"))
    found = json.loads(said.out)

    assert said.code == 7
    assert found == {
        "version": 1, "run": run, "same": False, "state": "interrupted", "result": None, "error": None, "same_result": False,
        "findings": [], "matched": 1, "changed": [], "unasked": [2], "stopped_at": 2, "spawns": 2, "seconds": found["seconds"],
        "unmatched": [{"spawn": 2, "agent": "echo", "line": 2, "inputs": {"say": 7}, "mocked": False}],
    }  # fmt: skip


def test_a_script_that_the_check_refuses_is_told_with_its_findings(shell):
    run = shell.run()
    said = shell("replay", run, "--script", shell.write("import os\n", "o.py"))

    assert (said.code, said.out) == (7, "")
    assert said.lines[0].startswith("line 1: ") and said.lines[0].endswith(" [import-not-allowed]")
    assert said.lines[-1] == f"rejected: the check refuses it; run {run} was accepted"


def test_many_of_a_kind_are_counted_and_json_has_them_all(shell):
    run = shell.run("result = 1\n")
    source = "for n in range(30):\n    spawn('echo', {'say': n})\nresult = 1\n"
    said = shell("replay", run, "--script", shell.write(source, "o.py"))

    assert (said.code, len(said.lines)) == (7, 23)
    assert said.lines[20] == "  and 10 more: --json has them all"
    assert said.lines[-1] == "goes another way; the end is the same"


def test_every_run_of_the_store_is_tried_under_a_policy(shell):
    done, failed = shell.run(), shell.run("spawn('rude', {}).result()\n", name="rude.py")
    shell.run("import os\n")
    same = shell("replay", "--all", "--policy", shell.policy())
    strict = shell.policy("strict.yaml", agents={name: AGENTS[name] for name in ("echo",)})
    other = shell("replay", "--all", "--policy", strict)
    found = json.loads(shell("replay", "--all", "--policy", strict, "--json").out)

    assert (same.code, same.lines) == (0, [f"2 runs tried under {shell.folder}/policy.yaml: 2 the same, 0 not"])
    assert [row.split() for row in same.out.splitlines()] == [
        ["run", "script", "now", "denied", "changed", "unmatched", "ends"],
        [done, "two", "the", "same", "0", "0", "0", "as", "before"],
        [failed, "rude", "the", "same", "0", "0", "0", "as", "before"],
    ]
    assert (other.code, other.lines) == (7, [f"2 runs tried under {strict}: 1 the same, 1 not"])
    assert other.out.splitlines()[2].split() == [failed, "rude", "rejected"]
    assert [(one["run"], one["same"], one["state"]) for one in found] == [(done, True, "done"), (failed, False, "rejected")]


def test_where_nothing_has_ended_nothing_is_tried(shell):
    said = shell("replay", "--all", "--policy", shell.policy())

    assert (said.code, said.out) == (0, "")
    assert said.lines == [f"0 runs tried under {shell.folder}/policy.yaml: 0 the same, 0 not"]


def test_a_run_that_cannot_be_tried_is_a_row_and_not_the_end(shell):
    shell.run()
    run = shell.run()
    assert shell("redact", run, "script", "--reason", "a name", "--yes").code in (0, 2)
    runner = Runner()
    runner.redact(run, None, "script", by="test", reason="a name")
    runner.store.close()
    said = shell("replay", "--all", "--policy", shell.policy())

    assert said.code == 7
    assert f'the script, policy and inputs of run "{run[:9]}' in said.out
    assert said.lines == [f"2 runs tried under {shell.folder}/policy.yaml: 1 the same, 1 not"]


WRONG = [
    ([], "name a run, or a file of `runner export`"),
    (["--policy", "p"], "name a run, or a file of `runner export`"),
    (["--all"], "--all takes --policy alone, and no run"),
    (["RUN", "--all", "--policy", "p"], "--all takes --policy alone, and no run"),
    (["--all", "--policy", "p", "--mocks", "m"], "--all takes --policy alone, and no run"),
    (["--all", "--policy", "p", "--strict"], "--all takes --policy alone, and no run"),
    (["--all", "--policy", "p", "--anyway"], "--all takes --policy alone, and no run"),
    (["RUN", "--strict"], "--strict takes --script alone"),
    (["RUN", "--strict", "--script", "s", "--policy", "p"], "--strict takes --script alone"),
    (["RUN", "--script", "s", "--anyway"], "--anyway is for a replay that is held to its record"),
]


@pytest.mark.parametrize(("words", "message"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_what_does_not_go_together_is_exit_2(shell, words, message):
    said = shell("replay", *words)

    assert (said.code, said.out) == (2, "")
    assert said.err == f"usage: {message}\nhint: `runner replay --help` shows what goes together\n"


@pytest.mark.parametrize("words", [["replay"], ["replay", "--policy", "policy.yaml"], ["resume"], ["fail", "--reason", "x"]])
def test_a_run_that_is_not_there_is_exit_2(shell, monkeypatch, words):
    monkeypatch.chdir(shell.folder)
    verb, *options = words
    said = shell(verb, "nothing", *(["1"] if verb == "fail" else []), *options)

    assert (said.code, said.out) == (2, "")
    assert 'no run has an id that begins with "nothing"' in said.err


def test_a_run_that_was_rejected_has_nothing_to_replay(shell):
    run = shell.run("import os\n")
    codes = {shell("replay", run, *more).code for more in ([], ["--policy", shell.policy()])}

    assert codes == {2}
    assert f'run "{run}" has nothing to replay' in shell("replay", run).err


def test_a_broken_file_of_mocks_is_exit_2_with_a_hint(shell):
    run = shell.run()
    (shell.folder / "mocks.yaml").write_text("agents: {}\n")
    said = shell("replay", run, "--mocks", str(shell.folder / "mocks.yaml"))

    assert (said.code, said.out) == (2, "")
    assert said.lines[0].endswith("mocks.yaml\": it begins with `version: 1` and has `agents:`")
    assert said.lines[1] == "hint: docs/rehearse.md shows what a file of mocks looks like"


HOSTILE = r"""
a = spawn('echo', {'say': 'A\x1b[31mred\x07\u202eevil\u2066'})
a.result()
raise ValueError('B\x1b[31mred\x07\u202eevil\u2066')
"""


def test_what_a_script_or_an_agent_wrote_moves_no_terminal(shell):
    run = shell.run(HOSTILE)
    other = HOSTILE.replace("'A", "'C").replace("'B", "'D")
    said = [
        shell("replay", run),
        shell("replay", run, "--strict", "--script", shell.write(other, "o.py")),
        shell("replay", run, "--script", shell.write(other, "o.py")),
        shell("replay", run, "--script", shell.write(other.replace("a.result()\n", ""), "o.py")),
        shell("replay", "--all", "--policy", shell.policy()),
        shell("run", shell.write(HOSTILE), "--policy", shell.policy(), "--sandbox", "process", "--reuse", run),
    ]
    told = "".join(one.out + one.err for one in said)

    assert [one.code for one in said] == [0, 7, 7, 7, 0, 1]
    assert [char for char in told if char in "\x1b\x07\u202e\u2066"] == []
    assert [text for text in ("Bred", "Dred") if text not in told] == []


# --- reuse -----------------------------------------------------------------------------------------

SOME = "handles = [spawn('echo', {'say': n}) for n in range(3)]\ngather(handles)\nresult = len(handles)\n"


def test_what_is_reused_is_told_before_and_after(shell):
    run = shell.run(SOME)
    changed = SOME.replace("result =", "more = [spawn('echo', {'say': n + 10}).result() for n in range(7)]\nresult =")
    said = shell("run", shell.write(changed), "--policy", shell.policy(), "--sandbox", "process", "--reuse", run, "--json")
    envelope = json.loads(said.out)
    ENVELOPE.validate(envelope)

    assert said.code == 0
    assert said.lines[0] == f"at least 3 spawns reused of run {run}"
    assert said.lines[1] == "to be called: spawn 4 echo (line 3); what follows from these is not known yet"
    assert "  reused: 3 spawns of another run, without an attempt" in said.lines
    assert (envelope["usage"]["reused"], envelope["usage"]["attempts"]) == (3, 7)


def test_quiet_says_nothing_of_reuse(shell):
    run = shell.run(SOME)
    said = shell("run", shell.write(SOME), "--policy", shell.policy(), "--sandbox", "process", "--reuse", run, "--quiet")

    assert said == Said(0, "3\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-age", "1h"], "--max-age says how old what is reused may be"),
        (["--reuse", "RUN", "--max-age", "soon"], '--max-age "soon" is no duration'),
        (["--reuse", "nothing"], 'no run has an id that begins with "nothing"'),
    ],
)
def test_a_wrong_reuse_is_exit_2_before_anything_runs(shell, words, message):
    run = shell.run(SOME)
    words = [run if word == "RUN" else word for word in words]
    said = shell("run", shell.write(SOME), "--policy", shell.policy(), "--sandbox", "process", *words)

    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert shell.runs() == [run]


LAST = [
    ("failed with good spawns", SOME + "raise ValueError('x')\n", True),
    ("failed without", "raise ValueError('x')\n", False),
    ("failed with bad ones alone", "spawn('rude', {}).result()\n", False),
    ("at its limit", SOME + "for n in range(len(handles)):\n    spawn('echo', {'say': n})\n", True),
    ("done", SOME, None),
]


@pytest.mark.parametrize(("source", "reuses"), [case[1:] for case in LAST], ids=[case[0] for case in LAST])
def test_the_last_line_after_a_run_that_failed_is_the_command_that_reuses_it(shell, source, reuses):
    policy = shell.policy(limits={"spawns": 3})
    path = shell.write(source)
    said = shell("run", path, "--policy", policy, "--sandbox", "process")
    (run,) = shell.runs()
    reuse = f"next: runner run {path} --policy {policy} --reuse {run}"

    assert (said.lines[-1] == reuse) is bool(reuses)
    assert (reuse in said.lines) is bool(reuses)
    if reuses is False:
        assert f"next: runner show {run}" in said.lines


def test_the_command_after_a_script_from_stdin_names_a_file_that_is_to_be_written(shell, monkeypatch):
    import io

    class Stdin:
        buffer = io.BytesIO((SOME + "raise ValueError('x')\n").encode())

    monkeypatch.setattr("sys.stdin", Stdin())
    said = shell("run", "-", "--policy", shell.policy(), "--sandbox", "process", "--json")
    envelope = json.loads(said.out)

    assert said.code == 1
    assert envelope["next"] == f"runner run FIXED.py --policy {shell.folder}/policy.yaml --reuse {envelope['run']}"
    assert said.lines[-1] == f"next: {envelope['next']}"


# --- resume and fail -------------------------------------------------------------------------------

THREE = "handles = [spawn('echo', {'say': n}) for n in range(3)]\nprint('asked')\nresult = [one['said'] for one in gather(handles)]\n"
NOT_IDEMPOTENT = {**AGENTS, "writes": agent("echo", effects="write")}


def began(event: Any) -> bool:
    return event.kind is EventKind.ATTEMPT_STARTED and event.body["spawn"] == 2


def test_a_run_whose_host_died_goes_on_and_ends_with_its_own_exit_code(shell, tmp_path, monkeypatch):
    run = shell.interrupted(THREE, began, home=tmp_path / "dead", monkeypatch=monkeypatch)
    shown = json.loads(shell("show", run, "--json").out)
    said = shell("resume", run)
    after = shell("show", run)

    assert (shown["state"], shown["next"]) == ("interrupted", f"runner resume {run}")
    assert (said.code, said.out) == (0, "[0,1,2]\n")
    assert any(re.fullmatch(rf"done in .*: run {run}", line) for line in said.lines)
    assert re.search(r"^resumed by runner resume by \S+ at .*: epoch 2$", after.out, re.MULTILINE)
    assert [one["epoch"] for one in json.loads(shell("show", run, "--json").out)["story"]["epochs"]] == [2]
    assert shell("replay", run).code == 0
    assert shell("verify", run).code == 0
    assert shell("resume", run).err == f'usage: run "{run}" has ended\nhint: runner show {run}\n'


def test_resume_as_json_is_the_envelope_of_the_run_and_quiet_the_result_alone(shell, tmp_path, monkeypatch):
    run = shell.interrupted(THREE, began, home=tmp_path / "dead", monkeypatch=monkeypatch)
    shutil.copytree(tmp_path / "dead", tmp_path / "copy", symlinks=True)
    envelope = json.loads(shell("resume", run, "--json", "--quiet").out)
    ENVELOPE.validate(envelope)
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "copy"))

    assert (envelope["run"], envelope["state"], envelope["result"], envelope["spawns"]) == (run, "done", [0, 1, 2], {"ok": 3})
    assert shell("resume", run, "--quiet") == Said(0, "[0,1,2]\n", "")


def test_a_run_is_named_or_all_are_meant(shell):
    for words in ([], ["x", "--all"]):
        said = shell("resume", *words)

        assert (said.code, said.out) == (2, "")
        assert said.err == "usage: name a run, or --all\nhint: `runner runs --state interrupted` lists them\n"


def test_with_all_each_interrupted_run_goes_on_and_one_that_may_not_is_named(shell, tmp_path, monkeypatch):
    run = shell.interrupted(THREE, began, home=tmp_path / "dead", monkeypatch=monkeypatch)
    shutil.copytree(tmp_path / "dead", tmp_path / "changed", symlinks=True)
    said = shell("resume", "--all")
    again = shell("resume", "--all", "--json")
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "changed"))
    shell.policy(limits={"spawns": 7})
    refused = shell("resume", "--all", "--json")

    assert (said.code, said.out, said.lines[0]) == (0, "", f"going on with 1: {run}")
    assert re.fullmatch(rf"run {run}: done in .*", said.lines[1])
    assert (again.code, again.out, again.lines) == (0, "[]\n", ["no run is interrupted"])
    assert refused.code == 2
    assert [(one["run"], one["error"]["kind"], one["exit_code"]) for one in json.loads(refused.out)] == [(run, "UsageError", 2)]
    assert f'run {run} did not go on: policy "{shell.folder}/policy.yaml" of run "{run}" has changed since' in refused.err
    assert shell("resume", run, "--old-policy").code == 0


def test_a_spawn_that_was_given_up_has_failed_for_its_reason(shell, tmp_path, monkeypatch):
    shell.policy(agents=NOT_IDEMPOTENT)
    source = "one = spawn('writes', {'say': 1})\ngather([one], on_error='none')\nresult = str(one.error)\n"
    started = EventKind.ATTEMPT_STARTED
    run = shell.interrupted(source, lambda event: event.kind is started, home=tmp_path / "dead", monkeypatch=monkeypatch)
    empty = shell("fail", run, "1", "--reason", " ")
    other = shell("fail", run, "5", "--reason", "no")
    said = shell("fail", run, "1", "--reason", f"asked the {ESC}bank{BIDI}")
    twice = shell("fail", run, "1", "--reason", "no")
    ended = shell("resume", run)

    assert (empty.code, other.code, twice.code) == (2, 2, 2)
    assert (other.lines[0], twice.lines[0]) == (f'usage: run "{run}" has no spawn 5', "usage: spawn 1 has settled: failed")
    assert (said.code, said.out) == (0, "")
    assert said.lines == [
        f'spawn 1 of run {run}, agent "writes", has failed: asked the redbankevil', f"next: runner resume {run}",
    ]  # fmt: skip
    assert ended.code == 0
    assert json.loads(ended.out).startswith('agent "writes" was given up by ')
    assert "redbankevil" in re.sub(r"\\u202e|\\u2066|\\u001b\[31m|\\u0007|[\x1b\x07\u202e\u2066]|\[31m", "", ended.out)


def test_an_attempt_that_may_have_happened_is_made_again_only_where_that_is_said(shell, tmp_path, monkeypatch):
    shell.policy(agents=NOT_IDEMPOTENT)
    source = "one = spawn('writes', {'say': 1})\ngather([one], on_error='none')\nresult = one.error.kind if one.error else 'made'\n"
    started = EventKind.ATTEMPT_STARTED
    run = shell.interrupted(source, lambda event: event.kind is started, home=tmp_path / "dead", monkeypatch=monkeypatch)
    shutil.copytree(tmp_path / "dead", tmp_path / "copy", symlinks=True)
    unknown = shell("resume", run).out
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "copy"))

    assert (unknown, shell("resume", run, "--retry-unknown").out) == ('"outcome_unknown"\n', '"made"\n')


def test_the_replay_of_an_interrupted_run_ends_where_its_record_does(shell, tmp_path, monkeypatch):
    run = shell.interrupted(THREE, began, home=tmp_path / "dead", monkeypatch=monkeypatch)
    replayed, tried = shell("replay", run), shell("replay", run, "--policy", shell.policy())

    assert (replayed.code, replayed.out) == (0, "")
    assert replayed.lines[0] == "the record ends here: its host died"
    assert (tried.code, tried.out) == (7, "")
    assert tried.lines[-2].startswith("stopped at line 3: what it waits for is not in the record")


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("replay", ["--script", "--policy", "--inputs", "--mocks", "--strict", "--all", "--anyway", "--json"]),
        ("resume", ["--all", "--retry-unknown", "--old-policy", "--json", "--quiet"]),
        ("fail", ["--reason"]),
        ("run", ["--reuse", "--max-age"]),
    ],
)
def test_help_names_every_option(shell, verb, options):
    said = shell(verb, "--help")

    assert (said.code, said.err) == (0, "")
    assert [option for option in options if option not in said.out] == []


def test_ctrl_c_ends_a_what_if_with_its_guest(shell):
    run = shell.run("result = 1\n")
    endless = shell.write("n = 0\nwhile n >= 0:\n    n += 1\nresult = n\n", "o.py")
    words = [sys.executable, "-m", "runner", "replay", run, "--script", endless]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    guests = children_at_work(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (130, ""), err
    assert "Traceback" not in err
    assert [one for one in guests if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []


def children_at_work(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the processes below one, once one of them computes."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = psutil.Process(process.pid).children(recursive=True)
        if any(sum(one.cpu_times()[:2]) > 0.5 for one in found):
            return found
        time.sleep(0.05)
    raise AssertionError("no guest began to compute")
