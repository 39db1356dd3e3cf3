"""The seccomp profile of a guest's container: an allowlist, short because a long one is slow.

The engine's default profile allows some 350 calls and costs 50 ms at each start, since the runtime
compiles the list. This one lets runc start Python and Python lock itself. The lock, which a guest puts
on top of it, allows far less: so this list contains everything that the lock allows.

`sandbox_images/seccomp.json` is this profile written out, for those who run the image by hand.
"""

from __future__ import annotations

import json
from typing import Any

# Found by dropping one name at a time until runc, Python and the lock no longer start. A call that is not
# listed fails with EPERM: a kill would need 22 names more, for what runc tries and can do without.
NEEDED = (
    "access arch_prctl brk clock_gettime close close_range epoll_ctl execve exit exit_group fcntl fstatfs futex "
    "getdents64 getpid getrandom gettid ioctl lseek madvise mmap mprotect mremap munmap newfstatat openat prctl "
    "pread64 prlimit64 read readlink restart_syscall rseq rt_sigaction rt_sigreturn seccomp set_robust_list "
    "set_tid_address sysinfo uname write"
)
# Versions of runc and of the C library differ in these.
MARGIN = (
    "dup epoll_pwait faccessat2 fstat getcwd getegid geteuid getgid getuid nanosleep readlinkat rt_sigprocmask "
    "sched_yield sigaltstack statx tgkill"
)


def profile() -> dict[str, Any]:
    """Return the profile in Docker's format. It names no foreign architecture: 32-bit and x32 calls are killed."""
    names = sorted({*NEEDED.split(), *MARGIN.split()})
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}],
    }


def profile_text() -> str:
    """Return the profile as the one line that the engine takes as a security option."""
    return json.dumps(profile(), separators=(",", ":"))
