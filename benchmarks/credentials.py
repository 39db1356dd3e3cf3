"""What scopes cost: a token for each spawn, and a request through the gateway."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from benchmarks.measure import Figure, fdatasync_ms, p50
from benchmarks.spawns import _fan_out
from runner import Runner, Script
from runner.models import RunState
from runner.policy import load_policy_text

HERE = Path(__file__).parent
REQUESTS = 300
ASK = b'result = spawn(inputs["agent"], inputs["ask"], scopes=["shelf:read"]).result()'


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        yield from asyncio.run(_spawns(Path(folder) / "spawns"))
        sync_ms = fdatasync_ms(Path(folder))
        with _shelf() as port:
            yield from asyncio.run(_requests(Path(folder) / "requests", port, sync_ms))


async def _spawns(home: Path) -> list[Figure]:
    async with Runner(home=home, sandbox="process", waiting_guests=1) as runner:
        await _fan_out(runner, "scoped", 100)
        # In turns: the machine's speed changes within a minute.
        taken: dict[str, list[float]] = {"noop": [], "scoped": []}
        for _ in range(3):
            for agent, samples in taken.items():
                samples.append(await _fan_out(runner, agent, 10_000))
    with_scopes, without = p50(taken["scoped"]), p50(taken["noop"])
    return [
        Figure(
            "10,000 scoped spawns, gathered, embedded issuer, audit", 10_000 / with_scopes, "/s", ">= 4000",
            f"without scopes {10_000 / without:.0f}/s",
        ),
        Figure(
            "a scope per spawn costs", (with_scopes - without) * 100, "us", baseline=f"of {with_scopes * 100:.0f} us",
        ),
    ]  # fmt: skip


async def _requests(home: Path, port: int, sync_ms: float) -> list[Figure]:
    entry = {
        "description": "Reads.", "input": {"type": "object", "additionalProperties": True},
        "output": {"type": "object", "properties": {"through": True, "direct": True}}, "effects": "read",
        "scopes": ["shelf:read"],
    }  # fmt: skip
    text = yaml.safe_dump(
        {
            "version": 1, "sandbox": "process",
            "resources": {"shelf": {"url": f"http://127.0.0.1:{port}", "scopes": {"shelf:read": "GET /books/**"}}},
            "agents": {name: {**entry, "python": f"agents:{name}"} for name in ("reads", "sync_reads")},
        }
    )  # fmt: skip
    policy = load_policy_text(text, folder=HERE, name="bench")
    found = []
    async with Runner(home=home, sandbox="process", waiting_guests=1) as runner:
        for agent, where in (("reads", "in the host"), ("sync_reads", "unix socket")):
            inputs = {"agent": agent, "ask": {"requests": REQUESTS, "url": f"http://127.0.0.1:{port}"}}
            ended = await runner.run(Script("bench", ASK), policy=policy, inputs=inputs)
            if ended.state is not RunState.DONE:
                raise SystemExit(f"the benchmark's script ended as {ended.state}: {ended.error}")
            through, direct = p50(ended.result["through"]) * 1000, p50(ended.result["direct"]) * 1000
            found.append(
                Figure(
                    f"gateway, added to a request, p50, {where}", through - direct, "ms", "<= 1",
                    f"direct {direct:.2f} ms; one fdatasync {sync_ms:.2f} ms, durable before it leaves",
                )
            )  # fmt: skip
    return found


@contextmanager
def _shelf() -> Iterator[int]:
    """A resource server in a process of its own."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    program = [sys.executable, "-m", "uvicorn", "benchmarks.shelf:app", "--port", str(port), "--log-level", "critical"]
    server = subprocess.Popen(program, cwd=HERE.parent)
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait()
