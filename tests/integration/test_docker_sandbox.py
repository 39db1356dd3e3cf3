"""Guests in real containers: what holds them, how they end, and that nothing is left of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from runner.errors import GuestDied, LockNotVerified, SandboxUnavailable
from runner.guest.wire import FrameReader, Ready, decode_guest
from runner.policy.model import SandboxRule
from runner.sandbox import docker_channel
from runner.sandbox.bundle import bundle_digest
from runner.sandbox.docker import DockerSandbox
from runner.sandbox.docker_channel import diagnosis_of, exit_of
from runner.sandbox.engine_api import Engine, find_socket
from runner.sandbox.profile import profile
from runner.sandbox.reaper import reap
from runner.seams import Exit
from tests.integration.docker_guests import LIMITS, LOCKED, cut_off, guest, inspected, program, said, until

pytestmark = pytest.mark.docker


async def test_the_guest_of_the_image_says_ready_and_its_lock_is_seen_from_outside():
    async with guest() as channel:
        payload = next(iter(FrameReader(1_000).feed(await channel.receive())))
        ready = decode_guest(payload)
        await channel.verify_lock()

    assert isinstance(ready, Ready)
    assert ready.bundle == channel.facts.bundle == bundle_digest()
    assert "seccomp-lock" in channel.facts.hardening
    assert channel.facts.missing == ()


async def test_a_guest_that_skips_its_lock_is_refused_and_killed():
    async with guest("import os\nos.write(1, b'ready')\nos.read(0, 1)") as channel:
        await said(channel, b"ready")

        with pytest.raises(LockNotVerified, match="guest is not locked: it has 1 seccomp filters, expected 2"):
            await channel.verify_lock()
        assert await channel.wait() == Exit(-9, "killed")


BEFORE_THE_LOCK = {
    "another process": ("os.fork()", b"PermissionError"),
    "another thread": ("import _thread; _thread.start_new_thread(print, ())", b"RuntimeError"),
    "a socket": ("import ctypes; s = ctypes.CDLL(None).socket; assert s(2, 1, 0) != -1", b"AssertionError"),
    "a file": ("open('/guest/x', 'w')", b"OSError"),
    "a shared segment": ("open('/dev/shm/x', 'w')", b"FileNotFoundError"),
    "a shell": ("os.execv('/bin/sh', ['sh'])", b"FileNotFoundError"),
    "another user": ("os.setuid(0)", b"PermissionError"),
}


@pytest.mark.parametrize("wanted", BEFORE_THE_LOCK)
async def test_even_without_its_lock_a_guest_gets_no(wanted):
    text, error = BEFORE_THE_LOCK[wanted]
    caught = f"import os\ntry:\n  {text}\nexcept Exception as e: os.write(1, type(e).__name__.encode())"
    async with guest(caught) as channel:
        assert await said(channel) == error


async def test_where_proc_does_not_show_the_guest_it_is_refused_unless_the_policy_says_otherwise():
    hidden = SandboxRule(runtime="runc")
    async with guest(rule=hidden) as channel:
        await channel.receive()
        with pytest.raises(LockNotVerified, match=r"this machine's /proc does not show"):
            await channel.verify_lock()

    async with guest(rule=SandboxRule(runtime="runc", unsafe_unverified_lock=True)) as channel:
        await channel.receive()
        await channel.verify_lock()

    assert "seccomp-lock" not in channel.facts.hardening
    assert channel.facts.missing == ("a lock that can be seen from outside",)


async def test_a_guest_whose_process_is_not_shown_still_meets_its_cpu_limit():
    rule = SandboxRule(runtime="runc", unsafe_unverified_lock=True)
    async with guest("import os\nos.write(1, b'ready')\nwhile True: pass", rule=rule) as channel:
        await said(channel, b"ready")
        channel.limit_cpu(0.2)
        await said(channel)

        assert await channel.wait() == Exit(-9, "cpu")
        assert channel.cpu_seconds() >= 0.2


ENDINGS = {
    "leaves": ("import os; os._exit(0)", Exit(0, "exit")),
    "fails": ("import os, sys; os.write(2, b'wrong\\x1b[31m\\n'); os._exit(3)", Exit(3, "exit", "wrong\ufffd[31m\n")),
    "breaks its lock": (LOCKED + "os.getppid()", Exit(-31, "lock")),
    "eats memory": ("b = [b'x' * 2**20 for _ in range(4096)]", Exit(-9, "memory")),
}


@pytest.mark.parametrize("how", ENDINGS)
async def test_how_a_guest_ended_is_told_apart(how):
    text, expected = ENDINGS[how]
    async with guest(text) as channel:
        await said(channel)

        assert await channel.wait() == expected


@pytest.mark.parametrize("rule", [SandboxRule(), SandboxRule(runtime="runc", unsafe_unverified_lock=True)])
async def test_sending_to_a_dead_guest_says_that_it_is_gone(rule):
    async with guest("pass", rule=rule) as channel:
        await channel.wait()

        with pytest.raises(GuestDied, match="the guest is gone"):
            await channel.send(bytes(1 << 24))


async def test_a_busy_guest_is_killed_when_its_cpu_time_is_used_up():
    async with guest(LOCKED + "while True: pass") as channel:
        await said(channel, b"locked")
        channel.limit_cpu(0.2)
        await said(channel)

        assert await channel.wait() == Exit(-9, "cpu")
        assert 0.2 <= channel.cpu_seconds() < 0.6


async def test_cpu_time_from_before_the_limit_does_not_count():
    burnt = LOCKED.replace("engage()", "sum(range(20_000_000))\nengage()", 1)
    async with guest(burnt + "os.read(0, 1)") as channel:
        await said(channel, b"locked")
        channel.limit_cpu(10)

        assert channel.cpu_seconds() < 0.1


async def test_a_guest_killed_by_somebody_else_is_told_as_killed():
    async with guest(LOCKED + "os.read(0, 1)") as channel:
        await said(channel, b"locked")
        os.kill(channel.facts.pid, signal.SIGKILL)

        assert await said(channel) == b""
        assert await channel.wait() == Exit(-9, "killed")


async def test_kill_is_safe_at_any_time_and_leaves_no_container():
    async with guest(LOCKED + "os.read(0, 1)") as channel:
        await said(channel, b"locked")
        await asyncio.gather(channel.kill(), channel.kill())
        await channel.kill()

        assert await channel.wait() == Exit(-9, "killed")
        await until(lambda: _is_gone(channel.facts.container))


async def test_close_kills_guests_that_are_left_and_removes_their_containers():
    sandbox = DockerSandbox(store="tests", host="tests", command=program("import os; os.read(0, 1)"))
    channels = [await sandbox.start(LIMITS) for _ in range(2)]
    await sandbox.close()

    assert [await inspected(channel.facts.container) for channel in channels] == [None, None]


async def test_close_ends_a_guest_whose_end_somebody_waits_for():
    rule = SandboxRule(runtime="runc", unsafe_unverified_lock=True)
    sandbox = DockerSandbox(store="tests", host="tests", rule=rule, command=program("import os; os.read(0, 1)"))
    channel = await sandbox.start(LIMITS)
    waiting = asyncio.ensure_future(channel.wait())
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await sandbox.close()

    assert await waiting == Exit(-9, "killed")


async def test_a_guest_whose_host_is_gone_hears_the_end_of_its_input():
    async with guest(LOCKED + "os.write(1, b'end' if os.read(0, 1) == b'' else b'more')\nos._exit(0)") as channel:
        await said(channel, b"locked")
        channel._stream.writer.close()  # as the kernel does for a killed host

        assert (await channel.wait()).code == 0


async def test_a_guest_whose_engine_dies_is_killed_and_told_as_killed(monkeypatch, tmp_path):
    monkeypatch.setattr(docker_channel, "END_SECONDS", 0.2)
    async with cut_off(find_socket(), tmp_path / "docker.sock") as cut:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
        async with guest(LOCKED + "while True: pass", store="tests-cut") as channel:
            await said(channel, b"locked")
            process = channel._process
            cut()

            assert await said(channel) == b""
            assert await channel.wait() == Exit(-9, "killed")
            assert process is not None and not process.alive
    monkeypatch.delenv("DOCKER_HOST")
    assert await reap(store="tests-cut", alive=lambda host: False) == [channel.facts.container]


async def test_bytes_pass_both_ways_whole_and_stderr_never_mixes_with_them():
    echo = "import os\nwhile d := os.read(0, 65536):\n  os.write(2, b'noise')\n  while d: d = d[os.write(1, d):]"
    sent = os.urandom(1 << 20)
    async with guest(echo) as channel:
        sending = asyncio.ensure_future(channel.send(sent))
        heard = b""
        async with asyncio.timeout(60):
            while len(heard) < len(sent):
                piece = await channel.receive()
                assert 0 < len(piece) <= 256 * 1024
                heard += piece
        await sending

    assert heard == sent


async def test_what_is_kept_of_stderr_is_its_bounded_end():
    async with guest("import os\nfor n in range(2000): os.write(2, b'%07d\\n' % n)\nos._exit(1)") as channel:
        await said(channel)
        diagnosis = (await channel.wait()).diagnosis

    assert len(diagnosis) == 4096
    assert diagnosis.endswith("0001998\n0001999\n")


async def test_an_image_that_is_not_there_is_an_error_with_its_fix():
    sandbox = DockerSandbox(store="tests", host="tests", image="sha256:" + "0" * 64)
    try:
        with pytest.raises(SandboxUnavailable, match="docker has no image") as caught:
            await sandbox.start(LIMITS)
    finally:
        await sandbox.close()

    assert caught.value.hint == "`runner image build` makes it again, with the version of runner and Python that made it"


async def test_an_unknown_runtime_is_an_error_with_its_fix_and_leaves_no_container():
    sandbox = DockerSandbox(store="unknown-runtime", host="tests", rule=SandboxRule(runtime="nonesuch"))
    try:
        with pytest.raises(SandboxUnavailable) as caught:
            await sandbox.start(LIMITS)
    finally:
        await sandbox.close()

    assert caught.value.hint == "install that OCI runtime, or leave `runtime` out of the policy's sandbox"
    assert await _containers("unknown-runtime") == []


def test_exit_statuses_are_read_as_docker_writes_them():
    assert exit_of(159, out_of_memory=False, killed_for="") == Exit(-31, "lock")
    assert exit_of(152, out_of_memory=False, killed_for="") == Exit(-24, "cpu")
    assert exit_of(137, out_of_memory=True, killed_for="") == Exit(-9, "memory")
    assert exit_of(137, out_of_memory=False, killed_for="") == Exit(-9, "killed")
    assert exit_of(137, out_of_memory=False, killed_for="cpu") == Exit(-9, "cpu")
    assert exit_of(81, out_of_memory=False, killed_for="") == Exit(81, "memory")
    assert exit_of(0, out_of_memory=False, killed_for="") == Exit(0, "exit")


def test_control_characters_of_a_guest_do_not_reach_a_journal():
    assert diagnosis_of(b"a\x1b]0;title\x07\xff\nb") == "a\ufffd]0;title\ufffd\ufffd\nb"


def test_the_profile_to_run_by_hand_is_the_one_that_runs():
    written = json.loads((Path(__file__).parents[2] / "sandbox_images" / "seccomp.json").read_text())

    assert written == profile()


async def _is_gone(container: str) -> bool:
    return await inspected(container) is None


async def _containers(store: str) -> list[str]:
    engine = await Engine.find()
    try:
        filters = json.dumps({"label": [f"runner.store={store}"]})
        answer = await engine.call("GET", "/containers/json", query={"all": "1", "filters": filters})
        return [found["Id"] for found in answer.json()]
    finally:
        engine.close()
