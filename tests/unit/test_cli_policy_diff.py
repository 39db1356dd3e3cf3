"""`runner policy diff`: lines, JSON and exit codes, of files and of runs."""

from __future__ import annotations

import json

import pytest

from runner import Runner, Script
from runner.cli import call
from runner.policy import load_policy

OLD = """
version: 1
sandbox: process
limits: {spawns: 5, wall: 90s}
agents:
  a:
    description: Does a thing.
    python: agents:a
    input: {}
    output: {}
    scopes: [mail:read]
"""
NEW = OLD.replace("[mail:read]", "[mail:read, mail:send]").replace("spawns: 5", "spawns: 4").replace("agents:a", "agents:b").replace("thing", "task")


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for name, text in {"old.yaml": OLD, "new.yaml": NEW, "less.yaml": OLD.replace("90s", "80s")}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_what_widens_comes_first_and_exit_is_9(files, capsys):
    digests = [load_policy(files / f"{name}.yaml").digest[:12] for name in ("new", "old")]

    assert call(["policy", "diff", "old.yaml", "new.yaml"]) == 9
    assert capsys.readouterr().out == f"""\
policy new ({digests[0]}) against old ({digests[1]}): authority is widened
widened:
  agent "a": "mail:send" is new in scopes
changed, and not shown to be less: counts as widened:
  agent "a": other code: python is agents:b, was agents:a
narrowed:
  limits: spawns is 4, was 5
equal authority in other words:
  agent "a": description has other words
"""


@pytest.mark.parametrize(("other", "last"), [("old.yaml", ": equal"), ("less.yaml", "  limits: wall is 80s, was 90s")])
def test_where_nothing_is_widened_exit_is_0(files, capsys, other, last):
    assert call(["policy", "diff", "old.yaml", other]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(last)


def test_as_json_each_difference_has_its_place(files, capsys):
    assert call(["policy", "diff", "old.yaml", "less.yaml", "--json"]) == 0
    digest = {name: load_policy(files / f"{name}.yaml").digest for name in ("old", "less")}
    assert json.loads(capsys.readouterr().out) == {
        "version": 1, "widens": False, "old": {"policy": "old", "digest": digest["old"]}, "new": {"policy": "less", "digest": digest["less"]},
        "entries": [{"path": ["limits", "wall_seconds"], "kind": "narrowed", "message": "limits: wall is 80s, was 90s", "before": 90.0, "after": 80.0}],
    }  # fmt: skip


async def test_a_run_stands_for_its_archived_policy(files):
    async with Runner() as runner:
        ran = await runner.run(Script("s", b"result = 1"), policy=files / "old.yaml")
        archived = runner.policy_of(ran.run[:8])

        assert runner.policy_diff(archived, runner.policy_of("old.yaml")).entries == ()
        assert runner.policy_diff(archived, runner.policy_of("new.yaml")).widens


@pytest.mark.parametrize(("what", "said"), [("gone.yaml", '"gone.yaml" cannot be read'), ("zzzz", "zzzz")])
def test_what_is_neither_a_file_nor_a_run_is_exit_2(files, capsys, what, said):
    assert call(["policy", "diff", "old.yaml", what]) == 2
    assert said in capsys.readouterr().err


def test_what_a_policy_says_cannot_act_on_a_terminal(files, capsys):
    (files / "evil.yaml").write_text(OLD.replace("agents:a", "agents:a\n    cost: 1").replace("[mail:read]", "['mail:read']").replace("description: Does", 'description: "\\e[31mDoes"'))
    (files / "two.yaml").write_text(OLD.replace("  a:\n", "  a:\n    env: {}\n").replace("python: agents:a", 'command: ["\\e[31m"]'))

    call(["policy", "diff", "evil.yaml", "two.yaml"])
    assert "\x1b" not in capsys.readouterr().out
