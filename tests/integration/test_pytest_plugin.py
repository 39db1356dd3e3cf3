"""The pytest plugin: its fixture in plain and async tests of another project, and what it costs who does not use it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from tests.runs import ANY_OBJECT

ROOT = Path(__file__).parents[2]
OUTPUT = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
SCRIPT = 'hs = [spawn("count", {"of": one}) for one in inputs["ones"]]\nresult = sum(h.result()["n"] for h in hs)\n'
TESTS = '''
import asyncio
import pytest


def test_a_plain_test(rehearse):
    report = rehearse("script.py", policy="policy.yaml", inputs={"ones": ["a", "b"]}, mocks={"count": [{"output": {"n": 3}, "seconds": 500}]})

    assert (report.state, report.result, report.error, report.seconds) == ("done", 6, None, 500.0)
    assert [(one.agent, one.inputs, one.outcome, one.line) for one in report.spawns] == [
        ("count", {"of": "a"}, "ok", 1), ("count", {"of": "b"}, "ok", 1),
    ]
    assert sorted(report.lines) == [1, 2]


def test_a_function_and_a_file(rehearse, tmp_path):
    assert rehearse("script.py", policy="policy.yaml", inputs={"ones": [1, 2]}, mocks=lambda agent, inputs: {"n": inputs["of"]}).result == 3
    assert rehearse("script.py", policy="policy.yaml", inputs={"ones": [1, 2]}, mocks="mocks.yaml").result == 14


def test_a_text_is_a_script(rehearse):
    assert rehearse("result = 1\\n", policy="policy.yaml").result == 1


def test_an_expectation_that_fails(rehearse):
    with pytest.raises(AssertionError, match="spawns.count: expected 3, got 1"):
        rehearse("script.py", policy="policy.yaml", inputs={"ones": [1]}, expect={"spawns": {"count": 3}})


def test_where_a_loop_runs(rehearse):
    async def within():
        return rehearse("script.py", policy="policy.yaml", inputs={"ones": [1]}, mocks={"count": [{"output": {"n": 1}}]}).result

    assert asyncio.run(within()) == 1


@pytest.mark.parametrize("seed", range(30))
def test_many(rehearse, seed):
    assert rehearse("script.py", policy="policy.yaml", inputs={"ones": [1, 2, 3]}, seed=seed).result >= 3
'''


def pytest_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with the plugin by name, whether or not its entry point is installed."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:runner-rehearse", "-p", "runner.pytest_plugin", "-p", "no:cacheprovider", *words],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def project(folder: Path) -> Path:
    policy = {"version": 1, "sandbox": "process", "limits": {"wall": "1h"}, "agents": {"count": {
        "description": "counts", "python": "no_such_module:count", "input": ANY_OBJECT, "output": OUTPUT, "effects": "none",
        "timeout": "10m",
    }}}  # fmt: skip
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
    (folder / "mocks.yaml").write_text(yaml.safe_dump({"version": 1, "agents": {"count": [{"output": {"n": 7}}]}}))
    (folder / "script.py").write_text(SCRIPT)
    (folder / "test_it.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def test_the_fixture_serves_the_tests_of_another_project(tmp_path: Path) -> None:
    done = pytest_in(project(tmp_path), "test_it.py")

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "35 passed" in done.stdout


def test_a_project_that_does_not_use_it_imports_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import json, sys\n\ndef test_it():\n    json.dump(sorted(m for m in sys.modules if m.startswith('runner')), open('seen', 'w'))\n"
    )
    done = pytest_in(tmp_path, "test_other.py")

    assert done.returncode == 0, done.stdout
    assert json.loads((tmp_path / "seen").read_text()) == ["runner", "runner.pytest_plugin"]


def test_the_plugin_is_an_entry_point_and_pytest_no_dependency() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    # "runner" is a plugin of pytest itself: an entry point of that name is passed over.
    assert told["entry-points"]["pytest11"] == {"runner-rehearse": "runner.pytest_plugin"}
    assert not [one for one in told["dependencies"] if one.startswith("pytest")]
