"""Finding an engine and talking to it: none, one that refuses, one that breaks off, one that answers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runner.errors import ExitCode, SandboxUnavailable
from runner.models import Limits
from runner.sandbox import engine_api
from runner.sandbox.docker import DockerSandbox
from runner.sandbox.engine_api import Engine, EngineRefused, NoEngine, find_socket
from runner.sandbox.reaper import reap
from tests.integration.docker_guests import guest, inspected, said


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a machine where nothing listens and nothing is installed."""
    monkeypatch.setattr(engine_api, "SYSTEM_SOCKET", tmp_path / "docker.sock")
    monkeypatch.setattr(engine_api, "_daemon_path", lambda environ: environ["PATH"])
    return {"PATH": str(tmp_path / "bin"), "XDG_RUNTIME_DIR": str(tmp_path / "own")}


@asynccontextmanager
async def answering(path: Path, *answers: bytes) -> AsyncIterator[list[bytes]]:
    """Listen as an engine that gives these answers, one for each request, and then hangs up."""
    asked: list[bytes] = []
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while left:
            try:
                asked.append(await reader.readuntil(b"\r\n\r\n"))
            except asyncio.IncompleteReadError:
                break
            writer.write(left.pop(0))
            await writer.drain()
        writer.close()

    path.parent.mkdir(exist_ok=True)
    async with await asyncio.start_unix_server(serve, str(path)):
        yield asked


def test_no_socket_and_no_daemon_is_no_engine(bare):
    with pytest.raises(NoEngine) as caught:
        find_socket(bare)

    assert caught.value.message == "no docker engine on this machine"
    assert caught.value.exit_code is ExitCode.SANDBOX


def test_a_client_alone_is_no_engine(bare, tmp_path):
    _install(tmp_path / "bin" / "docker")

    with pytest.raises(NoEngine):
        find_socket(bare)


def test_a_daemon_that_does_not_run_is_an_engine_that_refuses(bare, tmp_path):
    _install(tmp_path / "bin" / "dockerd")

    with pytest.raises(SandboxUnavailable, match="its engine does not run") as caught:
        find_socket(bare)

    assert not isinstance(caught.value, NoEngine)
    assert caught.value.hint.startswith("start it: sudo ")


def test_a_users_own_engine_is_found(bare, tmp_path):
    own = tmp_path / "own" / "docker.sock"
    own.parent.mkdir()
    own.touch()

    assert find_socket(bare) == own


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("unix:///nowhere/docker.sock", 'DOCKER_HOST names "/nowhere/docker.sock", where nothing is'),
        ("tcp://10.0.0.1:2375", 'DOCKER_HOST is "tcp://10.0.0.1:2375": only an engine on this machine can be watched'),
        ("ssh://box", 'DOCKER_HOST is "ssh://box": only an engine on this machine can be watched'),
    ],
)
async def test_an_engine_that_is_named_and_not_there_refuses(bare, named, message):
    with pytest.raises(SandboxUnavailable) as caught:
        await Engine.find({**bare, "DOCKER_HOST": named})

    assert caught.value.message.startswith(message)
    assert not isinstance(caught.value, NoEngine)
    assert "unset DOCKER_HOST" in caught.value.hint


async def test_a_sandbox_without_its_engine_says_so_before_anything_starts(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    sandbox = DockerSandbox(store="tests", host="tests")

    with pytest.raises(SandboxUnavailable, match="where nothing is"):
        await sandbox.start(Limits())
    await sandbox.close()


async def test_a_socket_that_nobody_listens_on_is_an_engine_that_refuses(bare, tmp_path):
    stale = tmp_path / "docker.sock"
    async with answering(stale):
        pass
    if not stale.exists():
        stale.touch()

    with pytest.raises(SandboxUnavailable, match="does not answer") as caught:
        await Engine.find(bare)

    assert not isinstance(caught.value, NoEngine)


async def test_an_engine_that_this_user_may_not_use_names_the_fix(bare, tmp_path):
    async with answering(tmp_path / "docker.sock", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"):
        (tmp_path / "docker.sock").chmod(0o000)
        tmp_path.chmod(0o755)
        with _unprivileged(), pytest.raises(SandboxUnavailable) as caught:
            await Engine.find(bare)

    assert caught.value.message.startswith("this user may not use the docker engine at")
    assert "usermod -aG docker" in caught.value.hint


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "the docker engine hung up"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "the docker engine hung up"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "the docker engine hung up"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "the docker engine hung up"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "the docker engine hung up"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 18\r\n\r\n" + b'{"message":"full"}', "docker engine answered 500: full"),
    ],
)
async def test_an_engine_that_speaks_badly_refuses(bare, tmp_path, answer, message):
    async with answering(tmp_path / "docker.sock", answer):
        with pytest.raises(SandboxUnavailable) as caught:
            await Engine.find(bare)

    assert caught.value.message == message


PING = b"HTTP/1.1 200 OK\r\nApi-Version: %s\r\nContent-Length: 0\r\n\r\n"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(("speaks", "asked_for"), [(b"1.41", b"1.41"), (b"1.43", b"1.43"), (b"1.52", b"1.44")])
async def test_an_engine_is_asked_in_a_version_that_both_speak(bare, tmp_path, speaks, asked_for):
    async with answering(tmp_path / "docker.sock", PING % speaks, EMPTY) as asked:
        engine = await Engine.find(bare)
        await engine.call("GET", "/version")
        engine.close()

    assert asked[1].startswith(b"GET /v" + asked_for + b"/version HTTP/1.1\r\n")


@pytest.mark.parametrize("speaks", [b"1.40", b"", b"new"])
async def test_an_engine_that_is_too_old_refuses(bare, tmp_path, speaks):
    async with answering(tmp_path / "docker.sock", PING % speaks):
        with pytest.raises(SandboxUnavailable, match=r"1\.41 or later is needed"):
            await Engine.find(bare)


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced(bare, tmp_path):
    async with answering(tmp_path / "docker.sock", PING % b"1.41", EMPTY, EMPTY) as asked:
        engine = await Engine.find(bare)
        await engine.call("GET", "/version")
        engine._idle[0].writer.transport.abort()
        await asyncio.sleep(0)
        found = await engine.call("GET", "/version")
        engine.close()

    assert found.json() == {}
    assert [head.split(b" ")[1] for head in asked] == [b"/_ping", b"/v1.41/version", b"/v1.41/version"]


async def test_a_chunked_answer_is_read_whole(bare, tmp_path):
    chunked = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n3;x=y\r\n 1}\r\n0\r\n\r\n'
    async with answering(tmp_path / "docker.sock", PING % b"1.41", chunked):
        engine = await Engine.find(bare)
        answer = await engine.call("GET", "/info")
        engine.close()

    assert answer.json() == {"a": 1}


@pytest.mark.docker
async def test_a_refusal_of_the_real_engine_carries_its_words():
    engine = await Engine.find()
    try:
        with pytest.raises(EngineRefused) as caught:
            await engine.call("GET", "/containers/nonesuch/json")
    finally:
        engine.close()

    assert caught.value.status == 404
    assert caught.value.message == "docker engine answered 404: No such container: nonesuch"


@pytest.mark.docker
async def test_only_containers_of_dead_hosts_of_this_store_are_reaped():
    async with (
        guest(store="mine", host="dead") as dead,
        guest(store="mine", host="living") as living,
        guest(store="another", host="dead") as anothers,
    ):
        await said(dead, b"}")
        reaped = await reap(store="mine", alive=lambda host: host == "living")

        assert reaped == [dead.facts.container]
        assert await inspected(dead.facts.container) is None
        assert await inspected(living.facts.container) is not None
        assert await inspected(anothers.facts.container) is not None


@pytest.mark.docker
async def test_containers_of_another_boot_are_reaped_whoever_their_host_was(monkeypatch):
    from runner.sandbox import reaper

    async with guest(store="rebooted", host="living") as channel:
        monkeypatch.setattr(reaper, "boot_id", lambda: "another boot")

        assert await reap(store="rebooted", alive=lambda host: True) == [channel.facts.container]


async def test_without_an_engine_there_is_nothing_to_reap(bare, monkeypatch):
    monkeypatch.setattr(engine_api.os, "environ", bare)

    assert await reap(store="mine", alive=lambda host: False) == []


def _install(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


class _unprivileged:
    """As nobody while inside, where this is root; nothing where it is not."""

    def __enter__(self) -> None:
        if os.getuid() == 0:
            os.seteuid(65534)

    def __exit__(self, *_: object) -> None:
        if os.getuid() == 0:
            os.seteuid(0)
