"""What `runner init` writes loads, is accepted by the check, and runs."""

# Tables of whole messages read better unbroken.
# ruff: noqa: E501

from __future__ import annotations

import pytest

from runner import Runner, Script, load_policy
from runner.check import check
from runner.errors import UsageError
from runner.models import RunState
from runner.policy.starter import FILES, write_starter


def test_a_policy_an_agent_and_a_script_are_written(tmp_path):
    assert write_starter(tmp_path / "new") == [tmp_path / "new" / name for name in ("runner.yaml", "agents.py", "hello.py")]


def test_what_is_written_is_a_policy_without_a_warning_and_a_script_without_a_finding(tmp_path):
    write_starter(tmp_path)
    policy = load_policy(tmp_path / "runner.yaml")

    assert policy.warnings == ()
    assert check(Script("hello", (tmp_path / "hello.py").read_bytes()), policy).findings == ()


async def test_what_is_written_runs_at_once(tmp_path):
    write_starter(tmp_path / "new")
    async with Runner(home=tmp_path / "home", sandbox="process") as runner:
        ran = await runner.run(tmp_path / "new/hello.py", policy=tmp_path / "new/runner.yaml")

    assert ran.state is RunState.DONE, ran.error
    assert ran.spawns == {"ok": 4}
    assert [each["words"] for each in ran.result["each"]] == [14, 15, 17]
    assert ran.result["shortest and longest"]["words"] == 31


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_overwritten_and_nothing_is_half_written(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError) as caught:
        write_starter(tmp_path)

    assert caught.value.message == f'"{tmp_path}" has {name} already, and nothing is overwritten'
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_dangling_link_counts_as_a_file(tmp_path):
    (tmp_path / "agents.py").symlink_to(tmp_path / "elsewhere.py")
    with pytest.raises(UsageError, match=r"has agents\.py already"):
        write_starter(tmp_path)

    assert not (tmp_path / "elsewhere.py").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as caught:
        write_starter(tmp_path / "file" / "below")

    assert caught.value.message == f'"{tmp_path}/file/below" cannot be written: not a directory'
