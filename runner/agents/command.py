"""The `command` backend: a program that reads JSON on stdin and writes one JSON value on stdout.

It is all dead when the attempt is over. Output is read up to the call's bound, never further. Referenced values are
read at use; they, the key and the tokens are cut out of details, and an output that repeats one is refused.

Not here: its environment and what it is handed (commanded), starting and killing (launch, warden), under which uid
(uids). What it may do as that: docs/limits.md.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Protocol

from runner.agents import Setting, faults
from runner.agents.commanded import Command, Started
from runner.errors import AgentFault
from runner.guest.wire import WireError, compact, loads
from runner.models import Json, OutcomeKind
from runner.policy.model import AgentEntry
from runner.seams import Call


def build(entry: AgentEntry, setting: Setting) -> CommandAgent:
    """Return the agent of an entry. Raises PolicyError: it has references, and nothing reads them."""
    return CommandAgent(entry.name, Command(entry, entry.options["argv"], setting, key="argv"))


class Reads(Protocol):
    """How a program's stdout is read that has a form of its own."""

    def most_bytes(self, call: Call) -> int:
        """Return how much it may write."""
        ...

    def output(self, agent: str, call: Call, said: Json, guarded: Sequence[str]) -> Json:
        """Return the output that it said, whatever its exit code. Raises AgentFault, with nothing guarded in it."""
        ...


class CommandAgent:
    """One agent that is a program, started anew for each attempt."""

    def __init__(self, name: str, command: Command, reads: Reads | None = None) -> None:
        """`reads` None: stdout is the output."""
        self._name = name
        self._command = command
        self._reads = reads
        self.facts = command.facts
        self.close = command.close
        self.probe = command.probe

    async def run(self, call: Call) -> Json:
        attempt = _Attempt(self._name, call, self._reads)
        async with self._command.started(call, attempt.take) as started:
            attempt.started = started
            started.program.write(_stdin(call.inputs), last=True)
            return await attempt.outcome()


class _Attempt:
    """What came back from one program so far."""

    def __init__(self, name: str, call: Call, reads: Reads | None) -> None:
        self.started: Started | None = None
        self._name = name
        self._call = call
        self._reads = reads
        self._limit = call.output_bytes if reads is None else reads.most_bytes(call)
        self._output = bytearray()
        self._too_large = False

    @property
    def _running(self) -> Started:
        assert self.started is not None
        return self.started

    def take(self, data: bytes) -> None:
        """Keep what the program wrote; beyond the limit keep nothing and kill it."""
        if len(self._output) + len(data) <= self._limit:
            self._output += data
            return
        self._too_large = True
        self._output.clear()
        self._running.program.kill()

    async def outcome(self) -> Json:
        """Return the program's output once it has ended. Raises AgentFault and NotStarted."""
        program = self._running.program
        # Shielded: a cancelled attempt must not cancel what tells of its program's end.
        await asyncio.shield(program.started)
        end = await asyncio.shield(program.ended)
        if self._too_large:
            raise faults.too_large(self._name, self._call.output_bytes)
        if end.status is None or end.status < 0:
            # By a signal that was not ours: what it had begun is not known.
            raise faults.lost(self._name, str(end), self._running.errors())
        if end.status != 0 and (self._reads is None or not self._output):
            raise AgentFault(OutcomeKind.FAILED, f'agent "{self._name}" {end}', detail=self._running.errors())
        return self._parse()

    def _parse(self) -> Json:
        try:
            text = self._output.decode().strip(" \t\r\n")
            value = loads(text)
        except (UnicodeDecodeError, WireError) as error:
            why = f"{error}" if self._output else "it wrote nothing"
            raise faults.no_json(self._name, f"stdout: {why}\nstderr: {self._running.errors()}") from None
        if self._reads is not None:
            value = self._reads.output(self._name, self._call, value, self._running.references)
            if len(compact(value).encode()) > self._call.output_bytes:
                raise faults.too_large(self._name, self._call.output_bytes)
        # As it is once its escapes are read, too.
        repeated = self._running.repeated(text) or self._running.repeated(compact(value))
        if repeated is not None:
            raise repeated
        return value


def _stdin(inputs: Json) -> bytes:
    return json.dumps(inputs, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
