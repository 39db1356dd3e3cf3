"""docs/how-to/migrate.md: its commands print what is shown, its code is that of examples/migrate, its ratios are real.

The programs run in this process: each imports LangGraph, which is done once. Those of CrewAI are executed in
tests/backends/test_migrate_crewai.py, where that library is.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import io
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import Runner
from runner.cli import call
from tests.docs.test_pages import ROOT

PAGE = (ROOT / "docs/how-to/migrate.md").read_text()
EXAMPLE = ROOT / "examples" / "migrate"
NUMBER = r"\d[\d,.]*"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the example, in which its modules are found; they are forgotten afterwards."""
    copied = shutil.copytree(EXAMPLE, tmp_path / "migrate")
    monkeypatch.chdir(copied)
    monkeypatch.syspath_prepend(str(copied))
    yield copied
    for name in {path.stem for path in copied.glob("*.py")}:
        sys.modules.pop(name, None)


def shown(kind: str) -> list[tuple[str, str]]:
    """Return the blocks of commands, each with what is shown as printed."""
    return re.findall(rf"^```{kind}\n(.*?)^```\n\n^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def prints(shown: str, got: str) -> bool:
    """Say whether it was printed: `...` is anything, a number any number, blanks as many as a column has."""
    pattern = re.escape(shown.strip()).replace(re.escape("..."), ".*")
    pattern = re.sub(NUMBER, lambda found: NUMBER, pattern.replace("\\,", ",").replace("\\.", "."))
    pattern = re.sub(r"(\\ )+", lambda found: " +", pattern)
    return re.fullmatch(pattern, got.strip(), re.DOTALL) is not None


def executed(block: str) -> str:
    """Return what the commands of a block print, run in this process."""
    printed = io.StringIO()
    for line in block.splitlines():
        program, *words = shlex.split(line)
        with contextlib.redirect_stdout(printed):
            if program == "runner":
                assert call(words) == 0, line
            else:
                python(words)
    return printed.getvalue()


def python(words: list[str]) -> None:
    before, sys.argv = sys.argv, words
    try:
        runpy.run_path(words[0], run_name="__main__")
    finally:
        sys.argv = before


def test_the_commands_of_the_page_print_what_is_shown_and_its_ratios_are_real(
    folder: Path, own_home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for block, printed in shown("sh"):
        if "subgraph.yaml" in block and importlib.util.find_spec("runner.agents.langgraph") is None:
            continue
        got = executed(block) or capfd.readouterr().out

        assert prints(printed, got), f"{block}\n{got}"
    import rank

    before, after, written = (rank.read(folder / name) for name in ("before.jsonl", "after.jsonl", "written.jsonl"))
    assert [step.name for step in rank.ranked(before)] == ["research", "sanctions"]
    assert all(step.one_after_the_other for step in before.steps.values())
    assert (before.turns, after.turns, written.turns) == (17, 1, 3)
    assert before.read > 100 * written.read > 1000 * after.read
    # The fan-out, from its own record: sixteen calls at once against one by one.
    runner = Runner(home=own_home)
    fans = [usage for run in runner.runs() if (usage := runner.view(run.run).usage).attempts == 16]
    asyncio.run(runner.close())
    assert len(fans) == 2
    assert all(usage.parallel_peak == 16 and usage.sequential_seconds > 2 * usage.wall_seconds for usage in fans)


def test_every_block_of_commands_shows_what_it_prints() -> None:
    assert len(shown("sh")) == len(re.findall(r"^```sh$", PAGE, re.MULTILINE)) == 6
    assert len(shown("sh crewai")) == len(re.findall(r"^```sh crewai$", PAGE, re.MULTILINE)) == 3


def test_the_code_of_the_page_is_that_of_the_example() -> None:
    blocks = re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    assert len(blocks) == len(re.findall(r"^```(?:python|yaml)$", PAGE, re.MULTILINE)) == 10
    assert [name for name, block in blocks if block not in (EXAMPLE / name).read_text()] == []


def test_a_trace_without_tools_has_nothing_to_extract(folder: Path) -> None:
    (folder / "empty.jsonl").write_text('{"kind": "whole", "step": "whole", "at": 0, "seconds": 1.0, "read": {}, "written": 0}\n')

    assert executed("python rank.py empty.jsonl").splitlines()[-1] == "no step called a tool: there is nothing to extract"
