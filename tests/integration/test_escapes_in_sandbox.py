"""The escape table where it matters: in a locked guest, with the dialect on, and with the dialect bypassed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from runner import Runner, Script
from runner.errors import ExitCode
from runner.models import Limits
from runner.sandbox.bundle import bundle
from runner.sandbox.process import ProcessSandbox
from tests.bundles import NO_DIALECT, bundle_with_main
from tests.runs import agent, policy_of
from tests.scripts.escapes.cases import CASES, Escape
from tests.support import converse

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Binding `loot` is what an attempt is for; what it holds does not matter.
LOOK = """
try:
    loot
    result = "escaped"
except NameError:
    result = "contained"
"""
POLICY = policy_of(limits={"memory": "128MB", "cpu": 5, "wall": 20}, agents={"echo": agent("echo")})

# Without the dialect these end inside the interpreter or die by the lock; the rest of the table needs no kernel.
SYSTEM = [case for case in CASES if case.touches_system]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Runner]:
    async with Runner(home=tmp_path_factory.mktemp("escapes") / "home", sandbox="process", waiting_guests=2) as made:
        yield made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_an_attempt_ends_rejected_or_contained_in_a_real_run(runner: Runner, case: Escape) -> None:
    ended = await runner.run(Script("escape", f"{case.source}\n{LOOK}".encode()), policy=POLICY)

    assert ended.result in (None, "contained")
    assert ended.exit_code in (ExitCode.DONE, ExitCode.SCRIPT_RAISED, ExitCode.REJECTED, ExitCode.LIMIT), ended.error


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bare(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ProcessSandbox]:
    """A process sandbox whose guests run any Python after the lock."""
    folder: Path = tmp_path_factory.mktemp("bundles")
    sandbox = ProcessSandbox(files=bundle_with_main(folder / "bare", NO_DIALECT, bundle(folder)))
    yield sandbox
    await sandbox.close()


@pytest.mark.parametrize("case", SYSTEM, ids=lambda case: case.name)
async def test_the_lock_alone_stops_what_needs_the_kernel(bare: ProcessSandbox, case: Escape) -> None:
    channel = await bare.start(Limits())
    source = f"{case.source}\ntell(('escaped', repr(loot)[:200]))"
    talk = await converse(channel, source)

    assert "'escaped'" not in talk.printed, talk.printed
    assert talk.exit is not None
    assert talk.exit.reason == "lock" or talk.printed, talk
