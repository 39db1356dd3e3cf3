"""docs/cli.md says what the code does: verbs, exit codes, and every field of the envelope."""

from __future__ import annotations

import json
import re
from pathlib import Path

from runner.cli.app import VERBS
from runner.errors import ExitCode

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "cli.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    section = PAGE.split(f"## {heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table is not None
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in table[0].splitlines()[2:]]


def test_the_exit_codes_are_those_of_the_code():
    told = [(int(code), name.strip()) for code, name, _ in rows("Exit codes")]

    assert told == [(int(code), code.name.lower()) for code in ExitCode]


def test_every_verb_is_told_of_and_no_other():
    named = {" ".join(re.findall(r"[a-z]+", re.match(r"\| `runner ([a-z]+(?: (?:check|schema|diff|lock|build|explain|serve|show|rotate|client|list|prune|hold|release|redact|key|head|new|sign|describe|try|init)\b)?)", line)[1]))
             for line in PAGE.splitlines() if line.startswith("| `runner ")}  # fmt: skip
    verbs = {f"{name} {below}".strip() for name, verb in VERBS.items() for below in (verb.verbs or [""])}

    assert named == verbs


def test_every_field_of_the_envelope_is_told_of_and_no_other():
    schema = json.loads((DOCS / "run-envelope.schema.json").read_text())
    fields = set(schema["required"])
    fields |= {f"{part}.{field}" for part in ("error", "usage") for field in schema["$defs"][part]["required"]}
    told = {name for field, _, _ in rows("The envelope of `--json`") for name in re.findall(r"`([a-z_.]+)`", field)}

    assert told == fields
