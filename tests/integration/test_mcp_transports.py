"""`runner mcp` over its two transports: a process of its own on the standard streams, and a socket of this machine."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from runner import Runner
from runner.agents import extras
from runner.cli import call
from runner.cli.mcp import policies_of
from runner.errors import UsageError
from runner.events import EventKind
from runner.mcp_server import http as door_over_http
from runner.mcp_server.http import DEFAULT_PORT, Door
from runner.mcp_server.live import Live
from runner.mcp_server.server import make_server
from runner.mcp_server.stdio import Lines
from runner.models import RunState
from tests.runs import mcp_home

ROOT = Path(__file__).parents[2]
KEY = "canary-bearer-8c1f"
SLOW = "result = spawn('slow', {}).result()['said']"
PRINTS = "result = spawn('sync_echo', {'say': inputs['word']}).result()['said']"
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPTS = {"accept": "application/json, text/event-stream"}


@pytest.fixture
def home(own_home: Path) -> Path:
    return mcp_home(own_home, {"plain": ["sync_echo", "slow"]})


# --- the standard streams -----------------------------------------------------------------------


async def test_over_stdio_an_agents_print_breaks_nothing_and_the_end_of_stdin_stops_what_runs(home, tmp_path):
    env = {"RUNNER_HOME": str(home), "PYTHONPATH": str(ROOT)}
    arguments = ["-m", "runner", "mcp", "--sandbox", "process", "--policy", "plain"]
    server = StdioServerParameters(command=sys.executable, args=arguments, env=env, cwd=tmp_path)
    async with Client(server) as client:
        done = await client.call_tool("run_script", {"script": PRINTS, "policy": "plain", "inputs": {"word": "hi"}})
        began = await client.call_tool("run_script", {"script": SLOW, "policy": "plain", "wait_seconds": 0})
    view = Runner().view(began.structured_content["run"])

    assert (done.structured_content["state"], done.structured_content["result"]) == ("done", "hi")
    assert (view.state, view.stop_by) == (RunState.STOPPED, "the end of the mcp server")


def test_a_signal_ends_a_server_whose_client_says_nothing(home):
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stderr is not None
    first = process.stderr.readline()
    # What it says of its policies comes before it heeds signals: an answer comes after.
    _ask(process)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=60)

    assert (process.returncode, first, out, errors) == (130, "policy plain: usable\n", "", "stopped\n")


def _ask(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None and process.stdout is not None
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}) + "\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    assert answer["result"]["serverInfo"]["name"] == "runner"


async def test_a_line_without_end_takes_no_memory_and_the_next_one_is_read(tmp_path):
    (tmp_path / "lines").write_bytes(b"1234567\n" + b"x" * 100_000 + b"\n" + "ü\n".encode() + b"\xff")
    with (tmp_path / "lines").open("rb") as file:
        lines = [line async for line in Lines(file.fileno(), limit=10)]

    assert lines == ["1234567\n", "a line of more than 16 MiB\n", "ü\n", "\ufffd"]


# --- HTTP ---------------------------------------------------------------------------------------


@asynccontextmanager
async def served(door: Door) -> AsyncIterator[tuple[Runner, str]]:
    """Serve the home of the test at a door; yields its URL."""
    url = door.lines()[0].removeprefix("listening on ")
    async with Runner(sandbox="process") as runner, Live(runner) as live:
        serving = asyncio.ensure_future(door.serve(make_server(runner, live, runner.named_policies())))
        try:
            yield runner, url
        finally:
            await live.end()
            door.leave()
            await serving


def http(**headers: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_over_http_a_script_runs_and_a_call_that_is_given_up_stops_its_run(home, monkeypatch, mode, capfd):
    monkeypatch.setenv("MCP_KEY", KEY)
    async with served(Door("127.0.0.1", 0, key="env:MCP_KEY")) as (runner, url):
        async with http(authorization=f"Bearer {KEY}") as shown, Client(
            streamable_http_client(url, http_client=shown), mode=mode
        ) as client:
            done = await client.call_tool("run_script", {"script": PRINTS, "policy": "plain", "inputs": {"word": "hi"}})
            calling = asyncio.ensure_future(client.call_tool("run_script", {"script": SLOW, "policy": "plain"}))
            run = await _attempted(runner)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            async with asyncio.timeout(30):
                while not runner.view(run).ended:
                    await asyncio.sleep(0.01)
        view = runner.view(run)
    written = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())

    assert (done.structured_content["state"], done.structured_content["result"]) == ("done", "hi")
    assert (view.state, view.stop_by, view.counts()) == (RunState.STOPPED, "mcp client mcp", {"cancelled": 1})
    # The key is nowhere: not in the record, and not in what was said.
    assert KEY.encode() not in written and KEY not in "".join(capfd.readouterr())


async def _attempted(runner: Runner) -> str:
    """Return the run in which an attempt of "slow" has begun."""
    async with asyncio.timeout(30):
        while True:
            for row in runner.runs():
                if any(event.kind is EventKind.ATTEMPT_STARTED and event.body["agent"] == "slow" for event in runner.events(row.run)):
                    return row.run
            await asyncio.sleep(0.01)


async def test_a_client_that_hangs_up_in_the_middle_of_an_answer_stops_its_run(home):
    """Not by a word of the protocol: the connection is gone."""
    async with served(Door("127.0.0.1", 0)) as (runner, url):
        async with http() as client:
            calling = asyncio.ensure_future(client.post(url, json=_modern_call(), headers={**ACCEPTS, **_MODERN}))
            run = await _attempted(runner)
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)
        async with asyncio.timeout(30):
            while not runner.view(run).ended:
                await asyncio.sleep(0.01)

        assert runner.view(run).state is RunState.STOPPED


_VERSION = "2026-07-28"
_MODERN = {"mcp-protocol-version": _VERSION, "mcp-method": "tools/call", "mcp-name": "run_script"}


def _modern_call() -> dict[str, Any]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": _VERSION, "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
    }  # fmt: skip
    params = {"name": "run_script", "arguments": {"script": SLOW, "policy": "plain"}, "_meta": meta}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


async def test_who_shows_no_key_or_comes_by_another_name_is_refused(home, monkeypatch):
    monkeypatch.setenv("MCP_KEY", KEY)
    good = {"authorization": f"Bearer {KEY}", **ACCEPTS}
    async with served(Door("127.0.0.1", 0, key="env:MCP_KEY")) as (_, url):
        async with http() as client:
            said = {
                name: (await client.post(url, json=PING, headers=headers)).status_code
                for name, headers in {
                    "no key": ACCEPTS,
                    "another key": {**good, "authorization": f"Bearer {KEY}x"},
                    "another scheme": {**good, "authorization": f"Basic {KEY}"},
                    "another host": {**good, "host": "evil.example"},
                    "rebound": {**good, "host": "127.0.0.1.evil.example:80"},
                    "a page": {**good, "origin": "http://evil.example"},
                    "a page at home": {**good, "origin": "http://localhost:3000"},
                }.items()
            }
            asked = await client.get(url, headers=ACCEPTS)
        with pytest.raises((MCPError, ExceptionGroup)):
            async with http() as client, Client(streamable_http_client(url, http_client=client)):
                pass

    assert said == {
        "no key": 401, "another key": 401, "another scheme": 401, "another host": 421, "rebound": 421, "a page": 403,
        "a page at home": said["a page at home"],
    }  # fmt: skip
    assert said["a page at home"] not in (401, 403, 421)
    assert (asked.status_code, asked.headers["www-authenticate"]) == (401, "Bearer")


class HoldsAnswers:
    """Answers every request once it may: what a server is to a door."""

    def __init__(self) -> None:
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    def streamable_http_app(self, **more: Any) -> Any:
        return self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (kind := (await receive())["type"]) != "lifespan.shutdown":
                await send({"type": f"{kind}.complete"})
            await send({"type": f"{kind}.complete"})
            return
        self.asked.set()
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


async def test_a_connection_without_a_whole_head_is_closed_and_one_that_is_answered_is_not(monkeypatch):
    monkeypatch.setattr(door_over_http, "HEAD_SECONDS", 0.5)
    door, server = Door("127.0.0.1", 0), HoldsAnswers()
    port = int(door.lines()[0].rpartition(":")[2].partition("/")[0])
    head = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
    serving = asyncio.ensure_future(door.serve(server))  # type: ignore[arg-type]
    try:
        async with asyncio.timeout(60):
            reads, writes = await asyncio.open_connection("127.0.0.1", port)
            writes.write(head + b"\r\n")
            await server.asked.wait()
            silent, _kept = await asyncio.open_connection("127.0.0.1", port)
            half, begins = await asyncio.open_connection("127.0.0.1", port)
            begins.write(head)
            closed = [await silent.read(), await half.read()]
            server.may_answer.set()
            # It is answered without the rest of its body, and not waited for afterwards, whatever trickles in.
            answer = (await reads.readuntil(b"ok")).split(b"\r\n")[0]
            writes.write(b"1")
            after = await reads.read()
    finally:
        door.leave()
        await serving

    assert (closed, answer, after) == ([b"", b""], b"HTTP/1.1 200 OK", b"")


def test_other_machines_are_let_in_only_with_a_key_and_under_a_name(monkeypatch):
    monkeypatch.setenv("MCP_KEY", KEY)
    with pytest.raises(UsageError) as keyless:
        Door("0.0.0.0", 0)
    with pytest.raises(UsageError) as nameless:
        Door("0.0.0.0", 0, key="env:MCP_KEY")
    named = Door("0.0.0.0", 0, key="env:MCP_KEY", allowed_hosts=["runner.example"]).lines()
    open_to_all = Door("0.0.0.0", 0, allowed_hosts=["runner.example"], unsafe_no_key=True).lines()

    assert keyless.value.message == '"0.0.0.0" can be reached from other machines, and whoever reaches it could run scripts here'
    assert nameless.value.message == '"0.0.0.0" is every address of this machine, and no name of it'
    assert named[1:] == ["warning: it is reached unencrypted from other machines: let a proxy with TLS stand before it"]
    assert open_to_all[1] == "warning: --unsafe-no-key: whoever reaches this port can run scripts here"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (KEY, "--key is no reference"),
        ("env:", '--key is to be "env:" and the name of an environment variable'),
        ("env:MCP_KEY_UNSET", "env:MCP_KEY_UNSET is not set"),
        ("env:MCP_KEY_BAD", "env:MCP_KEY_BAD is no bearer key: printable ASCII without a space"),
    ],
)
def test_a_key_is_a_reference_and_no_error_shows_it(monkeypatch, key, message):
    monkeypatch.setenv("MCP_KEY_BAD", f"two {KEY}")
    with pytest.raises(UsageError) as refused:
        Door("127.0.0.1", 0, key=key)

    assert refused.value.message == message and KEY not in f"{refused.value.message}{refused.value.hint}"


def test_a_port_that_is_taken_is_one_clear_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f'cannot listen on "127.0.0.1" port {port}'):
            Door("127.0.0.1", port)


# --- the verb -----------------------------------------------------------------------------------


def test_the_verb_says_what_to_do_where_no_policy_may_be_named(own_home, capfd):
    code = call(["mcp", "--transport", "http", "--port", "0"])
    said = capfd.readouterr()

    assert (code, said.out) == (2, "")
    assert said.err.splitlines()[-2:] == [
        "usage: trust.yaml lets MCP use no policy",
        f"hint: whoever owns this host writes into {own_home}/trust.yaml (mode 0600): `version: 1` and "
        "`policies: {mcp: {NAME: /absolute/path/of/policy.yaml}}`",
    ]


def test_the_verb_says_of_each_policy_what_ails_it(home, capfd):
    (home / "other.yaml").write_text((home / "plain.yaml").read_text())
    code = call(["mcp", "--transport", "http", "--port", "0", "--policy", f"other={home}/other.yaml"])
    said = capfd.readouterr().err.splitlines()

    assert (code, said[-4:]) == (
        2,
        ['policy other: cannot be used: policy "other" is none that trust.yaml lets MCP use',
         f"hint: whoever owns this host writes into {home}/trust.yaml (mode 0600): `version: 1` and "
         f"`policies: {{mcp: {{other: {home}/other.yaml}}}}`",
         "usage: none of these policies can be used over MCP", "hint: mend one: what ails it stands above"],
    )  # fmt: skip


def test_without_the_library_the_verb_says_which_extra_to_install(monkeypatch, capfd):
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(extras.metadata, "version", missing)
    code = call(["mcp"])

    assert (code, capfd.readouterr().err) == (
        2, 'error: runner mcp needs mcp, which is not installed\nhint: install it: pip install "spawn-runner[mcp]"\n'
    )  # fmt: skip


def test_a_policy_is_given_as_a_name_and_its_file():
    assert policies_of(["a=x.yaml", "b"]) == {"a": "x.yaml", "b": ""}
    for wrong, message in ((["a="], "names no file"), (["a", "a=x"], "is given a second time")):
        with pytest.raises(UsageError, match=message):
            policies_of(wrong)


def test_the_port_of_the_help_text_is_the_port():
    from runner.cli import mcp

    assert mcp.DEFAULT_PORT == DEFAULT_PORT
