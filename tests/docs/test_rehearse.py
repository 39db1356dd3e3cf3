"""docs/rehearse.md: its files are read, its programs run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from runner.cli import call
from runner.policy import load_policy
from runner.rehearsal.expectations import read_expectations
from runner.rehearsal.fixtures import read_fixtures
from tests.docs.test_pages import ROOT, blocks
from tests.integration.test_pytest_plugin import pytest_in

PAGE = (ROOT / "docs/rehearse.md").read_text()
POLICY = """
version: 1
sandbox: process
limits: {wall: 1h}
agents:
  research: &agent
    description: looks at a vendor
    python: agents:research
    input: {type: object, additionalProperties: true}
    output:
      type: object
      properties: {confidence: {type: number}, hits: {type: array, items: {type: string}}}
      required: [confidence, hits]
    effects: none
    timeout: 10m
  summarise: *agent
  publish: *agent
  mail: *agent
"""
BRIEF = """
hs = [spawn("research", {"vendor": vendor}) for vendor in inputs["vendors"]]
outs = gather(hs, on_error="none")
result = {"second_pass": [v for v, out in zip(inputs["vendors"], outs) if out is None]}
"""


def test_the_files_of_the_page_are_read(tmp_path: Path) -> None:
    mocks, expect = blocks(PAGE, "yaml")
    (tmp_path / "m.yaml").write_text(mocks)
    (tmp_path / "e.yaml").write_text(expect)
    (tmp_path / "p.yaml").write_text(POLICY)
    policy = load_policy(tmp_path / "p.yaml")

    read_fixtures(tmp_path / "m.yaml").check_against(policy)
    read_expectations(tmp_path / "e.yaml").check_against(policy)


def test_the_program_of_the_page_runs_as_it_stands() -> None:
    done = subprocess.run([sys.executable, "-c", blocks(PAGE, "python")[0]], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done ")


def test_the_test_of_the_page_passes(tmp_path: Path) -> None:
    (tmp_path / "runner.yaml").write_text(POLICY)
    (tmp_path / "brief.py").write_text(BRIEF)
    (tmp_path / "test_brief.py").write_text(blocks(PAGE, "python")[1])
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = pytest_in(tmp_path, "test_brief.py")

    assert done.returncode == 0, done.stdout


def test_every_option_of_the_verb_is_told_of(capsys) -> None:
    import re

    call(["rehearse", "--help"])
    options = set(re.findall(r"(?<!no)--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    section = (ROOT / "docs/cli.md").read_text().split("## `runner rehearse`", 1)[1].split("##", 1)[0]

    assert {option for option in options if option not in section} == set()
