"""docs/dialect.md says what the code does: each row of its tables is executed or compared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runner.guest.dialect import MODULES, VERSION, compile_script
from runner.guest.dialect.builtin_names import NAMES
from runner.guest.dialect.remarks import ADVICE, BUILTIN_ADVICE
from runner.guest.dialect.source import MAX_BLOCKS, MAX_BRACKETS, MAX_BYTES, MAX_DEPTH, MAX_LINES, MAX_TOKENS
from tests.inside import ListPipe, begin, pipe  # noqa: F401
from tests.inside import run as run_with_handles
from tests.scripts.escapes.inside import run

PAGE = (Path(__file__).parents[2] / "docs" / "dialect.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the tables below a heading of the second or third level."""
    found = re.search(rf"^##+ {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, heading
    lines = [line for line in found[1].splitlines() if line.startswith("| ")]
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    headers = ("construct", "at most", "what", "name", "module", "expression")
    return [row for row in cells if row[0] not in headers]


def source(cell: str) -> str:
    return cell.strip("`").replace("⏎", "\n")


@pytest.mark.parametrize("row", rows("Accepted"), ids=lambda row: row[0])
def test_an_accepted_example_runs(row: list[str]) -> None:
    ran = run(source(row[1]))

    assert ran.compiled.remarks == ()
    assert ran.error is None


@pytest.mark.parametrize("row", [row for row in rows("Refused by the check") if len(row) == 4], ids=lambda row: row[0])
def test_a_refused_example_breaks_the_rule_that_the_page_names(row: list[str]) -> None:
    refused = compile_script(source(row[1])).remarks
    instead = compile_script(source(row[3])).remarks if row[3] else ()

    newer = "type parameters" in row[0]
    assert source(row[2]) in {one.rule for one in refused} or (newer and refused[0].rule == "syntax")
    assert instead == ()


def test_the_page_names_every_rule() -> None:
    assert [rule for rule in sorted(ADVICE) if f"`{rule}`" not in PAGE and rule != "syntax"] == []


@pytest.mark.parametrize("row", rows("Refused while it runs"), ids=lambda row: row[0])
def test_what_is_refused_at_run_time_says_what_the_page_says(row: list[str]) -> None:
    assert str(run(source(row[1])).error) == row[2]


@pytest.mark.parametrize("row", rows("Handles in texts"), ids=lambda row: row[0])
def test_a_text_with_handles_shows_or_raises_what_the_page_says(row: list[str], pipe: ListPipe) -> None:  # noqa: F811
    setting = "import json, urllib.parse\nh, g = spawn('research'), spawn('mail', label='m')\n"
    try:
        run_with_handles(f"{setting}print({source(row[1])})")
        told = pipe.printed.rstrip("\n")
    except Exception as error:
        told = f"{type(error).__name__}: {error}"

    assert told == row[2]


def test_the_limits_builtins_and_modules_of_the_page_are_those_of_the_code() -> None:
    limits = [int(row[0].replace(",", "")) for row in rows("Refused by the check") if len(row) == 2]
    listed = re.search(r"## Built-in names\n\n```text\n(.*?)```", PAGE, re.DOTALL)

    assert limits == [MAX_BYTES, MAX_LINES, MAX_TOKENS, MAX_BRACKETS, MAX_DEPTH, MAX_BLOCKS]
    assert listed and listed[1].split() == sorted(NAMES)
    assert {source(row[0]): row[1] for row in rows("Built-in names")} == BUILTIN_ADVICE
    assert {source(row[0]) for row in rows("Modules")} == set(MODULES)
    assert f"# The dialect, version {VERSION}\n" in PAGE


@pytest.mark.parametrize("row", rows("Modules"), ids=lambda row: row[0])
def test_a_module_offers_the_names_of_the_page(row: list[str]) -> None:
    """Some names exist only in some minor versions of Python; the page was written on the oldest."""
    listed, offered = set(row[1].split()), set(MODULES[source(row[0])])

    assert listed <= offered
    assert len(offered - listed) <= 12
