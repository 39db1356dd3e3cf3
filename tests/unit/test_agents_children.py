"""What an agent's program starts, and leaves: a child of a session of its own, which has the program's pipes.

Not here: agents whose libraries have environments of their own (tests/backends).
"""

# ruff: noqa: ASYNC240 (a test looks at files and processes that others change)
from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from runner.agents import Setting, build_agent
from runner.errors import AgentFault
from runner.seams import Agent
from tests.mcp_by_hand import stdio_command
from tests.unit.agents_by_hand import (
    PATIENCE_SECONDS,
    all_gone,
    call,
    command_agent,
    entry,
    lives,
    open_folder,
    python_agent,
    written,
)

# It is told where to write its pid and its child's.
BEGIN = 'read -r path; eval path=$path; %s setsid sleep 600 & echo $$ $! > "$path"; '
SCRIPTS = {
    "stay": BEGIN % "trap '' TERM HUP INT;" + "while :; do wait; done",
    "leave": BEGIN % "" + "echo '%s'",
    "quit": BEGIN % "" + "exit 3",
}
ANSWER = '{"type": "result", "subtype": "success", "is_error": false, "structured_output": {"value": "done"}}'


def program(folder: Path, behaviour: str) -> Agent:
    return command_agent(folder, "sh", "-c", SCRIPTS[behaviour].replace("%s", '"done"'))


def claude(folder: Path, behaviour: str) -> Agent:
    (folder / "claude").write_text("#!/bin/sh\n" + SCRIPTS[behaviour].replace("%s", ANSWER))
    (folder / "claude").chmod(0o755)
    options = {"model": "m", "via": "cli", "base_url": "http://127.0.0.1:9"}
    return build_agent(entry("claude", options, isolation="process"), Setting(folder))


def mcp(folder: Path, behaviour: str) -> Agent:
    options = {"command": stdio_command(folder), "tool": behaviour, "arguments": {"value": "{inputs}"}, "output_at": "/result"}
    return build_agent(entry("mcp", options, isolation="process"), Setting(folder))


WORKER = """
import os, signal, subprocess, time
def begin(path):
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    with open(path, "w") as file: file.write(f"{os.getpid()} {child.pid}\\n")
def stay(path):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    begin(path)
    time.sleep(600)
def leave(path):
    begin(path)
    return "done"
def quit(path):
    begin(path)
    os._exit(3)
"""


def worker(folder: Path, behaviour: str) -> Agent:
    return python_agent(folder, WORKER, behaviour, parallel=1)


Make = Callable[[str], Agent]
each_process = pytest.mark.parametrize("make", [program, claude, mcp, worker], indirect=True)
each_program = pytest.mark.parametrize("make", [program, claude, mcp], indirect=True)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of programs, which is on the PATH, and within it `temporary`, which stands for /tmp."""
    with open_folder() as made:
        (made / "temporary").mkdir()
        (made / "temporary").chmod(0o1777)
        monkeypatch.setattr("tempfile.tempdir", str(made / "temporary"))
        monkeypatch.setenv("PATH", f"{made}:{os.environ['PATH']}")
        yield made


@pytest.fixture
async def make(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Make]:
    made: list[Agent] = []

    def build(behaviour: str) -> Agent:
        made.append(request.param(folder, behaviour))
        return made[-1]

    yield build
    for agent in made:
        await agent.close()


async def nothing_left(folder: Path) -> bool:
    """True once `temporary` is empty: a folder goes when all is dead that may write to it."""
    end = time.monotonic() + PATIENCE_SECONDS
    while any((folder / "temporary").iterdir()) and time.monotonic() < end:
        await asyncio.sleep(0.005)
    return not any((folder / "temporary").iterdir())


async def pids_of(folder: Path) -> list[int]:
    return [int(pid) for pid in (await written(folder / "pids")).split()]


@each_process
async def test_one_that_ignores_sigterm_is_dead_after_its_attempt_with_the_child_that_it_detached(make: Make, folder: Path) -> None:
    attempt = asyncio.ensure_future(make("stay").run(call(str(folder / "pids"))))
    pids = await pids_of(folder)
    attempt.cancel()
    done, _ = await asyncio.wait([attempt], timeout=5)

    assert done and attempt.cancelled() and len(pids) == 2
    assert await all_gone(pids)
    assert await nothing_left(folder)


@each_program
async def test_a_child_that_holds_the_pipes_neither_holds_an_answer_nor_outlives_it(make: Make, folder: Path) -> None:
    attempt = asyncio.ensure_future(make("leave").run(call(str(folder / "pids"))))
    await asyncio.wait([attempt], timeout=PATIENCE_SECONDS)
    pids = await pids_of(folder)

    assert attempt.result() in ("done", str(folder / "pids"))
    assert len(pids) == 2 and await all_gone(pids)
    assert await nothing_left(folder)


@each_process
async def test_a_child_that_holds_the_pipes_of_a_program_that_failed_does_not_hold_the_fault(make: Make, folder: Path) -> None:
    attempt = asyncio.ensure_future(make("quit").run(call(str(folder / "pids"))))
    await asyncio.wait([attempt], timeout=PATIENCE_SECONDS)
    pids, fault = await pids_of(folder), attempt.exception()

    assert isinstance(fault, AgentFault)
    assert fault.message in ('agent "a" exited with status 3', 'agent "a" ended without an answer')
    assert len(pids) == 2 and await all_gone(pids)
    assert await nothing_left(folder)


async def test_what_a_worker_left_lives_no_longer_than_the_worker_which_serves_on(folder: Path) -> None:
    agent = worker(folder, "leave")
    first = [await agent.run(call(str(folder / "pids"))), *await pids_of(folder)]
    second = [await agent.run(call(str(folder / "pids"))), *await pids_of(folder)]
    lived = [lives(pid) for pid in (*first[1:], second[2])]
    await agent.close()

    assert (first[0], second[0]) == ("done", "done") and first[1] == second[1] and first[2] != second[2]
    assert lived == [True, True, True]
    assert await all_gone([*first[1:], second[2]])
    assert await nothing_left(folder)
