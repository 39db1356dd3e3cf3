"""What is committed is enough: the demo runs from HEAD alone, and an installed runner lacks nothing.

The short form of `make test-fresh` (fresh_clone_long.py), without a new environment.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of HEAD and nothing else."""
    folder = tmp_path_factory.mktemp("head")
    packed = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def ran(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call runner as it stands in `folder`, whatever is installed."""
    return subprocess.run(
        [sys.executable, "-m", "runner", *words],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, timeout=100,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_demo_runs_from_the_files_of_head_and_names_what_it_could_not_measure(head: Path) -> None:
    inputs = json.dumps({"modules": ["enum", "pydoc_data", "re", "this"], "top": 2})
    words = ["run", "examples/demo/hardest_modules.py", "--policy", "policies/demo.yaml", "--sandbox", "process"]

    done = ran(head, *words, "--inputs", inputs)

    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert [entry["module"] for entry in found["hardest"]] == ["re", "enum"]
    assert [entry["module"] for entry in found["not_measured"]] == ["pydoc_data"]
    assert "generated table" in found["not_measured"][0]["why"]
    assert "1 of" in done.stderr.splitlines()[-1]


def test_wheel_holds_every_committed_file_of_the_package(head: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
         "--disable-pip-version-check", "--wheel-dir", str(tmp_path), str(head)],
        check=True, capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        held = set(wheel.namelist())

    files = [path for path in (head / "runner").rglob("*") if path.suffix not in ("", ".pyc")]
    wanted = {path.relative_to(head).as_posix() for path in files}
    assert wanted
    assert wanted - held == set()
    assert any(name.endswith("/licenses/LICENSE") for name in held)


def test_make_alone_lists_its_targets(head: Path) -> None:
    said = subprocess.run(["make"], cwd=head, capture_output=True, text=True, check=True).stdout

    for target in ("demo", "test", "check", "bench", "test-fresh", "test-crash", "fuzz", "image", "engine", "clean"):
        assert f"make {target} " in said


@pytest.mark.parametrize("target", ["setup", "demo"])
def test_make_without_a_python_names_the_fix_and_makes_nothing(head: Path, target: str) -> None:
    said = subprocess.run(
        ["make", target, "PYTHON=/nowhere/python3"], cwd=head, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )

    assert said.returncode == 2
    assert "error: PYTHON=/nowhere/python3 is no Python 3.11, 3.12 or 3.13 with venv and pip" in said.stderr
    assert "python3-venv" in said.stderr
    assert not (head / ".venv").exists()


def test_constraints_name_no_registry_and_pin_what_the_project_asks_for() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]

    assert all("==" in line and "/" not in line and "@" not in line for line in lines)
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    assert {"restrictedpython", "pydantic", "typer", "rich", "pyyaml", "jsonschema-rs", "pytest", "mypy"} <= pinned
