"""What an agent is made of is told by its files, and a file that changed is noticed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from runner.agents import Setting, build_agent, origins
from runner.models import MIB
from runner.policy.model import Reference
from runner.seams import Agent
from tests.unit.agents_by_hand import call, command_agent, entry, python_agent

ASYNC, SYNC = "async def f(inputs): return 1\n", "def f(inputs): return 1\n"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def function(folder: Path, name: str) -> Agent:
    return build_agent(entry("python", {"call": name}), Setting(folder=folder))


# --- python ----------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [ASYNC, SYNC])
def test_a_function_is_told_by_its_name_and_the_digest_of_its_modules_file(tmp_path: Path, source: str) -> None:
    assert python_agent(tmp_path, source).facts() == {"call": "m0:f", "code": sha256(source)}


@pytest.mark.parametrize("define", ["async def", "def"])
def test_modules_of_the_folder_that_a_function_came_with_are_told_as_one_digest(tmp_path: Path, define: str) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "words.py").write_text("from . import deep\nWORD = 1")
    (tmp_path / "pack" / "deep.py").write_text("")
    (tmp_path / "shared.py").write_text("import json")
    (tmp_path / "other.py").write_text("")
    facts = python_agent(tmp_path, f"import shared\nfrom pack.words import WORD\n{define} f(inputs): return 1").facts()

    lines = [
        f"pack {sha256('')}\n", f"pack.deep {sha256('')}\n",
        f"pack.words {sha256('from . import deep' + chr(10) + 'WORD = 1')}\n", f"shared {sha256('import json')}\n",
    ]  # fmt: skip
    assert facts["folder_code"] == sha256("".join(lines))


def test_what_another_agent_of_the_folder_imports_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "shared.py").write_text("")
    (tmp_path / "alone.py").write_text(ASYNC)
    alone = function(tmp_path, "alone:f").facts()
    together = python_agent(tmp_path, f"import shared, alone\n{ASYNC}").facts()

    assert "folder_code" in together
    assert function(tmp_path, "alone:f").facts() == alone == {"call": "alone:f", "code": sha256(ASYNC)}


async def test_what_a_call_imports_later_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text("X = 1")
    (tmp_path / "m.py").write_text("async def f(inputs):\n    import late\n    return late.X")
    first = function(tmp_path, "m:f")
    before = first.facts()

    assert await first.run(call()) == 1
    assert function(tmp_path, "m:f").facts() == before


def test_a_file_that_changed_is_noticed_where_workers_import_it_anew(tmp_path: Path) -> None:
    (tmp_path / "shared.py").write_text("X = 1")
    (tmp_path / "m.py").write_text(f"import shared\n{SYNC}")
    before = function(tmp_path, "m:f").facts()
    (tmp_path / "shared.py").write_text("X = 20")
    after = function(tmp_path, "m:f").facts()

    assert before["code"] == after["code"]
    assert before["folder_code"] != after["folder_code"]


def test_the_host_tells_the_code_that_it_imported_and_not_what_the_file_became(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(ASYNC)
    before = function(tmp_path, "m:f").facts()
    (tmp_path / "m.py").write_text(ASYNC.replace("1", "2"))

    assert function(tmp_path, "m:f").facts() == before


def test_a_function_behind_a_decorator_or_a_partial_is_told_by_where_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "shared.py").write_text(
        "import functools\ndef plain(inputs, more=1): return 1\n@functools.wraps(plain)\ndef wrapped(inputs): return 1\n"
        "part = functools.partial(plain, more=2)\nclass Thing:\n    def __call__(self, inputs): return 1\nthing = Thing()"
    )
    (tmp_path / "m.py").write_text("from shared import plain, wrapped, part, thing")
    code = sha256((tmp_path / "shared.py").read_text())

    assert [function(tmp_path, f"m:{name}").facts()["code"] for name in ("plain", "wrapped", "part", "thing")] == [code] * 4


def test_a_function_of_an_installed_package_names_the_package_and_its_version(tmp_path: Path) -> None:
    import yaml

    for name, package in (("yaml:safe_load", "PyYAML"), ("_pytest.pathlib:bestrelpath", None), ("typer:run", "typer")):
        facts = build_agent(entry("python", {"call": name}), Setting(folder=tmp_path)).facts() if package else {}
        assert facts.get("package") == package

    assert function(tmp_path, "yaml:safe_load").facts()["version"] == yaml.__version__


def test_a_package_of_the_policys_own_is_none_that_was_installed(tmp_path: Path) -> None:
    (tmp_path / "yaml.py").write_text(ASYNC)

    assert function(tmp_path, "yaml:f").facts() == {"call": "yaml:f", "code": sha256(ASYNC)}


@pytest.mark.parametrize("name", ["json:dumps", "builtins:len"])
def test_a_function_of_the_interpreter_has_no_package(tmp_path: Path, name: str) -> None:
    facts = function(tmp_path, name).facts()

    assert facts.keys() == ({"call", "code"} if name == "json:dumps" else {"call"})


def test_a_function_whose_file_is_gone_is_told_without_its_code(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("import os\nos.unlink(__file__)\n" + SYNC)

    assert function(tmp_path, "m:f").facts() == {"call": "m:f"}


def test_an_object_that_wraps_itself_is_told_without_its_code(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("class Odd:\n    def __call__(self, inputs): return 1\nf = Odd()\nf.__wrapped__ = f\n")

    assert function(tmp_path, "m:f").facts()["call"] == "m:f"


# --- command ---------------------------------------------------------------------------------


def made_of(agent: Agent) -> dict[str, str]:
    """Return what a command is made of, without the digest of how it was written."""
    return {name: text for name, text in agent.facts().items() if name != "command"}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "ask"
    path.write_text("#!/bin/sh\ncat\n")
    path.chmod(0o755)
    return path


def test_a_program_is_told_by_its_own_name_and_the_digest_of_its_file(tmp_path: Path, program: Path) -> None:
    (tmp_path / "alias").symlink_to(program)

    told = {"program": "ask", "code": sha256(program.read_text())}
    assert made_of(command_agent(tmp_path, "./ask")) == told
    assert made_of(command_agent(tmp_path, str(tmp_path / "alias"))) == told
    assert made_of(command_agent(tmp_path, "ask", env={"PATH": str(tmp_path)})) == told


def test_a_command_that_was_written_otherwise_is_another(tmp_path: Path, program: Path) -> None:
    made = [
        command_agent(tmp_path, "./ask"), command_agent(tmp_path, "./ask", "-x"),
        command_agent(tmp_path, "./ask", env={"MODEL": "small"}), command_agent(tmp_path, "./ask", env={"MODEL": "large"}),
    ]  # fmt: skip

    assert len({agent.facts()["command"] for agent in made}) == 4
    assert made[0].facts() == command_agent(tmp_path, "./ask").facts()


def test_files_of_the_policy_among_the_arguments_are_told_and_no_others(tmp_path: Path, program: Path) -> None:
    (tmp_path / "prompt.txt").write_text("be kind")
    (tmp_path / "key").write_text("hunter2")
    agent = command_agent(tmp_path, "./ask", "-p", "./prompt.txt", str(tmp_path / "key"), "key", "./nowhere", "./")

    assert made_of(agent) == {"program": "ask", "code": sha256(program.read_text()), "argument 2": sha256("be kind")}


def test_a_program_that_is_not_there_is_told_by_its_name(tmp_path: Path) -> None:
    assert made_of(command_agent(tmp_path, "./nowhere")) == {"program": "nowhere"}


def test_a_path_that_is_kept_by_reference_is_not_read(tmp_path: Path, program: Path) -> None:
    env = {"PATH": Reference("env", "THE_PATH")}
    agent = command_agent(tmp_path, "ask", env=env, read_reference=lambda reference: pytest.fail("read"))

    assert made_of(agent) == {"program": "ask"}


def test_a_file_is_read_again_when_it_changed_and_only_then(
    tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = origins.digest_of_file(str(program))
    monkeypatch.setattr(origins.hashlib, "file_digest", lambda *read: pytest.fail("read again"))

    assert origins.digest_of_file(str(program)) == before
    monkeypatch.undo()
    program.write_text("#!/bin/sh\necho\n")
    assert origins.digest_of_file(str(program)) == sha256(program.read_text())


def test_a_file_beyond_the_bound_is_told_by_size_and_time_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(64 * MIB + 1)
    os.utime(path, (1_750_000_000, 1_750_000_000))

    assert origins.digest_of_file(str(path)) == "not read: 67108865 bytes, changed at 1750000000.000000"


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert origins.digest_of_file(str(tmp_path / "pipe")) == ""
    assert origins.digest_of_file("/dev/zero") == ""
