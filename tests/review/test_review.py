"""`runner review` from outside: what it executes, what it says, how it judges, in each form."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.cli import call
from tests.docs.test_pages import called

TRAP = """
version: 1
sandbox: process
agents:
  look:
    description: Looks something up.
    python: trap:look
    input: {type: object, properties: {q: {type: string}}, required: [q]}
    output: {type: object, properties: {text: {type: string}}, required: [text]}
    effects: read
    scopes: [crm:read]
    default_scopes: [crm:read]
  send:
    description: Sends a mail.
    command: [./trap.sh]
    env: {KEY: "file:secret.txt", TOKEN: {command: [./trap.sh]}}
    input: {type: object, properties: {to: {type: string}}, required: [to]}
    output: {type: object, properties: {sent: {type: boolean}}, required: [sent]}
    effects: irreversible
resources:
  crm:
    url: http://127.0.0.1:9
    scopes: {"crm:read": "GET /customers/**"}
"""
SCRIPT = """
found = spawn("look", {"q": "a"}).result()
sent = spawn("send", {"to": found["text"]}).result()
result = {"sent": sent["sent"]}
"""


@pytest.fixture
def trapped(tmp_path: Path) -> Path:
    """A pull request in which everything that is imported, started or read leaves a mark."""
    (tmp_path / "runner.yaml").write_text(TRAP)
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\n")
    (tmp_path / "conftest.py").write_text(f"open({str(tmp_path / 'conftest-imported')!r}, 'w').close()\n")
    (tmp_path / "sitecustomize.py").write_text(f"open({str(tmp_path / 'site-imported')!r}, 'w').close()\n")
    program = tmp_path / "trap.sh"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\necho '{{}}'\n")
    program.chmod(0o755)
    secret = tmp_path / "secret.txt"
    secret.write_text("not to be read\n")
    secret.chmod(0o000)
    return tmp_path


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def reviewed(trapped: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Done]:
    """Runs a command line in the folder of the pull request, in this process."""
    monkeypatch.chdir(trapped)

    def done(words: str) -> Done:
        capfd.readouterr()
        code = call(shlex.split(words))
        return Done(code, *capfd.readouterr())

    return done


@pytest.mark.parametrize(
    "verb",
    [
        "review script.py --sandbox process", "review script.py --faults 0 --format html -o page.html",
        "rehearse script.py --sandbox process", "agents list", "agents describe send --json",
    ],
)  # fmt: skip
def test_nothing_of_a_pull_request_is_executed_but_the_script(verb, trapped, own_home):
    before = {path.name for path in trapped.iterdir()}

    done = called(f"runner {verb}", trapped)

    assert done.returncode == 0, done.stderr
    assert {path.name for path in trapped.iterdir()} - before <= {"page.html"}
    assert not (own_home / "keys").exists()


def test_the_first_screen_says_what_it_could_do_in_plain_lines(trapped, reviewed):
    done = reviewed("review --sandbox process script.py --short")

    assert done.stdout.splitlines() == [
        "at most 2 calls to look, send",
        "may read: look (crm:read)",
        "may change: nothing",
        "cannot be undone: send",
        "not exercised: nothing",
    ]


@pytest.mark.parametrize(
    ("fail_on", "code"), [("error", 9), ("warning", 9), ("irreversible-reachable", 9), ("weakness", 9), ("raw-token", 0)]
)
def test_a_judgement_ends_with_9_where_what_it_names_strikes(fail_on, code, trapped, reviewed):
    done = reviewed(f"review --sandbox process script.py --format json --fail-on {fail_on}")

    assert done.returncode == code, done.stderr
    report = json.loads(done.stdout)
    assert report["version"] == 1
    assert report["flagged"] is True


def test_a_policy_adjusts_what_a_rule_weighs(trapped, reviewed):
    (trapped / "runner.yaml").write_text(TRAP + "risk: {irreversible-reachable: off, single-failure-fatal: off}\n")

    done = reviewed("review --sandbox process script.py --format json --fail-on error")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["flagged"] is False


def test_an_output_that_is_not_trusted_on_its_way_into_what_cannot_be_undone_is_named(trapped, reviewed):
    policy = TRAP.replace("    effects: read\n", "    effects: read\n    trusted: false\n")
    (trapped / "runner.yaml").write_text(policy)

    done = reviewed("review --sandbox process script.py --fail-on untrusted-into-irreversible --short")

    assert done.returncode == 9
    assert "line 3: spawn 2 of agent \"send\" may be led by spawn 1 of an agent that is not trusted" in done.stderr


def test_what_a_changed_version_can_do_now_is_said_first(trapped, reviewed):
    (trapped / "old.py").write_text('result = spawn("look", {"q": "a"}).result()["text"]\n')

    done = reviewed("review --sandbox process script.py --against old.py")

    assert done.returncode == 0, done.stderr
    assert 'new since old.py: text: 4 lines added, 1 removed, agent "send" can be asked now (irreversible)' in done.stdout


def test_a_script_that_never_ends_and_one_that_floods_are_reviewed_within_bounds(trapped, reviewed):
    (trapped / "endless.py").write_text("n = 0\nwhile True:\n    n += 1\n")
    (trapped / "flood.py").write_text('hs = [spawn("look", {"q": str(n)}) for n in range(100000)]\nresult = len(gather(hs))\n')
    limits = "limits: {cpu: 1s, spawns: 50}\n"
    (trapped / "runner.yaml").write_text(TRAP + limits)

    endless = reviewed("review --sandbox process endless.py --format json")
    flood = reviewed("review --sandbox process flood.py --format json")

    assert json.loads(endless.stdout)["rehearsal"]["state"] == "limit"
    assert json.loads(flood.stdout)["rehearsal"]["state"] == "limit"


def test_a_script_that_is_refused_is_not_rehearsed(trapped, reviewed):
    (trapped / "bad.py").write_text("import os\nresult = os.getcwd()\n")

    done = reviewed("review --sandbox process bad.py --format json --fail-on error")

    report = json.loads(done.stdout)
    assert done.returncode == 9
    assert (report["verdict"]["accepted"], report["rehearsal"]) == (False, None)
