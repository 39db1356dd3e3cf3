"""A service that says 429 in whole runs: the attempt and its token end, all runs of the home wait, and no retry is used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import Runner
from runner.events import EventKind, fold
from runner.models import RunState, Script
from runner.policy.model import Policy
from tests.crash.cut import cut
from tests.resource_server import Received, ResourceServer, Said
from tests.runs import ANY_OBJECT, policy_of, run_script

ASKS = 'result = spawn("customer", {}, scopes=["crm:read"], retry=inputs).result()'
# The shortest that can be said in whole seconds, as the header has them.
SLOW = Said(429, headers={"Retry-After": "1"})


class Service(ResourceServer):
    """Answers with these, one after the other, then with 200; `at` are the monotonic times at which requests arrived."""

    def __init__(self, *said: Said) -> None:
        super().__init__(self._next)
        self.queue = list(said)
        self.at: list[float] = []

    def _next(self, got: Received) -> Said:
        self.at.append(time.monotonic())
        return self.queue.pop(0) if self.queue else Said()


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(SLOW) as server:
        yield server


def written(service: Service) -> dict[str, Any]:
    agent = {
        "description": "Looks a customer up.", "http": service.url + "/customer", "scopes": ["crm:read"], "input": ANY_OBJECT,
        "output": ANY_OBJECT, "effects": "none", "timeout": "20s",
    }  # fmt: skip
    resource = {"url": service.url, "scopes": {"crm:read": "POST /customer"}}
    return {"agents": {"customer": agent}, "resources": {"crm": resource}}


def policy(service: Service) -> Policy:
    return policy_of(**written(service))


async def test_the_attempt_ends_its_token_is_closed_and_the_next_one_has_another_and_is_no_retry(own_home: Path, service: Service) -> None:
    ran = await run_script(own_home, ASKS, policy=policy(service), inputs=0)
    kinds = (EventKind.ATTEMPT_STARTED, EventKind.ATTEMPT_FAILED, EventKind.TOKEN_ISSUED, EventKind.TOKEN_CLOSED)
    told = [event for event in ran.events if event.kind in kinds]
    (failed,), (settled,) = ran.of(EventKind.ATTEMPT_FAILED), ran.of(EventKind.SPAWN_SETTLED)
    issued, closed = ran.of(EventKind.TOKEN_ISSUED), ran.of(EventKind.TOKEN_CLOSED)

    assert ran.result.state is RunState.DONE, ran.result.error
    assert [event.kind for event in told][:5] == [
        EventKind.ATTEMPT_STARTED, EventKind.TOKEN_ISSUED, EventKind.TOKEN_CLOSED, EventKind.ATTEMPT_FAILED, EventKind.ATTEMPT_STARTED,
    ]  # fmt: skip
    assert {key: failed.body[key] for key in ("attempt", "outcome", "next", "backoff")} == {
        "attempt": 1, "outcome": "failed", "next": "slowed", "backoff": 1.0,
    }  # fmt: skip
    assert [event.body["token"] for event in closed] == [event.body["token"] for event in issued]
    assert len({event.body["token"] for event in issued}) == len({got.headers["authorization"] for got in service.received}) == 2
    assert (settled.body["outcome"], settled.body["attempts"]) == ("ok", 2)
    assert service.at[1] - service.at[0] >= 1.0


async def test_the_requests_of_another_runner_of_the_home_wait_as_well(own_home: Path, service: Service) -> None:
    async def slowed(runner: Runner) -> None:
        async with asyncio.timeout(30):
            while not any(event.kind is EventKind.ATTEMPT_FAILED for row in runner.runs() for event in runner.events(row.run)):
                await asyncio.sleep(0.005)

    script = Script("s", ASKS.encode())
    async with Runner(home=own_home, sandbox="process") as one, Runner(home=own_home, sandbox="process") as other:
        first = asyncio.ensure_future(one.run(script, policy=policy(service), inputs=0))
        await slowed(one)
        second = await other.run(script, policy=policy(service), inputs=0)
        views = [fold(list(other.events(run))) for run in ((await first).run, second.run)]

    assert [view.state for view in views] == [RunState.DONE] * 2
    # One attempt was refused; the other run's only one was made when the hold was over.
    assert [view.spawns[1].attempts for view in views] == [2, 1]
    assert len(service.at) == 3 and min(service.at[1:]) - service.at[0] >= 1.0


async def test_a_run_that_goes_on_after_it_has_its_retries_still(tmp_path: Path, service: Service) -> None:
    (tmp_path / "runner.yaml").write_text(yaml.safe_dump({"version": 1, "sandbox": "process", **written(service)}))
    async with Runner(home=tmp_path / "home", sandbox="process") as runner:
        ran = await runner.run(Script("s", ASKS.encode()), policy=tmp_path / "runner.yaml", inputs=1)
        (at,) = [event.seq for event in runner.events(ran.run) if event.kind is EventKind.ATTEMPT_FAILED]
    cut(tmp_path / "home", tmp_path / "cut", ran.run, at)
    service.queue = [Said(500)]
    async with Runner(home=tmp_path / "cut", sandbox="process") as runner:
        resumed = await runner.resume(ran.run, by="test")
        events = list(runner.events(ran.run))
        runner.verify(ran.run)

    assert (ran.spawns, resumed.state, resumed.spawns) == ({"ok": 1}, RunState.DONE, {"ok": 1}), resumed.error
    told = [(event.body["attempt"], event.body["next"]) for event in events if event.kind is EventKind.ATTEMPT_FAILED]
    # The 500 is the first failure that counts, and one retry is allowed.
    assert told == [(1, "slowed"), (2, "retry")]
    assert [event.body["attempts"] for event in events if event.kind is EventKind.SPAWN_SETTLED] == [3]
