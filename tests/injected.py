"""The example of docs/how-to/injected.md, with a port of its own: two tests at once must not share one."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples/injected"
PORT = "8660"
"""That of the example as it stands."""


def copy_of_example(folder: Path, port: str) -> None:
    """Make a folder with all files of the example, and another port in each."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.rglob("*.*"):
        path.write_text(path.read_text().replace(PORT, port))


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])
