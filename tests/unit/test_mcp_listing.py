"""A server that is asked for its tools may send anything: it is bounded, killed whole, and runs as its backend runs it."""

from __future__ import annotations

import asyncio
import gzip
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.agents import Setting
from runner.agents.mcp_listing import NotTold, listed_by
from runner.models import MIB
from runner.policy.model import AgentEntry
from tests.mcp_servers import serving
from tests.resource_server import ResourceServer, Said
from tests.unit.agents_by_hand import all_gone, open_folder, written

ENDLESS = '''
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked["method"] == "initialize":
        told = {"protocolVersion": asked["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}
    elif asked["method"] == "tools/list":
        number = int((asked.get("params") or {}).get("cursor") or 0)
        told = {"tools": [{"name": str(number), "inputSchema": {"type": "object"}}], "nextCursor": str(number + 1)}
    elif "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "unknown"}}), flush=True)
        continue
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": told}), flush=True)
'''


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    # Open to the uid under which a program runs.
    with open_folder() as folder:
        yield folder


@pytest.fixture
def service() -> Iterator[ResourceServer]:
    with ResourceServer() as found:
        yield found


async def told_by(folder: Path, seconds: float = 20.0, **options: Any) -> Any:
    entry = AgentEntry("small", "", "mcp", options, None, None)
    return await listed_by(entry, Setting(folder), seconds=seconds)


async def test_a_server_that_does_not_tell_is_named_in_words_of_ours(tmp_path, capfd):
    with serving(key="right") as url, pytest.raises(NotTold, match=r"it answered with status 401: it does not accept its credential"):
        await told_by(tmp_path, url=url, headers={"authorization": "Bearer canary-key-5f2c9d"})
    for options, why in (
        ({"url": "http://127.0.0.1:9/mcp"}, "it could not be reached"),
        ({"command": ["./gone"]}, "gone is not there, or cannot be executed"),
        ({"command": ["true"]}, "it exited with status 0"),
        ({"command": ["sh", "-c", "echo canary-key-5f2c9d; exec cat"]}, "it returned what its protocol does not know"),
    ):
        with pytest.raises(NotTold, match=why):
            await told_by(tmp_path, **options)

    assert "canary-key-5f2c9d" not in "".join(capfd.readouterr())


async def test_a_server_is_killed_with_what_it_forked_when_nobody_asks_any_more(tmp_path):
    pids = tmp_path / "pids"
    program = f"trap '' TERM; sleep 600 & echo $$ $! > {pids}; wait; wait"
    asked = asyncio.ensure_future(told_by(tmp_path, command=["sh", "-c", program]))
    started = [int(pid) for pid in (await written(pids)).split()]
    asked.cancel()
    await asyncio.wait([asked])

    assert asked.cancelled() and len(started) == 2
    assert await all_gone(started)


async def test_a_silent_server_is_not_waited_for(tmp_path):
    with pytest.raises(NotTold, match=r"it told no tools within 0.1 s"):
        await told_by(tmp_path, seconds=0.1, command=["sleep", "600"])


async def test_an_answer_that_is_small_only_while_it_is_compressed_is_not_unpacked(tmp_path, service):
    # 16 MiB, as some 70 KB.
    bomb = gzip.compress(b'{"jsonrpc": "2.0", "id": 1, "result": {"a": "' + b" " * (16 * MIB) + b'"}}', 1)
    service.answer = lambda got: Said(200, bomb, {"Content-Type": "application/json", "Content-Encoding": "gzip"})

    with pytest.raises(NotTold, match=r"it returned more than 2097152 bytes"):
        await told_by(tmp_path, url=f"{service.url}/mcp")


async def test_a_line_without_an_end_is_read_to_the_bound_only(tmp_path):
    with pytest.raises(NotTold, match=r"it returned more than 2097152 bytes"):
        await told_by(tmp_path, command=["sh", "-c", "tr '\\0' a < /dev/zero"])


async def test_tools_without_an_end_are_not_listed(tmp_path):
    many = tmp_path / "many.py"
    many.write_text(ENDLESS)

    with pytest.raises(NotTold, match=r"it has more than 1,000 tools, or pages of them without end"):
        await told_by(tmp_path, command=[sys.executable, str(many)])


async def test_a_server_runs_as_its_backend_would_run_it(tmp_path, monkeypatch):
    # Not under the operator's uid where that is root, with nothing of the operator's environment, in no folder of theirs.
    monkeypatch.setenv("CANARY_KEY", "canary-key-5f2c9d")
    seen = tmp_path / "mark"
    with pytest.raises(NotTold):
        await told_by(tmp_path, command=["sh", "-c", f"{{ id -u; pwd; env; }} > {seen}"])

    uid, cwd, *env = seen.read_text().splitlines()
    assert (int(uid) == os.getuid()) is (os.getuid() != 0)
    assert cwd != str(tmp_path)
    assert "canary-key-5f2c9d" not in "".join(env)
    assert {line.partition("=")[0] for line in env} <= {"PATH", "HOME", "PWD", "OLDPWD", "SHLVL", "_"}
