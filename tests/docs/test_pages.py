"""README and docs do what they say: code blocks are executed, tables are those of the code, links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import ExitCode
from runner.models import OutcomeKind, RunState
from runner.policy import load_policy, load_policy_text
from tests.runs import run_script

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def called(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of shell with `runner` on the PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euc", command], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip


async def test_the_first_script_of_the_readme_runs_as_it_stands(own_home: Path) -> None:
    ran = await run_script(
        own_home, blocks(README, "python")[0], policy=load_policy(ROOT / "policies/demo.yaml"),
        inputs={"modules": ["re", "this", "pydoc_data"]},
    )  # fmt: skip

    assert ran.result.state is RunState.DONE, ran.result.error
    assert ran.result.result["big"] == ["re"]
    assert list(ran.result.result["failed"]) == ["this", "pydoc_data"]


@pytest.mark.parametrize("page", ["README.md", "docs/library.md"])
def test_a_program_that_uses_the_library_runs_as_it_stands(page: str) -> None:
    program = blocks((ROOT / page).read_text(), "python")[-1]

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done ")
    assert "enum" in done.stdout or "re" in done.stdout


def test_the_policy_of_the_readme_is_a_policy() -> None:
    policy = load_policy_text(blocks(README, "yaml")[0], folder=ROOT / "policies", name="readme")

    assert list(policy.agents) == ["measure"]
    assert policy.limits.spawns == 300


def test_what_init_writes_runs_at_once(tmp_path: Path) -> None:
    lines = [line.partition("#")[0] for block in blocks(README, "sh") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith(("runner init", "runner run mine"))]
    assert len(commands) == 2

    done = called("\n".join(commands), tmp_path)

    assert done.returncode == 0, done.stderr


def test_a_run_of_the_readme_puts_json_into_the_file_and_nothing_on_stdout(tmp_path: Path) -> None:
    command = next(line for line in README.splitlines() if line.startswith("runner run examples/"))
    done = called(command.replace("> found.json", f"> {tmp_path}/found.json"), ROOT)

    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert '"hardest"' in (tmp_path / "found.json").read_text()


def test_the_exit_codes_of_the_readme_are_those_of_the_code() -> None:
    section = README.split("## Exit codes", 1)[1].split("##", 1)[0]
    told = [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]

    assert told == [int(code) for code in ExitCode]


def test_how_it_works_names_every_outcome_and_every_state() -> None:
    page = (ROOT / "docs/how-it-works.md").read_text()

    assert [kind for kind in OutcomeKind if f"`{kind}`" not in page] == []
    assert [state for state in RunState if f"`{state}`" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\((?!https?://)([^)#]+)", prose)

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_that_a_page_names_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"`make ([a-z-]+)`", page.read_text()))

    assert [target for target in sorted(named) if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []
