"""The self-lock: after it a guest can read its pipe, write its pipe, use memory and end. Nothing else.

A seccomp filter in classic BPF, made here from a table, installed over all threads. A call that the table
does not name kills the process. The table holds what CPython needs after its start-up, found by dropping
one rule at a time over workloads (allocation, sort, exceptions, regular expressions, decimals, big frames)
under every minor version in `PYTHONS`. There is no mprotect: no memory becomes executable.

openat and newfstatat answer ENOENT: CPython looks for source files at odd moments, which is no attack.

Not here: rlimits, closed files and the rest of a guest's own preparation (warm, nursery); what the host looks at
from outside (sandbox.proc).
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass

from runner.guest import kernel

PYTHONS = ((3, 11), (3, 12), (3, 13))
"""The minor versions under which the table was tried. Another may need other calls: it is refused."""

KILL = 0x80000000  # SECCOMP_RET_KILL_PROCESS
ALLOW = 0x7FFF0000
NOT_FOUND = 0x00050000 | 2  # SECCOMP_RET_ERRNO with ENOENT

_PROT_READ_WRITE = 0x1 | 0x2
_MAP_PRIVATE_ANONYMOUS = 0x02 | 0x20
_MREMAP_MAYMOVE = 0x1
# CLOCK_REALTIME (0) to CLOCK_BOOTTIME (7). Negative numbers would be the CPU clocks of other processes.
_CLOCKS = 0x7

# struct seccomp_data: int nr, u32 arch, u64 instruction pointer, u64 args[6]; both architectures are little endian.
_NR, _ARCH, _ARGS = 0, 4, 16
_X32 = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06


class LockRefused(Exception):
    """There is no lock to be had here. Nothing of a script may run."""


class PythonRefused(LockRefused):
    """This Python was never tried; another one on this machine may have been."""


@dataclass(frozen=True, slots=True)
class Is:
    """The argument is exactly this 64-bit value."""

    argument: int
    value: int


@dataclass(frozen=True, slots=True)
class Within:
    """The argument has no bit outside the mask."""

    argument: int
    mask: int


@dataclass(frozen=True, slots=True)
class IsMinusOne:
    """The argument is the C int -1; a compiler may or may not have extended its sign."""

    argument: int


Condition = Is | Within | IsMinusOne


@dataclass(frozen=True, slots=True)
class Rule:
    """A call that is let through when all conditions hold, or answered by `instead`."""

    call: str
    conditions: tuple[Condition, ...] = ()
    instead: int = ALLOW


RULES = (
    Rule("read", (Is(0, 0),)),
    Rule("write", (Is(0, 1),)),
    Rule("mmap", (Within(2, _PROT_READ_WRITE), Is(3, _MAP_PRIVATE_ANONYMOUS), IsMinusOne(4))),
    Rule("munmap"),
    Rule("mremap", (Within(3, _MREMAP_MAYMOVE),)),
    Rule("brk"),
    Rule("clock_gettime", (Within(0, _CLOCKS),)),
    Rule("getrandom"),
    Rule("rt_sigreturn"),
    Rule("restart_syscall"),
    Rule("exit"),
    Rule("exit_group"),
    Rule("openat", instead=NOT_FOUND),
    Rule("newfstatat", instead=NOT_FOUND),
)


@dataclass(frozen=True, slots=True)
class Architecture:
    """The kernel's name and numbers of one machine type."""

    audit: int
    seccomp: int
    numbers: dict[str, int]
    executed: bool
    """False: the numbers come from headers and were never run; the lock is refused there."""


ARCHITECTURES = {
    "x86_64": Architecture(
        audit=0xC000003E,
        seccomp=317,
        numbers={
            "read": 0, "write": 1, "mmap": 9, "munmap": 11, "brk": 12, "rt_sigreturn": 15, "mremap": 25, "exit": 60,
            "restart_syscall": 219, "clock_gettime": 228, "exit_group": 231, "openat": 257, "newfstatat": 262,
            "getrandom": 318,
        },
        executed=True,
    ),
    "aarch64": Architecture(
        audit=0xC00000B7,
        seccomp=277,
        numbers={
            "openat": 56, "read": 63, "write": 64, "newfstatat": 79, "exit": 93, "exit_group": 94,
            "clock_gettime": 113, "restart_syscall": 128, "rt_sigreturn": 139, "brk": 214, "munmap": 215,
            "mremap": 216, "mmap": 222, "getrandom": 278,
        },
        executed=False,
    ),
}  # fmt: skip


def architecture(machine: str | None = None, python: tuple[int, int] | None = None) -> Architecture:
    """Return the table for this machine and Python. Raises LockRefused where it was never tried."""
    machine = machine or os.uname().machine
    python = python or sys.version_info[:2]
    found = ARCHITECTURES.get(machine)
    if found is None:
        raise LockRefused(f'the lock knows no machine "{machine}"; it was tried on x86_64')
    if not found.executed:
        raise LockRefused(f'the lock for "{machine}" was never executed: unverified; it was tried on x86_64')
    if python not in PYTHONS:
        tried = ", ".join(f"{major}.{minor}" for major, minor in PYTHONS)
        raise PythonRefused(f"the lock was not tried under Python {python[0]}.{python[1]}; it was under {tried}")
    return found


def program(architecture: Architecture, rules: tuple[Rule, ...] = RULES) -> bytes:
    """Return the filter as an array of struct sock_filter, 8 bytes each."""
    steps = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NR),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, KILL),
    ]
    for rule in rules:
        body = _body(rule)
        steps.append((_EQUAL, 0, len(body), architecture.numbers[rule.call]))
        steps.extend(body)
    steps.append((_RETURN, 0, 0, KILL))
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


def _body(rule: Rule) -> list[tuple[int, int, int, int]]:
    """What follows once the number matched; never falls through, so the accumulator may be overwritten."""
    checks: list[tuple[int, int, int, int]] = []
    for condition in rule.conditions:
        checks.extend(_check(condition))
    # In a check a jump of 1 stands for "refused": it leads to the return after the allowing one.
    length = len(checks)
    placed = [
        (code, length - place if yes else 0, length - place if no else 0, value)
        for place, (code, yes, no, value) in enumerate(checks)
    ]
    body = [*placed, (_RETURN, 0, 0, rule.instead)]
    return [*body, (_RETURN, 0, 0, KILL)] if checks else body


def _check(condition: Condition) -> list[tuple[int, int, int, int]]:
    low = _ARGS + 8 * condition.argument
    high = low + 4
    match condition:
        case Is(_, value):
            return [
                (_LOAD, 0, 0, high), (_EQUAL, 0, 1, value >> 32),
                (_LOAD, 0, 0, low), (_EQUAL, 0, 1, value & 0xFFFFFFFF),
            ]  # fmt: skip
        case Within(_, mask):
            return [
                (_LOAD, 0, 0, high), (_ANY_BIT, 1, 0, ~(mask >> 32) & 0xFFFFFFFF),
                (_LOAD, 0, 0, low), (_ANY_BIT, 1, 0, ~mask & 0xFFFFFFFF),
            ]  # fmt: skip
        case IsMinusOne():
            # Only the low half is the argument: the kernel takes a C int, and ignores it for anonymous memory.
            return [(_LOAD, 0, 0, low), (_EQUAL, 0, 1, 0xFFFFFFFF)]


def prepare() -> Callable[[], None]:
    """Return the call that locks this process for good. Raises LockRefused.

    The call raises OSError when the kernel refuses; then nothing holds and the guest must end.
    """
    here = architecture()
    if refusal := kernel.filter_refusal(here.seccomp, KILL):
        raise LockRefused(f"this kernel has no seccomp filters that kill a process: {refusal}")
    code = program(here)

    def engage() -> None:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        kernel.install_filter(here.seccomp, code)

    return engage
