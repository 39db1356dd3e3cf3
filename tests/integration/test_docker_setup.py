"""`.ci/engine`, which `make` asks: go on with an engine, go on without, or stop with the fix."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Nothing listens and nothing is installed, in a mount namespace of its own.
BARE = "mount -t tmpfs none /run && for file in $(which -a dockerd); do mount --bind /dev/null $file || :; done; exec .ci/engine"


def engine(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("DOCKER", "DOCKER_HOST")}
    return subprocess.run(
        command or (".ci/engine",),
        cwd=ROOT,
        env={**inherited, "PYTHON": getattr(sys, "_base_executable", sys.executable), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.docker
def test_an_engine_that_answers_is_used():
    done = engine()

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("Docker engine ")


def test_an_engine_that_is_named_and_not_there_stops_make_with_the_fix():
    done = engine(DOCKER_HOST="unix:///nowhere.sock")

    assert done.returncode == 6
    assert done.stderr.splitlines()[0] == 'DOCKER_HOST names "/nowhere.sock", where nothing is'
    assert done.stderr.splitlines()[1].startswith("hint: unset DOCKER_HOST")


def may_unshare() -> bool:
    return engine("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/run").returncode == 0


@pytest.mark.skipif(not may_unshare(), reason="only who may mount can hide the engine from a child")
def test_without_an_engine_make_says_how_to_have_one_and_goes_on():
    done = engine("unshare", "--mount", "bash", "-c", BARE)

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        "There is no Docker engine here. To have one:",
        "  sudo apt-get update && sudo apt-get install -y --no-install-recommends docker.io iptables",
        "  make engine DOCKER=install",
        "Going on with the process sandbox. It is weaker: no file system, network or memory group of its own;",
        "one layer, the system call lock, holds the script.",
    ]
