"""Where a token's bytes must not be: frames to the guest, other processes, core dumps. Files, output and logs: token_watch."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from typing import Any

import pytest
import yaml

from runner.session import Session
from tests.integration.test_gateway import READ, asks, crm_policy
from tests.process_lists import Look
from tests.resource_server import ResourceServer
from tests.runs import TESTS, run_script


@pytest.fixture
def crm():
    with ResourceServer() as server:
        yield server


def bearer(got: Any) -> bytes:
    return got.headers["authorization"].removeprefix("Bearer ").encode()


async def test_no_frame_to_the_guest_has_a_token(own_home, crm, monkeypatch):
    frames: list[bytes] = []
    begun = Session.__init__

    def listening(self: Session, channel: Any, *args: Any, **options: Any) -> None:
        send = channel.send

        async def told(data: bytes) -> None:
            frames.append(bytes(data))
            await send(data)

        class Told:
            def __getattr__(self, name: str) -> Any:
                return told if name == "send" else getattr(channel, name)

        begun(self, Told(), *args, **options)

    monkeypatch.setattr(Session, "__init__", listening)
    inputs = {"agent": "fetch", "scopes": ["crm:read"], "spawns": [asks(n, ["GET", f"http://crm/customers/{n}"]) for n in range(3)]}
    await run_script(own_home, READ, policy=crm_policy(crm), inputs=inputs)
    whole = b"".join(frames)

    assert len(crm.received) == 3 and b"customers" in whole
    assert [got.path for got in crm.received if bearer(got) in whole] == []


@pytest.mark.parametrize("agent", ["fetch", "sync_fetch"])
async def test_no_command_line_and_no_environment_of_any_process_has_a_token(own_home, crm, agent):
    look = Look()
    crm.answer = look.during(crm.answer)
    inputs = {"agent": agent, "scopes": ["crm:read"], "spawns": [asks(1, ["GET", "http://crm/customers/1"])]}
    await run_script(own_home, READ, policy=crm_policy(crm), inputs=inputs)

    assert (len(crm.received), look.looks) == (1, 1)
    assert look.found == []


def test_whoever_looks_finds_what_is_in_a_command_line_or_an_environment():
    in_both = "canary-2c81-in-both", "canary-9d07-in-both"
    look, other = Look(*in_both), Look(in_both[1], files=("cmdline",))
    with subprocess.Popen([sys.executable, "-c", "input()", in_both[0]], env={**os.environ, "X": in_both[1]}, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        look.now()
        other.now()
        process.kill()

    assert (sorted(look.found), other.found) == ([f"/proc/{process.pid}/cmdline", f"/proc/{process.pid}/environ"], [])


def test_a_host_that_dies_with_tokens_out_leaves_no_core_dump(own_home, tmp_path):
    entry = {"description": "x", "python": "dies:now", "input": True, "output": True, "scopes": ["s"], "default_scopes": ["s"]}
    resources = {"r": {"url": "http://127.0.0.1:9", "scopes": {"s": "GET /"}}}
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({"version": 1, "sandbox": "process", "agents": {"a": entry}, "resources": resources}))
    (tmp_path / "s.py").write_text('result = spawn("a", {}).result()\n')
    (tmp_path / "dies.py").write_text(
        "import ctypes, json, os, resource, signal\n\n\n"
        "async def now(inputs, call):\n"
        "    facts = {'dumpable': ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), 'core': resource.getrlimit(resource.RLIMIT_CORE)[0]}\n"
        "    os.write(2, ('FACTS' + json.dumps(facts) + 'END').encode())\n"
        "    os.kill(os.getpid(), signal.SIGABRT)\n"
    )
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    done = subprocess.run(
        [sys.executable, "-m", "runner", "run", "s.py", "--policy", "p.yaml", "--sandbox", "process"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)}, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)),
    )  # fmt: skip
    facts = json.loads(done.stderr.split("FACTS")[1].split("END")[0])

    assert done.returncode == -signal.SIGABRT
    assert facts == {"dumpable": 0, "core": 0}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("core")] == []


def test_after_a_crash_tokens_are_inactive_and_their_use_is_unknown(own_home, crm, tmp_path):
    """`kill -9` of a host with embedded tokens out: introspection says no at once, and the audit does not guess."""
    import time

    from runner import Runner

    text = yaml.safe_dump(
        {
            "version": 1, "sandbox": "process",
            "resources": {"crm": {"url": crm.url, "scopes": {"crm:read": "GET /customers/**"}}},
            "agents": {"fetch": {"description": "x", "python": "tests.actors:fetch", "input": True, "output": True, "scopes": ["crm:read"], "timeout": "60s"}},
        }
    )  # fmt: skip
    (tmp_path / "p.yaml").write_text(text)
    (tmp_path / "s.py").write_text('gather([spawn("fetch", one, scopes=["crm:read"]) for one in inputs])\nresult = 1\n')
    asked = [{"requests": [["GET", "http://crm/customers/1"]], "then": "hang"}, {"requests": [], "then": "hang"}]
    host = subprocess.Popen(
        [sys.executable, "-m", "runner", "run", str(tmp_path / "s.py"), "--policy", str(tmp_path / "p.yaml"), "--inputs", json.dumps(asked), "--quiet", "--sandbox", "process"],
        cwd=TESTS.parent, env={**os.environ, "PYTHONPATH": str(TESTS.parent)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert crm.arrived.wait(60)
    runner = Runner(home=own_home)
    (run,) = runner.store.runs_with_tokens()
    live, until = [], time.monotonic() + 60
    while live != [True, True] and time.monotonic() < until:
        live = [runner.token_active(token) for token in runner.tokens(run).tokens]
    host.kill()
    host.wait()
    view = runner.tokens(run)

    assert live == [True, True]
    assert [runner.token_active(token) for token in view.tokens] == [False, False]
    assert [(token.used, token.state(time.time())) for token in view.tokens.values()] == [(True, "closed"), (None, "closed")]
    runner.store.close()
