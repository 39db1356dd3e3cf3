"""Cold starts in Docker, against `docker run --rm --network none` of the same image with an empty program."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Figure, p50, timed

FOLDER = Path(__file__).parent
REPEAT = 9


def figures() -> Iterator[Figure]:
    image = asyncio.run(_image())
    if image is None or shutil.which("docker") is None:
        print("not measured, docker: no engine answers, or there is no docker command to compare with")
        return
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "trivial.py"
        script.write_text("result = 1\n")
        environment = {**ordinary_environment(), "RUNNER_HOME": str(Path(folder) / "home")}
        empty = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "python3", image, "-c", ""]
        cli = [sys.executable, "-m", "runner", "run", str(script), "--policy", str(FOLDER / "policy.yaml"),
               "--sandbox", "docker"]  # fmt: skip
        _quiet(empty, environment)
        _quiet(cli, environment)
        # Taken in turns, so that a slow moment of the machine meets all of them.
        rounds = [
            (timed(1, lambda: _quiet(empty, environment))[0], timed(1, lambda: _quiet(cli, environment))[0],
             asyncio.run(_cold(Path(folder) / "home", script)))
            for _ in range(REPEAT)
        ]  # fmt: skip
    docker, whole, cold = (p50(list(samples)) for samples in zip(*rounds, strict=True))
    beside = f"docker run {docker * 1000:.0f} ms"
    yield Figure("cold Runner.run in docker", cold / docker, "x", "<= 1.0", f"{cold * 1000:.0f} ms, {beside}")
    yield Figure("the whole CLI process, docker", whole / docker, "x", "<= 2.0", f"{whole * 1000:.0f} ms, {beside}")
    helped = p50(timed(9, lambda: _quiet([sys.executable, "-m", "runner", "--help"], ordinary_environment()))) * 1000
    empty_ms = p50(timed(9, lambda: _quiet([sys.executable, "-c", ""], ordinary_environment()))) * 1000
    yield Figure("runner --help", helped, "ms", "<= 200", f"python -c '' {empty_ms:.0f} ms")


def ordinary_environment() -> dict[str, str]:
    """The environment, but for the variable that makes every process compile all of runner again."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


async def _image() -> str | None:
    from runner.errors import RunnerError
    from runner.sandbox.engine_api import Engine
    from runner.sandbox.image import ensure_image

    try:
        engine = await Engine.find()
    except RunnerError:
        return None
    try:
        return (await ensure_image(engine)).tag
    finally:
        engine.close()


async def _cold(home: Path, script: Path) -> float:
    """A fresh Runner in this process: its modules are loaded, nothing else is."""
    from runner import Runner

    start = time.perf_counter()
    await Runner(home=home, sandbox="docker").run(script, policy=FOLDER / "policy.yaml")
    return time.perf_counter() - start


def _quiet(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
