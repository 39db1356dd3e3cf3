"""The lock alone must hold: what a guest asks of the kernel when no dialect stands before it.

Every probe runs in a locked guest with ctypes at hand. It dies of the filter, or is told that there is no such file.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from runner.guest import wire
from runner.models import Limits
from runner.sandbox.bundle import bundle
from runner.sandbox.process import ProcessSandbox
from tests.bundles import NO_DIALECT, bundle_with_main
from tests.support import Talk, converse

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.own_nursery]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bare(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ProcessSandbox]:
    """A process sandbox whose guests run any Python after the lock."""
    folder = tmp_path_factory.mktemp("bundles")
    sandbox = ProcessSandbox(files=bundle_with_main(folder / "bare", NO_DIALECT, bundle(folder)))
    yield sandbox
    await sandbox.close()


async def run(sandbox: ProcessSandbox, source: str) -> Talk:
    channel = await sandbox.start(Limits())
    return await converse(channel, source)


# number and arguments of x86_64; `at` is a page of the guest's own memory.
CALLS = {
    "open": (2, "path(b'/etc/passwd')", 0), "creat": (85, "path(b'/tmp/x')", 0o644),
    "openat2": (437, -100, "at", "at", 24), "stat": (4, "path(b'/')", "at"), "lstat": (6, "path(b'/')", "at"),
    "fstat": (5, 0, "at"), "statx": (332, -100, "at"), "access": (21, "path(b'/')", 0),
    "faccessat": (269, -100, "path(b'/')"), "readlink": (89, "at", "at", 10), "getdents64": (217, 0, "at", 100),
    "getcwd": (79, "at", 100), "chdir": (80, "path(b'/')"), "mkdir": (83, "at", 0), "rename": (82, "at", "at"),
    "unlink": (87, "path(b'/tmp/x')"), "symlink": (88, "at", "at"), "link": (86, "at", "at"), "chmod": (90, "at", 0),
    "chown": (92, "at", 0, 0), "truncate": (76, "at", 0), "ftruncate": (77, 1, 0), "mknod": (133, "at", 0),
    "utimensat": (280, -100, "at"), "statfs": (137, "at", "at"), "chroot": (161, "path(b'/')"),
    "pivot_root": (155, "at", "at"), "mount": (165, "at", "at", "at", 0, 0), "umount2": (166, "at", 0),
    "open_by_handle_at": (304, 0, "at", 0), "inotify_init1": (294, 0), "fanotify_init": (300, 0, 0),
    "socket inet": (41, 2, 1, 0), "socket unix": (41, 1, 1, 0), "socket netlink": (41, 16, 3, 0),
    "socketpair": (53, 1, 1, 0, "at"), "connect": (42, 0, "at", 16), "bind": (49, 0, "at", 16), "listen": (50, 0, 1),
    "accept": (43, 0, 0, 0), "sendto": (44, 1, "at", 1, 0, 0, 0), "recvfrom": (45, 0, "at", 1, 0, 0, 0),
    "sendmsg (descriptors over the channel)": (46, 1, "at", 0),
    "recvmsg (descriptors over the channel)": (47, 0, "at", 0), "shutdown": (48, 0, 2),
    "getsockopt": (55, 0, 1, 1, "at", "at"), "setsockopt": (54, 0, 1, 1, "at", 4), "getpeername": (52, 0, "at", "at"),
    "sendmmsg": (307, 1, "at", 1, 0), "write to stderr": (1, 2, "at", 1), "write to stdin": (1, 0, "at", 1),
    "write to a closed one": (1, 7, "at", 1), "read from stdout": (0, 1, "at", 1),
    "read from stderr": (0, 2, "at", 1), "pread64": (17, 0, "at", 1, 0), "pwrite64": (18, 1, "at", 1, 0),
    "readv": (19, 0, "at", 1), "writev": (20, 1, "at", 1), "preadv2": (327, 0, "at", 1), "sendfile": (40, 1, 0, 0, 1),
    "splice": (275, 0, 0, 1, 0, 1, 0), "vmsplice": (278, 1, "at", 1, 0), "tee": (276, 0, 1, 1),
    "copy_file_range": (326, 0, 0, 1, 0, 1, 0), "close": (3, 2), "close_range": (436, 0, 9, 0), "dup": (32, 0),
    "dup2": (33, 0, 9), "dup3": (292, 0, 9, 0), "fcntl": (72, 0, 0, 0), "ioctl": (16, 0, 0x5401, "at"),
    "flock": (73, 0, 2), "fsync": (74, 1), "lseek": (8, 0, 0, 0), "pipe": (22, "at"), "pipe2": (293, "at", 0),
    "eventfd2": (290, 0, 0), "signalfd4": (289, -1, "at", 8, 0), "timerfd_create": (283, 1, 0),
    "epoll_create1": (291, 0), "poll": (7, "at", 0, 0), "select": (23, 0, 0, 0, 0, 0),
    "memfd_create": (319, "path(b'x')", 0), "memfd_secret": (447, 0), "userfaultfd": (323, 0),
    "io_uring_setup": (425, 8, "at"), "io_uring_enter": (426, 0, 1, 0, 0, 0, 0),
    "io_uring_register": (427, 0, 0, 0, 0), "io_setup": (206, 1, "at"), "bpf": (321, 0, "at", 64),
    "perf_event_open": (298, "at", 0, -1, -1, 0), "pidfd_open": (434, 1, 0), "pidfd_getfd": (438, 0, 0, 0),
    "pidfd_send_signal": (424, 0, 9, 0, 0), "fork": (57,), "vfork": (58,), "clone": (56, 17, 0, 0, 0, 0),
    "clone into a thread": (56, 0x50F00, "at", 0, 0, 0), "clone3": (435, "at", 64),
    "execve": (59, "path(b'/bin/sh')", 0, 0), "execveat": (322, -100, "path(b'/bin/sh')", 0, 0, 0),
    "ptrace": (101, 16, 1, 0, 0), "ptrace traceme": (101, 0, 0, 0, 0),
    "process_vm_readv": (310, "os.getpid", "at", 1, "at", 1, 0), "process_vm_writev": (311, 1, "at", 1, "at", 1, 0),
    "process_madvise": (440, 0, "at", 1, 0, 0), "kcmp": (312, 1, 1, 0, 0, 0), "kill itself": (62, 0, 9),
    "kill host": (62, 1, 0), "tkill": (200, 1, 0), "tgkill": (234, 1, 1, 0), "rt_sigqueueinfo": (129, 1, 9, "at"),
    "prctl": (157, 4, 1, 0, 0, 0), "prctl pdeathsig": (157, 1, 0, 0, 0, 0), "arch_prctl": (158, 0x1003, "at"),
    "seccomp": (317, 1, 0, "at"), "landlock_create_ruleset": (444, 0, 0, 1), "unshare": (272, 0x10000000),
    "setns": (308, 0, 0), "setuid": (105, 0), "setreuid": (113, 0, 0), "setresuid": (117, 0, 0, 0),
    "setgid": (106, 0), "setgroups": (116, 0, 0), "capset": (126, "at", "at"), "setrlimit": (160, 9, "at"),
    "prlimit64": (302, 0, 9, "at", 0), "setsid": (112,), "setpgid": (109, 0, 0), "setpriority": (141, 0, 0, -20),
    "sched_setaffinity": (203, 0, 8, "at"), "sched_yield": (24,), "nanosleep": (35, "at", 0),
    "clock_nanosleep": (230, 0, 0, "at", 0), "alarm": (37, 1), "setitimer": (38, 0, "at", 0),
    "timer_create": (222, 0, 0, "at"), "pause": (34,), "getpid": (39,), "getppid": (110,), "gettid": (186,),
    "getuid": (102,), "uname": (63, "at"), "sysinfo": (99, "at"), "times": (100, "at"), "getrusage": (98, 0, "at"),
    "syslog": (103, 3, "at", 99), "clock of another process": (228, ~1 << 3 | 2, "at"),
    "clock_settime": (227, 0, "at"), "settimeofday": (164, "at", 0), "adjtimex": (159, "at"),
    "mprotect to executable": (10, "at & ~4095", 4096, 7), "mprotect to readable": (10, "at", 1, 1),
    "mmap executable": (9, 0, 4096, 7, 0x22, -1, 0), "mmap executable only": (9, 0, 4096, 4, 0x22, -1, 0),
    "mmap shared": (9, 0, 4096, 3, 0x21, -1, 0), "mmap a descriptor": (9, 0, 4096, 1, 0x02, 0, 0),
    "mmap fixed": (9, "at & ~4095", 4096, 3, 0x32, -1, 0),
    "mmap at low addresses": (9, 4096, 4096, 3, 0x100022, -1, 0),
    "mremap fixed": (25, "at & ~4095", 4096, 4096, 3, 0x10000),
    "mremap without unmapping": (25, "at & ~4095", 4096, 4096, 5), "pkey_mprotect": (329, "at", 4096, 7, -1),
    "madvise": (28, "at", 4096, 4), "mlock": (149, "at", 1), "msync": (26, "at", 1, 1),
    "shmget": (29, 0, 4096, 0o1777), "shmat": (30, 0, 0, 0), "msgget": (68, 0, 0o1777), "semget": (64, 0, 1, 0o1777),
    "mq_open": (240, "at", 0o102, 0, 0), "add_key": (248, "at", "at", 0, 0, -3), "keyctl": (250, 0, 0),
    "request_key": (249, "at", "at", 0, 0), "personality": (135, 0x0400000), "modify_ldt": (154, 0, "at", 0),
    "iopl": (172, 3), "ioperm": (173, 0, 1, 1), "init_module": (175, "at", 1, "at"),
    "finit_module": (313, 0, "at", 0), "kexec_load": (246, 0, 0, 0, 0), "reboot": (169, 0xFEE1DEAD, 672274793, 0),
    "swapon": (167, "at", 0), "acct": (163, 0), "quotactl": (179, 0, 0, 0, 0), "nfsservctl": (180, 0, 0, 0),
    "sethostname": (170, "at", 1), "vhangup": (153,), "futex": (202, "at", 1, 1, 0, 0, 0),
    "set_robust_list": (273, "at", 24), "rseq": (334, "at", 32, 0, 0), "rt_sigaction": (13, 31, 0, "at", 8),
    "rt_sigprocmask": (14, 0, 0, "at", 8), "sigaltstack": (131, 0, "at"), "membarrier": (324, 1, 0),
    "getcpu": (309, "at", 0, 0), "restart of nothing known": (1023,), "negative number": (-1,),
    "x32 read": (0x40000000, 0, "at", 1), "x32 open": (0x40000002, "path(b'/etc/passwd')", 0),
    "x32 execve": (0x40000000 + 520, "path(b'/bin/sh')", 0, 0), "read with high bits": (0, 1 << 32, "at", 0),
    "write with high bits": (1, 1 << 32 | 1, "at", 1), "mmap with high bits": (9, 0, 4096, 1 << 32 | 3, 0x22, -1, 0),
}  # fmt: skip


@pytest.mark.parametrize("probe", CALLS)
async def test_the_lock_kills_whoever_asks_the_kernel_for(bare, probe):
    arguments = ", ".join(str(each).replace("os.getpid", "1") for each in CALLS[probe])
    talk = await run(bare, f"tell(call({arguments}))")

    assert (talk.exit.reason, talk.exit.code, talk.said) == ("lock", -signal.SIGSYS, [])


PYTHON = {
    "os.fork": "os.fork()",
    "os.system": "os.system('id')",
    "subprocess": "subprocess.run(['/bin/true'])",
    "a socket": "socket.socket()",
    "a thread": "threading.Thread(target=print).start()",
    "os.kill": "os.kill(1, 0)",
    "os.pipe": "os.pipe()",
    "os.write to stderr": "os.write(2, b'x')",
    "shared memory": "mmap.mmap(-1, 4096)",
    "a signal handler": "signal.signal(signal.SIGTERM, print)",
    "select": "select.select([], [], [], 0)",
    "raising the memory limit": "__import__('resource').setrlimit(9, (1 << 40, 1 << 40))",
    "os.abort": "os.abort()",
}


@pytest.mark.parametrize("probe", PYTHON)
async def test_the_lock_kills_python_that_uses(bare, probe):
    talk = await run(bare, f"tell({PYTHON[probe]})")

    assert (talk.exit.reason, talk.said) == ("lock", [])


NO_SUCH_FILE = {
    "reading": "open('/etc/passwd').read()",
    "creating": "open({target!r}, 'w').write('x')",
    "creating by number": "call(257, -100, path({target!r}.encode()), 0o102, 0o644)",
    "listing": "os.listdir('/')",
    "stat": "os.stat('/')",
    "its own environment": "open('/proc/self/environ').read()",
    "its own memory": "open('/proc/self/mem', 'r+b')",
    "the host's": "open('/proc/1/cmdline').read()",
    "a device": "open('/dev/null')",
    "stat by number": "call(262, -100, path(b'/'), at + 4096, 0)",
}


@pytest.mark.parametrize("probe", NO_SUCH_FILE)
async def test_no_file_exists_for_a_guest(bare, probe, tmp_path: Path):
    target = tmp_path / "made"
    os.chmod(tmp_path, 0o777)
    talk = await run(bare, f"tell({NO_SUCH_FILE[probe].format(target=str(target))})")

    [told] = talk.of(wire.Output)
    assert told.text == "-2" or "FileNotFoundError" in told.text
    assert (talk.exit.code, target.exists()) == (0, False)


async def test_an_import_finds_no_file_and_no_finder(bare):
    talk = await run(bare, "tell(sys.path + sys.meta_path + sys.path_hooks)\nimport asyncio")
    first, second = talk.of(wire.Output)

    assert (first.text, second.text) == ("[]", "('ModuleNotFoundError', \"No module named 'asyncio'\")")


async def test_the_environment_of_a_guest_is_constant(bare):
    # LC_CTYPE is set by CPython itself, at its start.
    source = """
environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
found = []
while environ[len(found)]:
    found.append(environ[len(found)])
tell(sorted(found))
"""
    talk = await run(bare, source)

    assert talk.of(wire.Output)[0].text == "[b'LC_CTYPE=C.UTF-8', b'PYTHONHASHSEED=0', b'TZ=UTC0']"


async def test_what_a_guest_is_allowed_works(bare):
    source = """
tell(call(318, at, 16, 0))
tell(call(228, 2, at))
tell(call(9, 0, 1 << 20, 3, 0x22, -1, 0) > 0)
tell(len(bytearray(50_000_000)))
tell(call(1, 1, at, 0))
"""
    talk = await run(bare, source)

    assert [each.text for each in talk.of(wire.Output)] == ["16", "0", "True", "50000000", "0"]
    assert (talk.exit.reason, talk.exit.code) == ("exit", 0)
