"""docs/check.md says what the code does: each row of its tables is checked."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from runner.check import check
from runner.check.rules import ALL_RULES, OWN_RULES
from runner.guest.dialect.remarks import ADVICE
from runner.models import Reach, Script, Verdict
from runner.policy import load_policy_text

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/check.md").read_text(encoding="utf-8")
POLICY = load_policy_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0], folder=ROOT, name="docs/check.md")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the tables below a heading of the second level, without the rows of their heads."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if row[0] not in ("rule", "field", "script")]


def checked(cell: str) -> Verdict:
    return check(Script("docs", cell.strip("`").replace("⏎", "\n").encode()), POLICY)


EXAMPLES = [*rows("Errors"), *rows("Warnings")]


@pytest.mark.parametrize("row", EXAMPLES, ids=[f"{row[0].strip('`')}-{n}" for n, row in enumerate(EXAMPLES)])
def test_each_example_is_found_as_the_page_says_and_nothing_else_is(row: list[str]) -> None:
    rule, severity, example, message, fix = row
    found = checked(example).findings

    assert [str(one.severity) for one in found if one.rule == rule.strip("`")][:1] == [severity]
    assert (message, fix) in [(one.message, one.fix) for one in found]
    assert {one.rule for one in found} == {rule.strip("`")}


def test_the_page_has_every_rule_with_every_severity_that_it_can_have() -> None:
    told: dict[str, set[str]] = {}
    for row in EXAMPLES:
        told.setdefault(row[0].strip("`"), set()).add(row[1])

    assert told == {rule: {str(severity) for severity in severities} for rule, (severities, _) in OWN_RULES.items()}
    assert [row[0].strip("`") for row in rows("The dialect's rules")] == list(ADVICE)
    assert set(told) | set(ADVICE) == set(ALL_RULES)


@pytest.mark.parametrize("row", rows("The dialect's rules"), ids=lambda row: row[0])
def test_the_messages_of_the_dialect_are_those_of_the_rejected_scripts(row: list[str]) -> None:
    rule, message, fix = row
    told = yaml.safe_load((ROOT / f"tests/scripts/rejected/{rule.strip('`')}.yaml").read_text(encoding="utf-8"))[0]

    assert (told["message"], told["fix"]) == (message, fix)


def test_each_field_of_the_reach_is_on_the_page() -> None:
    table = [row[0].strip("`") for row in rows("Reach") if len(row) == 2]

    assert table == [field.name for field in fields(Reach)]


@pytest.mark.parametrize("row", [row for row in rows("Reach") if len(row) == 3], ids=lambda row: row[0])
def test_each_bound_of_the_page_is_what_is_told(row: list[str]) -> None:
    script, bound, chain = row
    reach = checked(script).reach
    lower, upper = reach.spawns_lower, reach.spawns_upper

    assert bound.strip("`") == (lower if lower == upper else f"{lower} to {upper}")
    assert chain == ("unbounded" if reach.longest_chain is None else str(reach.longest_chain))
