"""Which sandbox a run gets: never below the policy, and an engine that refuses is not "no engine"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.engine.sandboxes import GuestOnTheWay, Sandboxes
from runner.errors import ExitCode, RunnerError, SandboxUnavailable, UsageError
from runner.models import Limits
from runner.policy.model import Policy, SandboxRule
from runner.sandbox import engine_api

ANSWERS, ABSENT, REFUSES = "answers", "absent", "refuses"


def policy(demand: str) -> Policy:
    return Policy("p", {}, Limits(), SandboxRule(demand), None, Path("."), "{}", "d")


@pytest.fixture
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Point DOCKER_HOST at what the test wants to meet."""
    if request.param == ABSENT:
        monkeypatch.delenv("DOCKER_HOST", raising=False)
        monkeypatch.setattr(engine_api, "SYSTEM_SOCKET", tmp_path / "nothing.sock")
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(engine_api, "_daemon_path", lambda environ: "")
    elif request.param == REFUSES:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/stopped.sock")
    return str(request.param)


def sandboxes(asked: str) -> Sandboxes:
    return Sandboxes(asked=asked, store="s", host="h", alive=lambda host: True, waiting_guests=0, progress=None)


@pytest.mark.parametrize(
    ("engine", "asked", "demand", "outcome"),
    [
        (ABSENT, "auto", "process", "process"),
        (ABSENT, "process", "process", "process"),
        (ABSENT, "auto", "docker", SandboxUnavailable),
        (ABSENT, "process", "docker", UsageError),
        (REFUSES, "auto", "process", SandboxUnavailable),
        (REFUSES, "auto", "docker", SandboxUnavailable),
        (REFUSES, "process", "process", "process"),
        (REFUSES, "process", "docker", UsageError),
        pytest.param(ANSWERS, "auto", "process", "docker", marks=pytest.mark.docker),
        pytest.param(ANSWERS, "auto", "docker", "docker", marks=pytest.mark.docker),
        pytest.param(ANSWERS, "process", "docker", UsageError, marks=pytest.mark.docker),
    ],
    indirect=["engine"],
)
async def test_auto_takes_the_best_that_is_here_and_never_goes_below_the_policy(
    engine: str, asked: str, demand: str, outcome: Any
) -> None:
    chosen = sandboxes(asked)
    try:
        if isinstance(outcome, str):
            assert (await chosen.choose(policy(demand))).kind == outcome
        else:
            with pytest.raises(outcome) as raised:
                await chosen.choose(policy(demand))
            assert raised.value.hint
            assert raised.value.exit_code in (ExitCode.SANDBOX, ExitCode.USAGE)
    finally:
        await chosen.close()


def test_a_sandbox_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(RunnerError, match='sandbox "podman" is none of auto, docker, process'):
        sandboxes("podman")


async def test_what_a_journal_names_is_chosen_whatever_was_asked() -> None:
    chosen = sandboxes("docker")
    try:
        found = await chosen.choose(policy("process"), kind="process")

        assert found.kind == "process"
        assert await chosen.choose(policy("process"), kind="process") is found
        with pytest.raises(UsageError, match='policy "p" demands sandbox "docker"; "process" was asked'):
            await chosen.choose(policy("docker"), kind="process")
        with pytest.raises(UsageError, match='sandbox "process" starts from no image; "sha256:x" was asked'):
            await chosen.choose(policy("process"), kind="process", image="sha256:x")
        with pytest.raises(UsageError, match='sandbox "cloud" is none of auto, docker, process'):
            await chosen.choose(policy("process"), kind="cloud")
    finally:
        await chosen.close()


async def test_a_guest_that_nobody_took_is_killed() -> None:
    from runner.sandbox.process import ProcessSandbox

    sandbox = ProcessSandbox()
    try:
        unused = GuestOnTheWay(sandbox, Limits())
        unused.start()
        await unused.discard()
        taken = GuestOnTheWay(sandbox, Limits())
        channel = await taken.take()
        await taken.discard()

        assert Path(f"/proc/{channel.facts.pid}").exists()
        nursery = next(line for line in Path(f"/proc/{channel.facts.pid}/status").read_text().splitlines() if line.startswith("PPid"))
        children = Path(f"/proc/{nursery.split()[1]}/task/{nursery.split()[1]}/children").read_text().split()
        assert children == [str(channel.facts.pid)]
    finally:
        await sandbox.close()
