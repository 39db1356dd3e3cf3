"""An agent whose function an adapter makes in worker processes: a graph, a crew.

Not here: the adapters (langgraph_worker, crewai_worker), which worker serves which call (workers).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from runner.agents import Setting, faults
from runner.agents.kept import Kept, NotRead, Values
from runner.agents.workers import Adapter, Workers
from runner.clock import SystemClock
from runner.errors import AgentFault
from runner.guest.wire import canonical
from runner.models import Json, digest_of
from runner.policy.model import AgentEntry
from runner.seams import Call, Probe

# For a question that is no attempt: a worker's start, an import, and an answer from memory.
_ASK_SECONDS = 120.0
_ANSWER_BYTES = 1024 * 1024


class InAdapter:
    """The agent. What it is handed is an object, unless `takes_any`."""

    def __init__(
        self,
        entry: AgentEntry,
        setting: Setting,
        path: str,
        adapter: Adapter,
        facts: Callable[[], dict[str, str]],
        *,
        takes_any: bool = False,
        asks: str = "",
    ) -> None:
        """`asks` makes a function that tells the schemas, as `Adapter.make`. Raises PolicyError."""
        self._name = entry.name
        self._path = path
        self._takes_any = takes_any
        self._facts = facts
        self._environment = Kept(entry, "env", setting)
        self._asks = replace(adapter, make=asks) if asks else None
        self._start = partial(
            Workers, entry.name, path, folder=setting.folder.absolute(), parallel=entry.parallel, wants_facts=True,
            same_uid=entry.unsafe_same_uid, clock=setting.clock or SystemClock(),
        )  # fmt: skip
        self._workers = self._start(adapter=adapter)

    async def run(self, call: Call) -> Json:
        if not self._takes_any and not isinstance(call.inputs, dict):
            raise faults.no_object(self._name)
        env = await self._read()
        return await self._workers.call(call, env.texts, env.guarded)

    async def probe(self) -> list[Probe]:
        """Have a worker import it, where that can be asked of one without a call. The host does not."""
        place, fix = self._path, "correct its import path, or what it needs when it is imported"
        if self._asks is None:
            return [Probe("module", True, f"{place} is there; it is imported in a worker process alone")]
        try:
            await self._environment.read()
        except NotRead:  # Told of by the probe of the reference itself.
            return [Probe("module", True, f"{place} is not imported: its env cannot be read", "mend the credential")]
        try:
            await self.schemas()
        except AgentFault as fault:
            why = (fault.detail or fault.message).splitlines()[-1][:300]
            return [Probe("module", False, f"{place} cannot be used in a worker process: {why}", fix)]
        return [Probe("module", True, f"{place} imports in a worker process, and can be called there")]

    async def schemas(self) -> tuple[Json, Json]:
        """Ask a worker, which ends with its answer. What it cannot be asked it does not tell."""
        if self._asks is None:
            return None, None
        workers = self._start(adapter=self._asks)
        try:
            env = await self._read()
            told = await workers.call(_question(self._name), env.texts, env.guarded)
        finally:
            await workers.close()
        return (told[0], told[1]) if isinstance(told, list) and len(told) == 2 else (None, None)

    def facts(self) -> dict[str, str]:
        written = self._environment.as_written()
        return self._facts() | ({"env": digest_of(canonical(written))} if written else {})

    async def close(self) -> None:
        await self._workers.close()

    async def _read(self) -> Values:
        try:
            return await self._environment.read()
        except NotRead as error:
            raise faults.not_started(self._name, str(error)) from error.__cause__


def _question(agent: str) -> Call:
    return Call("", 0, 0, agent, None, _ASK_SECONDS, _ANSWER_BYTES, "", "")
