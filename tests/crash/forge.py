"""Hosts that die where a test says: a warm process that forks one host after another, and adopts what they leave.

    python -m tests.crash.forge      an order a line of JSON on stdin, its report a line of JSON on stdout

A host is a fork that opens the store and runs or resumes a workload. It kills itself at a point that the order names
(`at`: kind of event, which one of that kind, "before" its commit, once it is "durable", or after its "effect": the
callbacks and two turns of the loop), or is killed after some seconds (`after`). An order may bring a `script` and the
path of a `policy` of its own. The forge is a subreaper (prctl): what
a dead host leaves becomes its child, so it sees every process that lives on, whatever its session.

Not here: what is run (workloads), what must hold afterwards (proof).
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from runner import Runner, Script
from runner.broker import attempts
from runner.engine.submission import Reuse
from runner.journal import writer
from tests.crash.workloads import WORKLOADS

_PR_SET_CHILD_SUBREAPER = 36
# What a host imports on its way: a fork has it.
_WARM = (
    "runner.agents.python", "runner.agents.workers", "runner.broker", "runner.check", "runner.credentials.external",
    "runner.credentials.gateway.upstream", "runner.credentials.issuer", "runner.credentials.keys",
    "runner.engine.execution", "runner.engine.resumable", "runner.engine.resuming", "runner.engine.reuse",
    "runner.sandbox.process", "tenacity",
)  # fmt: skip
# What a dead host leaves may end its work: a revoker asks again after 0.2, 0.4 ... s.
ORPHAN_SECONDS = 60.0


class Deadly:
    """Kills this process at one point of its journal."""

    def __init__(self, kind: str, nth: int, point: str) -> None:
        self._kind = kind
        self._left = nth
        self._point = point
        self._marked: list[object] = []
        commit, committed = writer.Writer._commit, writer.Desk.committed

        def commits(one: writer.Writer, connection: Any, batches: list[writer.Batch]) -> None:
            due = self._is_due(batches)
            if due and self._point == "before":
                die()
            commit(one, connection, batches)
            if due and self._point == "durable":
                die()

        def tells(desk: writer.Desk, batches: list[writer.Batch]) -> None:
            committed(desk, batches)
            if any(batch in self._marked for batch in batches):
                # The first of these is the turn that the callbacks made ready.
                desk.loop.call_soon(lambda: desk.loop.call_soon(lambda: desk.loop.call_soon(die)))

        writer.Writer._commit = commits  # type: ignore[method-assign]
        writer.Desk.committed = tells  # type: ignore[method-assign]

    def _is_due(self, batches: list[writer.Batch]) -> bool:
        due = False
        for batch in batches:
            count = batch.cells[2 :: writer.COLUMNS].count(self._kind)
            if 0 < self._left <= count:
                due = True
                self._marked.append(batch)
            self._left -= count
        return due


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def host(order: dict[str, Any], say: Callable[..., None]) -> None:
    """Run, resume or replay a workload to its end, and say how that was."""
    workload = WORKLOADS[order["workload"]]
    async with Runner(home=Path(order["home"]), sandbox=order.get("sandbox", "process")) as runner:
        if order["do"] == "replay":
            replayed = await runner.replay(order["run"])
            say(ended=True, divergence=replayed.divergence and repr(replayed.divergence))
            return
        stopping = asyncio.ensure_future(stops(runner, order)) if workload.stop else None
        if order["do"] == "run":
            policy = order.get("policy") or workload.policy(order["crm"], order["server"])
            script = Script("own", order["script"].encode()) if "script" in order else workload.script
            reuse = Reuse(order["reuse"], 0.0) if "reuse" in order else None
            result = await runner.run(
                script, policy=policy, inputs=workload.inputs(order.get("names", "")), seed=7,
                on_start=lambda run: say(run=run), reuse=reuse,
            )  # fmt: skip
        else:
            result = await runner.resume(
                order["run"], by="forge", on_start=lambda run: say(run=run), **order.get("options", {})
            )
        if stopping is not None:
            stopping.cancel()
    error = result.error and [result.error.kind, result.error.message]
    say(ended=True, state=str(result.state), result=result.result, error=error, usage=result.usage.wall_seconds)


async def stops(runner: Runner, order: dict[str, Any]) -> None:
    """Stop the run once this host has called the agent that hangs."""
    path = Path(order["calls"])
    before = path.read_text().count("hang") if path.exists() else 0
    while not path.exists() or path.read_text().count("hang") == before:
        await asyncio.sleep(0.005)
    runner.stop_all("test")


def as_host(order: dict[str, Any], out: int) -> None:
    """Be a host, in the child. Never returns."""

    def say(**said: Any) -> None:
        os.write(out, json.dumps(said).encode() + b"\n")

    try:
        errors = os.open(order["home"] + ".stderr", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number, at in ((nothing, 0), (nothing, 1), (errors, 2)):
            os.dup2(number, at)
        os.environ["RUNNER_CRASH_CALLS"] = order["calls"]
        attempts.LINGER_SECONDS = 0.05
        if order.get("at"):
            Deadly(*order["at"])
        try:
            asyncio.run(host(order, say))
        except Exception as error:
            traceback.print_exc()
            say(raised=type(error).__name__, message=str(error))
    finally:
        os._exit(0)


def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    """Fork a host, wait for its end and for the end of all that it leaves; report."""
    read, write = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(read)
        as_host(order, write)
    os.close(write)
    heard, after = b"", order.get("after")
    until = None
    while True:
        left = None if until is None else max(0.0, until - time.monotonic())
        ready, _, _ = select.select([read], [], [], left)
        if not ready:
            os.kill(child, signal.SIGKILL)
            until = None
            continue
        data = os.read(read, 65536)
        if not data:
            break
        heard += data
        if after is not None and until is None:
            until, after = time.monotonic() + after, None
    os.close(read)
    _, status = os.waitpid(child, 0)
    told: dict[str, Any] = {"killed": os.WIFSIGNALED(status), "ended": False}
    for line in heard.splitlines():
        told |= json.loads(line)
    told["seconds"] = round(time.monotonic() - began, 3)
    return {**told, "orphans": orphans()}


def orphans() -> list[str]:
    """Wait for the end of all that hosts have left; return what does not end, killed."""
    until = time.monotonic() + ORPHAN_SECONDS
    while time.monotonic() < until:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.002)
        except ChildProcessError:
            return []
    left = psutil.Process().children(recursive=True)
    told = [" ".join(one.cmdline()) for one in left]
    for one in left:
        one.kill()
    return told


def main() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    for name in _WARM:
        importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(carry_out(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
