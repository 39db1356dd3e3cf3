"""The part of docs/how-to/migrate.md that needs CrewAI: `make test-backends`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("crewai")

from tests.docs.test_migrate import EXAMPLE, prints, shown  # noqa: E402

ROOT = EXAMPLE.parents[1]


def test_the_commands_of_the_page_print_what_is_shown_below_them(tmp_path: Path, own_home: Path) -> None:
    folder = shutil.copytree(EXAMPLE, tmp_path / "migrate")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # CrewAI keeps a database in the home of its user.
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}

    for block, printed in shown("sh crewai"):
        done = subprocess.run(["bash", "-euc", block], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)

        assert done.returncode == 0, f"{block}\n{done.stderr}"
        assert prints(printed, done.stdout), f"{block}\n{done.stdout}"
