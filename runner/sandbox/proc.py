"""What /proc tells of a process from outside: its lock, its threads, its parent, its CPU time.

This is how the host sees for itself what a guest only says. Everything read here is world-readable, also of a
process that is not dumpable; a /proc mounted with hidepid hides it, and then nothing is verified.

Not here: what must hold in which sandbox (process, docker).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_NO_CAPABILITY = "0000000000000000"

SECCOMP_FILTER_MODE = 2


@dataclass(frozen=True, slots=True)
class Status:
    """The lines of /proc/PID/status that a lock shows in."""

    pid: int
    parent: int
    threads: int
    seccomp: int
    """0 none, 1 strict, 2 filters. 2 alone proves nothing: a container's own profile sets it too."""
    filters: int
    """How many filters are stacked."""
    no_new_privileges: bool
    users: frozenset[int]
    """Real, effective, saved and file system uid."""
    capabilities: bool
    """True when it holds any, effective or permitted."""


def status(pid: int) -> Status | None:
    """Return what /proc says of a living process, or None when it is gone or cannot be seen.

    Raises KeyError where the kernel is too old to count filters (before 5.9).
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    found = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    # A zombie has no memory left to speak of, and its filters are gone.
    if found["State"][0] in "ZX":
        return None
    return Status(
        pid=pid,
        parent=int(found["PPid"]),
        threads=int(found["Threads"]),
        seccomp=int(found["Seccomp"]),
        filters=int(found["Seccomp_filters"]),
        no_new_privileges=found["NoNewPrivs"] == "1",
        users=frozenset(int(user) for user in found["Uid"].split()),
        capabilities={found["CapEff"], found["CapPrm"]} != {_NO_CAPABILITY},
    )


def lock_refusal() -> str:
    """Return why this kernel cannot hold or show a lock; "" when it can."""
    try:
        status(os.getpid())
    except KeyError as missing:
        return f"this kernel's /proc/PID/status has no line {missing}: seccomp is not there, or older than Linux 5.9"
    return ""


def cpu_seconds(pid: int) -> float | None:
    """Return what the first thread of a process has run, to the nanosecond; None when it is gone.

    A guest has one thread. Where the kernel keeps no such statistics the steps are clock ticks (10 ms).
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except (OSError, IndexError):
        pass
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in parentheses may hold anything, spaces and parentheses too.
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def cgroup(pid: int) -> str | None:
    """Return the lines of /proc/PID/cgroup, which name the container a process is in; None when it is gone."""
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return None


def private_bytes(pid: int) -> int:
    """Return how much memory only this process holds. Raises OSError without the right to look (ptrace)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    lines = (line.split() for line in text.splitlines() if line.startswith("Private_"))
    return sum(int(fields[1]) * 1024 for fields in lines)
