"""Guests as locked processes: seen from outside, limited, dying with their host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from runner.errors import GuestDied, LockNotVerified, SandboxUnavailable
from runner.guest import dialect, lock, wire
from runner.models import MIB, Limits
from runner.sandbox import proc
from runner.sandbox.bundle import Bundle, bundle
from runner.sandbox.process import ProcessSandbox
from tests import bundles
from tests.support import converse, interpreters, ready, start_of

pytestmark = pytest.mark.own_nursery

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0
MINORS = [f"{major}.{minor}" for major, minor in lock.PYTHONS]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle(tmp_path_factory.mktemp("bundle"))


@pytest_asyncio.fixture
async def sandbox(files: Bundle) -> AsyncIterator[ProcessSandbox]:
    sandbox = ProcessSandbox(files=files)
    yield sandbox
    await sandbox.close()


@pytest_asyncio.fixture
async def sandbox_of(files: Bundle, tmp_path: Path) -> AsyncIterator[Callable[[str], ProcessSandbox]]:
    """A process sandbox whose guests begin with another `__main__.py`."""
    opened: list[ProcessSandbox] = []

    def sandbox_of(parts: str) -> ProcessSandbox:
        opened.append(ProcessSandbox(files=bundles.bundle_with_main(tmp_path / "bundle", parts, files)))
        return opened[-1]

    yield sandbox_of
    for sandbox in opened:
        await sandbox.close()


# --- the lock, seen from outside -------------------------------------------------------------


async def test_a_guest_that_is_ready_is_seen_to_be_locked(sandbox):
    channel = await sandbox.start(Limits())
    message, _ = await ready(channel)
    seen = proc.status(channel.facts.pid)

    assert seen is not None
    assert (seen.seccomp, seen.threads, seen.no_new_privileges, seen.capabilities) == (2, 1, True, False)
    assert message == wire.Ready(wire.PROTOCOL, channel.facts.bundle, channel.facts.python, dialect.VERSION)
    assert {"seccomp-lock", "rlimits"} <= set(channel.facts.hardening)


async def test_the_nursery_is_not_locked_so_that_the_count_means_something(sandbox):
    channel = await sandbox.start(Limits())
    await ready(channel)
    guest, nursery = proc.status(channel.facts.pid), proc.status(proc.status(channel.facts.pid).parent)

    assert guest.filters == nursery.filters + 1


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        (bundles.UNLOCKED, r"it has \d+ seccomp filters"),
        (bundles.TWO_FILTERS, r"it has \d+ seccomp filters"),
        (bundles.SECOND_THREAD, r"it has 2 threads"),
    ],
    ids=["skips its lock", "has one filter too many", "has a thread beside"],
)
async def test_a_guest_is_refused_and_killed_that(sandbox_of, parts, why):
    channel = await sandbox_of(parts).start(Limits())
    with pytest.raises(LockNotVerified, match=why):
        await ready(channel)

    assert (await channel.wait()).reason == "killed"
    assert proc.status(channel.facts.pid) is None


async def test_a_guest_that_is_gone_is_not_verified(sandbox):
    channel = await sandbox.start(Limits())
    await ready(channel)
    os.kill(channel.facts.pid, signal.SIGKILL)
    await channel.wait()

    with pytest.raises(LockNotVerified, match="it is gone, or /proc does not show it"):
        await channel.verify_lock()


async def test_a_guest_that_cannot_lock_itself_ends_before_it_reads_and_says_why(sandbox_of):
    channel = await sandbox_of(bundles.BROKEN_LOCK).start(Limits())

    assert await channel.receive() == b""
    exit = await channel.wait()
    assert (exit.code, exit.reason) == (82, "exit")
    assert "OSError: the kernel said no" in exit.diagnosis


async def test_where_there_is_no_lock_to_be_had_nothing_starts(sandbox_of):
    with pytest.raises(SandboxUnavailable, match="LockRefused: this kernel has none"):
        await sandbox_of(bundles.NO_LOCK_TO_HAVE).start(Limits())


HOST = """
import asyncio, os, sys, struct
sys.path.insert(0, {root!r})
from pathlib import Path
from runner.errors import RunnerError
from runner.guest import kernel
from runner.models import Limits
from runner.sandbox.bundle import Bundle, bundle
from runner.sandbox.process import ProcessSandbox
from runner.sandbox import proc
from tests.workloads import ENDINGS, WORKLOADS
from tests.support import converse, ready
{before}
async def main():
    sandbox = ProcessSandbox(files=Bundle(Path({path!r}), {digest!r}), python={python!r})
    try:
{body}
    except RunnerError as error:
        print(type(error).__name__, error.message)
    await sandbox.close()
asyncio.run(main())
"""


def host_program(files: Bundle, body: str, *, before: str = "", python: str | None = None) -> list[str]:
    """Return the command of a host of its own."""
    text = HOST.format(
        root=str(ROOT), path=str(files.path), digest=files.digest, python=python, before=textwrap.dedent(before),
        body=textwrap.indent(textwrap.dedent(body), " " * 8),
    )  # fmt: skip
    return [sys.executable, "-c", text]


NO_SECCOMP = """
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, 317), (6, 0, 0, 0x00050000 | 38), (6, 0, 0, 0x7FFF0000)]
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
kernel.install_filter(317, b"".join(struct.pack("<HBBI", *step) for step in steps))
"""


def test_a_kernel_without_seccomp_filters_is_refused_with_why(files):
    body = "await sandbox.start(Limits())\nprint('started')"
    said = subprocess.run(host_program(files, body, before=NO_SECCOMP), capture_output=True, text=True, cwd=ROOT)

    assert said.stdout.startswith("SandboxUnavailable"), said
    assert "no seccomp filters that kill a process: Function not implemented" in said.stdout


# --- who it is -------------------------------------------------------------------------------


@pytest.mark.skipif(not AS_ROOT, reason="only root can give privileges up")
async def test_a_guest_of_root_is_nobody_without_groups_and_capabilities(sandbox):
    channel = await sandbox.start(Limits())
    await ready(channel)
    text = _read(f"/proc/{channel.facts.pid}/status")
    lines = {name: value.split() for name, _, value in (line.partition(":") for line in text.splitlines())}

    assert lines["Uid"] == lines["Gid"] == ["65534"] * 4
    assert lines["Groups"] == []
    assert {tuple(lines[name]) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {("0" * 16,)}
    assert "uid-65534" in channel.facts.hardening


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="runner-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(not AS_ROOT, reason="any other user is unprivileged already")
def test_an_unprivileged_host_starts_verifies_limits_and_ends_guests(open_folder):
    files = bundle(open_folder)
    here = (path for minor in MINORS for path in interpreters(minor))
    python = next((path for path in here if path.startswith("/usr")), None)
    if python is None:
        pytest.skip("no Python here that every user can run")
    drop = "os.setgroups([]); os.setresgid(65533, 65533, 65533); os.setresuid(65533, 65533, 65533)"
    body = """
    channel = await sandbox.start(Limits())
    await ready(channel)
    print(channel.facts.hardening, proc.status(channel.facts.pid).users)
    await channel.kill()
    channel = await sandbox.start(Limits())
    talk = await converse(channel, "while True: pass", limits=Limits(cpu_seconds=0.2))
    print(talk.exit.reason, talk.exit.code)
    """
    command = host_program(files, body, before=drop, python=python)
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    first, second = said.stdout.splitlines() or [said.stderr] * 2
    assert first.endswith("frozenset({65533})") and "uid-65534" not in first and "seccomp-lock" in first
    assert second == f"cpu {-signal.SIGXCPU}"


# --- limits ----------------------------------------------------------------------------------


async def test_the_kernel_holds_what_the_lock_would_let_through(sandbox):
    channel = await sandbox.start(Limits(memory_bytes=100 * MIB))
    await ready(channel)
    pid = channel.facts.pid

    def limit(kind: int) -> tuple[int, int]:
        return resource.prlimit(pid, kind) if AS_ROOT is False else _limits(pid)[kind]

    assert limit(resource.RLIMIT_AS) == (100 * MIB, 100 * MIB)
    assert limit(resource.RLIMIT_NOFILE) == (3, 3)
    assert {limit(kind) for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC)} == {(0, 0)}


def _limits(pid: int) -> dict[int, tuple[int, int]]:
    """Read /proc/PID/limits: root without CAP_SYS_RESOURCE may not ask by prlimit."""
    names = {
        "Max address space": resource.RLIMIT_AS, "Max open files": resource.RLIMIT_NOFILE,
        "Max core file size": resource.RLIMIT_CORE, "Max file size": resource.RLIMIT_FSIZE,
        "Max processes": resource.RLIMIT_NPROC,
    }  # fmt: skip
    found = {}
    for line in _read(f"/proc/{pid}/limits").splitlines():
        name = line[:26].strip()
        if name in names:
            soft, hard = line[26:].split()[:2]
            found[names[name]] = (int(soft), int(hard))
    return found


async def test_cpu_time_is_counted_from_when_it_is_limited_and_known_after_the_end(sandbox):
    channel = await sandbox.start(Limits())
    talk = await converse(channel, "while True: pass", limits=Limits(cpu_seconds=0.3))

    assert talk.exit.reason == "cpu"
    assert 0.25 < channel.cpu_seconds() < 2.5


async def test_a_waiting_guest_is_not_killed_for_cpu_time(sandbox):
    channel = await sandbox.start(Limits())
    await ready(channel)
    channel.limit_cpu(0.05)
    await channel.send(wire.encode_start(start_of("sleep(1)\nresult = 1")))
    await channel.receive()
    await asyncio.sleep(0.2)

    assert proc.status(channel.facts.pid) is not None
    assert channel.cpu_seconds() < 0.05


async def test_memory_too_small_for_anything_ends_as_that(sandbox):
    channel = await sandbox.start(Limits(memory_bytes=8 * MIB))
    talk = await converse(channel, "result = 1")

    assert talk.exit.reason == "memory"


async def test_a_waiting_guest_has_little_memory_of_its_own(sandbox):
    if not AS_ROOT:
        pytest.skip("only root can look into the memory of a process that is not dumpable")
    channel = await sandbox.start(Limits())
    await ready(channel)

    assert proc.private_bytes(channel.facts.pid) < 12 * MIB


# --- the end ---------------------------------------------------------------------------------


async def test_a_killed_guest_is_reaped_and_says_so_however_often_it_is_killed(sandbox):
    channel = await sandbox.start(Limits())
    await asyncio.gather(channel.kill(), channel.kill(), channel.wait())
    await channel.kill()

    assert (await channel.wait()).reason == "killed"
    assert proc.cpu_seconds(channel.facts.pid) is None
    assert await channel.receive() == b""
    with pytest.raises(GuestDied):
        await channel.send(b"x")


async def test_a_receive_that_waits_ends_when_the_guest_is_killed(sandbox):
    channel = await sandbox.start(Limits())
    await ready(channel)
    waiting = asyncio.ensure_future(channel.receive())
    await asyncio.sleep(0)
    await channel.kill()

    assert await waiting == b""


async def test_a_guest_whose_host_end_closes_is_gone(sandbox):
    channel = await sandbox.start(Limits())
    await ready(channel)
    channel._pipe.close()

    assert (await channel.wait()).code == 0


async def test_closing_the_sandbox_leaves_no_process(files):
    sandbox = ProcessSandbox(files=files)
    channels = [await sandbox.start(Limits()) for _ in range(5)]
    nursery = proc.status(channels[0].facts.pid).parent
    watches = [os.pidfd_open(pid) for pid in [nursery, *(channel.facts.pid for channel in channels)]]
    await sandbox.close()

    assert all(_gone(watch) for watch in watches)
    assert {(await channel.wait()).reason for channel in channels} == {"killed"}
    with pytest.raises(SandboxUnavailable, match="was closed"):
        await sandbox.start(Limits())


def _read(path: str) -> str:
    return Path(path).read_text()


def _watches(pids: set[int]) -> Iterator[int]:
    """Yield a pidfd of each process that is not reaped yet."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            yield os.pidfd_open(pid)


def _gone(pidfd: int) -> bool:
    """Wait until the process has ended; False after ten seconds."""
    watch = select.poll()
    watch.register(pidfd, select.POLLIN)
    try:
        return bool(watch.poll(10_000))
    finally:
        os.close(pidfd)


async def test_guests_die_with_their_nursery_and_the_next_start_makes_another(sandbox):
    channel = await sandbox.start(Limits())
    await ready(channel)
    watch = os.pidfd_open(channel.facts.pid)
    os.kill(proc.status(channel.facts.pid).parent, signal.SIGKILL)

    assert (await channel.wait()).code is None
    assert _gone(watch)
    talk = await converse(await sandbox.start(Limits()), "result = 1")
    assert talk.last == wire.Finished(ok=True, result=1)


@pytest.mark.parametrize("inherited", [False, True], ids=["alone", "with a child that holds its descriptors"])
def test_nothing_is_left_of_a_host_that_is_killed(files, inherited):
    fork = "if os.fork() == 0:\n    import time; time.sleep(60); os._exit(0)\n" if inherited else ""
    body = (
        "channels = [await sandbox.start(Limits()) for _ in range(3)]\nfor channel in channels: await ready(channel)\n"
        + "channels.append(await sandbox.start(Limits()))\nawait ready(channels[-1])\n"
        + "nursery = proc.status(channels[0].facts.pid).parent\n" + fork
        + "print(nursery, *(channel.facts.pid for channel in channels), flush=True)\nawait asyncio.sleep(60)"
    )  # fmt: skip
    command = host_program(files, body)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, process_group=0) as host:
        pids = [int(pid) for pid in host.stdout.readline().split()]
        watches = [os.pidfd_open(pid) for pid in pids]
        host.kill()
        host.wait()
        gone = [_gone(watch) for watch in watches]
        if inherited:
            os.killpg(host.pid, signal.SIGKILL)

    assert gone == [True] * 5


async def test_a_ctrl_c_in_the_terminal_is_not_for_guests(sandbox):
    channel = await sandbox.start(Limits())
    await ready(channel)

    assert os.getpgid(channel.facts.pid) != os.getpgid(0)


async def test_many_guests_started_at_once_are_many_guests(sandbox):
    channels = await asyncio.gather(*(sandbox.start(Limits()) for _ in range(40)))
    talks = await asyncio.gather(
        *(converse(channel, f"result = inputs + {n}", inputs=n) for n, channel in enumerate(channels))
    )

    assert [talk.last.result for talk in talks] == [2 * n for n in range(40)]
    assert len({channel.facts.pid for channel in channels}) == 40


async def test_a_start_that_is_given_up_leaves_no_guest(sandbox):
    first = await sandbox.start(Limits())
    nursery = proc.status(first.facts.pid).parent
    starting = asyncio.ensure_future(sandbox.start(Limits()))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    last = await sandbox.start(Limits())

    await ready(last)
    children = _read(f"/proc/{nursery}/task/{nursery}/children").split()
    given_up = set(map(int, children)) - {first.facts.pid, last.facts.pid}
    # It is killed; the last guest may be ready before it is reaped.
    assert all(_gone(watch) for watch in _watches(given_up))
