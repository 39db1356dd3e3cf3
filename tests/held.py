"""Run a whole script under a held clock: the real Runner, guest, sandbox and journal; only time is ours.

    ran = await run_held(tmp_path, source, inputs={"topic": "x"}, policy=policy, seed=7, act=agents.act)
    assert ran.result.result == ...
    assert comparable(ran.events) == comparable(other.events)

Time moves only when all that is left to happen is on the clock: the guest waits for an answer, everything is durable,
no agent is at work. Then it jumps to the next timer: an agent that is done, a timeout, a pause, the end of a sleep.
An hour of the script takes milliseconds, and two runs of a script are equal, in whatever sandbox (`comparable`).

Agents come in two kinds. With `act(agent, inputs, attempt) -> (seconds, output)` no agent of the policy is imported:
the output, or the exception that stands in its place and is told as an `AgentError`, is there after those seconds of
the clock. Without it the policy's own agents are called, after `delay(call)` seconds of the clock: by default
`inputs["seconds"]` where that is a number, else between 1/8 and 1 second, depending on agent and inputs. Such an
agent does not wait itself: while it is at work the clock stands.

What agents say must depend on nothing but agent, inputs and attempt, and take more than no time: two things that
happen at the same time of the clock have no order that a script could count on.

Not here: what a run should come to (each test).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner import Runner, Script
from runner.agents import AgentError, faults
from runner.clock import HeldClock
from runner.engine.backends import Backends
from runner.events import Event, EventKind
from runner.guest.wire import canonical
from runner.models import Json
from runner.policy.model import AgentEntry, Policy
from runner.seams import Agent, Call, RunJournal
from tests.runs import Ran, policy_of

Act = Callable[[str, Any, int], tuple[float, Any]]
"""Agent, inputs and attempt → seconds, and the output or an exception."""
Delay = Callable[[Call], float]

# No script of a test takes as long in real time; one that hangs is told where it stood.
PATIENCE_SECONDS = 60.0
# Between two looks at a guest that computes.
_LOOK_SECONDS = 0.0005


def usual_delay(call: Call) -> float:
    """Return the seconds that a call takes unless a test says otherwise; whole 1/1024, so that sums are exact."""
    if isinstance(call.inputs, dict) and type(call.inputs.get("seconds")) in (int, float):
        return float(call.inputs["seconds"])
    number = int.from_bytes(hashlib.sha256(f"{call.agent} {canonical(call.inputs)}".encode()).digest()[:4])
    return (128 + number % 896) / 1024


async def run_held(
    home: Path,
    source: str | bytes,
    *,
    inputs: Json = None,
    sandbox: str = "process",
    policy: Policy | None = None,
    seed: int = 7,
    act: Act | None = None,
    delay: Delay = usual_delay,
    **options: Any,
) -> Ran:
    """Run a script to its end on the clock's time; the record must verify. `options` go to `Runner.run`."""
    script = Script("test", source.encode() if isinstance(source, str) else source)
    async with HeldRunner(home, sandbox, act, delay) as runner:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                result = await runner.run(
                    script, policy=policy or policy_of(), inputs=inputs, seed=seed, on_event=runner.saw, **options
                )
        except TimeoutError:
            raise AssertionError(f"the run did not end: {runner.stands()}") from None
        events = list(runner.events(result.run))
        runner.verify(result.run)
    return Ran(result, events, home)


class HeldRunner(Runner):
    """A Runner whose clock moves when nothing else does. One run at a time."""

    def __init__(self, home: Path, sandbox: str, act: Act | None = None, delay: Delay = usual_delay) -> None:
        self.held = HeldClock()
        super().__init__(home=home, sandbox=sandbox, clock=self.held)
        self._act = act
        self._delay = delay
        self._appended = 0
        self._durable = 0
        self._guest_waits = False
        self.at_work = 0
        """Calls of real agents that are not waiting on the clock."""
        self._driving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> HeldRunner:
        await super().__aenter__()
        open_run = self.store.open_run
        self.store.open_run = lambda run, **told: self._watched(open_run(run, **told))  # type: ignore[method-assign]
        self._driving = asyncio.ensure_future(self._drive())
        return self

    async def __aexit__(self, *error: Any) -> None:
        if self._driving is not None:
            self._driving.cancel()
            with suppress(asyncio.CancelledError):
                await self._driving
        await super().__aexit__(*error)

    def _backends(self, policy: Policy) -> Backends:
        return HeldBackends(policy, self, self._act, self._delay)

    def _watched(self, journal: RunJournal) -> RunJournal:
        append = journal.append

        def counted(kind: EventKind, body: Any, value: str | None = None) -> int:
            self._appended += 1
            if kind in (EventKind.WAIT_OPENED, EventKind.ANSWERED, EventKind.RUN_FINISHED):
                self._guest_waits = kind is EventKind.WAIT_OPENED
            return append(kind, body, value)

        journal.append = counted  # type: ignore[method-assign]
        return journal

    def saw(self, event: Event) -> None:
        self._durable += 1

    async def _drive(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            # Nothing is ready to run but this, and nothing is on its way from the journal, an agent or the guest.
            if self._is_idle() and not loop._ready:  # type: ignore[attr-defined]
                self.held.advance_to_next()
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(_LOOK_SECONDS)

    def _is_idle(self) -> bool:
        return self._guest_waits and self._appended == self._durable and not self.at_work

    def stands(self) -> str:
        waits = "the guest waits" if self._guest_waits else "the guest computes"
        return f"{waits}, {self.at_work} agents at work, {self._appended - self._durable} events not durable, " \
            f"{self.held.monotonic():.3f} s on the clock"  # fmt: skip


class HeldBackends(Backends):
    """The agents of a policy, on the clock."""

    def __init__(self, policy: Policy, runner: HeldRunner, act: Act | None, delay: Delay) -> None:
        super().__init__(policy, runner.held)
        self._runner = runner
        self._act = act
        self._delay = delay
        self._held: dict[str, Agent] = {}

    def get(self, entry: AgentEntry) -> Agent:
        if entry.name not in self._held:
            held: Agent = (
                Delayed(super().get(entry), self._runner, self._delay)
                if self._act is None
                else Acting(self._act, self._runner)
            )
            self._held[entry.name] = held
        return self._held[entry.name]


class Acting:
    """An agent that is a function of agent, inputs and attempt."""

    def __init__(self, act: Act, runner: HeldRunner) -> None:
        self._act = act
        self._runner = runner

    async def run(self, call: Call) -> Json:
        seconds, output = self._act(call.agent, call.inputs, call.attempt)
        await self._runner.held.sleep(seconds)
        if isinstance(output, Exception):
            raise faults.raised(call.agent, AgentError(str(output)))
        return output

    def facts(self) -> dict[str, str]:
        return {}

    async def close(self) -> None:
        pass


class Delayed:
    """A real agent that is called after some time of the clock."""

    def __init__(self, agent: Agent, runner: HeldRunner, delay: Delay) -> None:
        self._agent = agent
        self._runner = runner
        self._delay = delay

    async def run(self, call: Call) -> Json:
        await self._runner.held.sleep(self._delay(call))
        self._runner.at_work += 1
        try:
            return await self._agent.run(call)
        finally:
            self._runner.at_work -= 1

    def facts(self) -> dict[str, str]:
        return self._agent.facts()

    async def close(self) -> None:
        await self._agent.close()
