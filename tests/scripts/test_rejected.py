"""One script for each rule of the check, with the whole of what is found in the file beside it.

A fix that is a replacement of the offending text is applied, and the script checked again.
"""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from runner.check import check
from runner.check.rules import ALL_RULES, OWN_RULES, RULES
from runner.models import Finding, Script, Severity
from runner.policy import load_policy

HERE = Path(__file__).parent / "rejected"
POLICY = load_policy(HERE / "policy.yaml")
SCRIPTS = sorted(HERE.glob("*.py"))
# What the parser of an older Python does not know is no syntax to it.
NEWER_SYNTAX = {"not-in-dialect"} if sys.version_info < (3, 12) else set()

_WRITE = re.compile(r"write (?:for example )?`([^`]+)`")
_DID_YOU_MEAN = re.compile(r'did you mean ("[^"]+"|\w+=)\?')
_WHOLE = re.compile(r"\A(?!result = )[\w.()]+\Z")


def found_in(source: bytes) -> list[Finding]:
    return list(check(Script("rejected", source), POLICY).findings)


def expected_in(path: Path) -> list[Finding]:
    told = yaml.safe_load(path.with_suffix(".yaml").read_text(encoding="utf-8"))
    return [Finding(**{**one, "severity": Severity(one["severity"])}) for one in told]


@pytest.mark.parametrize("path", [path for path in SCRIPTS if path.stem not in NEWER_SYNTAX], ids=lambda path: path.stem)
def test_each_finding_is_told_whole(path: Path) -> None:
    assert [asdict(one) for one in found_in(path.read_bytes())] == [asdict(one) for one in expected_in(path)]


def test_syntax_that_only_newer_pythons_know_is_refused_by_the_older_ones_too() -> None:
    for name in NEWER_SYNTAX:
        assert [one.rule for one in found_in((HERE / f"{name}.py").read_bytes())] == ["syntax"]


def test_every_rule_has_a_script_of_its_name_and_every_script_breaks_that_rule_alone() -> None:
    assert {path.stem for path in SCRIPTS} == set(ALL_RULES)
    for path in SCRIPTS:
        assert {one.rule for one in expected_in(path)} == {path.stem}, path.stem


def test_the_severity_of_each_finding_is_that_of_its_rule() -> None:
    shown: dict[str, set[Severity]] = {}
    for path in SCRIPTS:
        for one in expected_in(path):
            shown.setdefault(one.rule, set()).add(one.severity)

    assert shown == {rule: set(severities) for rule, (severities, _) in ALL_RULES.items()}


def test_every_function_among_the_rules_says_something_in_these_scripts() -> None:
    named = {rule.__name__.replace("_", "-") for rule in RULES}

    assert named - set(OWN_RULES) == {"method-arguments"}  # it says wrong-arguments


def replacement(finding: Finding) -> str | None:
    """Return what a fix puts in the place of the offending text, if that is what it says."""
    written = _WRITE.match(finding.fix)
    if written and finding.rule in OWN_RULES:
        return written[1]
    meant = _DID_YOU_MEAN.match(finding.fix)
    if meant and finding.text[:1] in ('"', "'"):
        return meant[1]
    if meant and meant[1].endswith("="):
        return meant[1] + finding.text.partition("=")[2]
    plain = finding.rule in ("private-name", "reserved-name") and _WHOLE.match(finding.fix)
    return finding.fix if plain and not finding.text.startswith("def ") else None


def replaced(source: str, finding: Finding, text: str) -> str:
    lines = source.split("\n")
    line = lines[finding.line - 1]
    assert line[finding.column - 1 :].startswith(finding.text)
    lines[finding.line - 1] = line[: finding.column - 1] + text + line[finding.column - 1 + len(finding.text) :]
    return "\n".join(lines)


REPLACED = [
    pytest.param(path, one, replacement(one), id=f"{path.stem}-{one.line}-{one.column}")
    for path in SCRIPTS
    if path.stem not in NEWER_SYNTAX
    for one in expected_in(path)
    if replacement(one)
]


@pytest.mark.parametrize(("path", "finding", "text"), REPLACED)
def test_a_fix_that_replaces_the_offending_text_mends_it(path: Path, finding: Finding, text: str) -> None:
    before = found_in(path.read_bytes())
    after = found_in(replaced(path.read_text(encoding="utf-8"), finding, text).encode())

    places = [(one.line, one.column, one.rule) for one in after]
    assert (finding.line, finding.column, finding.rule) not in places
    assert len(after) < len(before)
    assert {one.rule for one in after} <= {path.stem}


def test_many_fixes_are_replacements() -> None:
    rules = {param.values[0].stem for param in REPLACED}  # type: ignore[union-attr]

    assert len(REPLACED) >= 30
    assert rules >= {"agent-not-in-policy", "scopes-not-granted", "timeout-beyond-cap", "handle-as-text", "wrong-option"}
