"""The filter as data: what it decides about calls, computed by a small machine for classic BPF."""

from __future__ import annotations

import struct

import pytest

from runner.guest import lock

X86 = lock.ARCHITECTURES["x86_64"]
PROGRAM = lock.program(X86)
ENOENT = lock.NOT_FOUND
HIGH = 1 << 32
MINUS_ONE = 0xFFFF_FFFF


def decide(program: bytes, number: int, *arguments: int, audit: int = X86.audit) -> int:
    """Return what the filter answers to a call."""
    data = struct.pack("<IIQ6Q", number, audit, 0, *arguments, *[0] * (6 - len(arguments)))
    steps = list(struct.iter_unpack("<HBBI", program))
    accumulator = place = 0
    while True:
        code, yes, no, value = steps[place]
        place += 1
        match code:
            case 0x20:
                [accumulator] = struct.unpack_from("<I", data, value)
            case 0x06:
                return value
            case 0x15:
                place += yes if accumulator == value else no
            case 0x35:
                place += yes if accumulator >= value else no
            case 0x45:
                place += yes if accumulator & value else no


ALLOWED = [
    ("read", (0, 4096, 10)), ("write", (1, 4096, 10)), ("munmap", (4096, 4096)), ("brk", (0,)),
    ("mmap", (0, 4096, 3, 0x22, MINUS_ONE, 0)), ("mmap", (0, 4096, 1, 0x22, 0xFFFF_FFFF_FFFF_FFFF, 0)),
    ("mmap", (0, 4096, 0, 0x22, MINUS_ONE, 0)), ("mremap", (4096, 4096, 8192, 1)), ("mremap", (4096, 8192, 4096, 0)),
    ("clock_gettime", (2, 4096)), ("getrandom", (4096, 16, 0)), ("exit_group", (0,)), ("rt_sigreturn", ()),
]  # fmt: skip


@pytest.mark.parametrize(("call", "arguments"), ALLOWED)
def test_what_an_interpreter_needs_is_allowed(call, arguments):
    assert decide(PROGRAM, X86.numbers[call], *arguments) == lock.ALLOW


REFUSED = [
    ("read", (1, 4096, 1)), ("read", (2, 4096, 1)), ("read", (3, 4096, 1)), ("read", (HIGH, 4096, 1)),
    ("write", (0, 4096, 1)), ("write", (2, 4096, 1)), ("write", (HIGH | 1, 4096, 1)), ("write", (MINUS_ONE, 4096, 1)),
    ("mmap", (0, 4096, 7, 0x22, MINUS_ONE, 0)), ("mmap", (0, 4096, 4, 0x22, MINUS_ONE, 0)),
    ("mmap", (0, 4096, HIGH | 3, 0x22, MINUS_ONE, 0)), ("mmap", (0, 4096, 3, HIGH | 0x22, MINUS_ONE, 0)),
    ("mmap", (0, 4096, 3, 0x32, MINUS_ONE, 0)), ("mmap", (0, 4096, 3, 0x21, MINUS_ONE, 0)),
    ("mmap", (0, 4096, 3, 0x02, 0, 0)), ("mmap", (0, 4096, 3, 0x22, 0, 0)),
    ("mmap", (0, 4096, 3, 0x40022, MINUS_ONE, 0)),
    ("mremap", (4096, 4096, 4096, 3)), ("mremap", (4096, 4096, 4096, HIGH | 1)), ("mremap", (4096, 0, 4096, 4)),
    ("clock_gettime", (0xFFFF_FFFA, 4096)), ("clock_gettime", (8, 4096)), ("clock_gettime", (HIGH, 4096)),
]  # fmt: skip


@pytest.mark.parametrize(("call", "arguments"), REFUSED)
def test_a_call_with_other_arguments_kills(call, arguments):
    assert decide(PROGRAM, X86.numbers[call], *arguments) == lock.KILL


@pytest.mark.parametrize("call", ["openat", "newfstatat"])
def test_looking_for_a_file_finds_none(call):
    assert decide(PROGRAM, X86.numbers[call], MINUS_ONE, 4096, 0) == ENOENT


def test_every_other_call_kills():
    named = {X86.numbers[rule.call] for rule in lock.RULES}
    answers = {number: decide(PROGRAM, number) for number in range(1024) if number not in named}

    assert set(answers.values()) == {lock.KILL}


def test_another_architecture_kills_whatever_it_calls():
    i386 = 0x40000003

    assert {decide(PROGRAM, number, audit=i386) for number in range(400)} == {lock.KILL}


@pytest.mark.parametrize("number", [0x40000000, 0x40000001, 0x400000E7, 0xFFFFFFFF])
def test_the_x32_calls_kill(number):
    assert decide(PROGRAM, number, 0, 4096, 1) == lock.KILL


def test_no_rule_makes_memory_executable():
    assert "mprotect" not in {rule.call for rule in lock.RULES}
    assert len(PROGRAM) // 8 <= 80


@pytest.mark.parametrize("machine", ["aarch64", "riscv64", "i686"])
def test_a_machine_on_which_it_was_never_executed_is_refused(machine):
    with pytest.raises(lock.LockRefused, match=rf'"{machine}".*tried on x86_64'):
        lock.architecture(machine, (3, 11))


def test_aarch64_is_there_as_data_and_decides_alike():
    arm = lock.ARCHITECTURES["aarch64"]
    program = lock.program(arm)

    assert not arm.executed
    assert decide(program, arm.numbers["read"], 0, 4096, 1, audit=arm.audit) == lock.ALLOW
    assert decide(program, arm.numbers["read"], 1, 4096, 1, audit=arm.audit) == lock.KILL
    assert decide(program, arm.numbers["openat"], audit=arm.audit) == ENOENT
    assert decide(program, 221, audit=arm.audit) == lock.KILL
    assert decide(program, arm.numbers["read"], 0, 4096, 1, audit=X86.audit) == lock.KILL


@pytest.mark.parametrize("python", [(3, 10), (3, 14), (4, 0)])
def test_a_python_under_which_it_was_not_tried_is_refused(python):
    with pytest.raises(lock.LockRefused, match=r"not tried under Python"):
        lock.architecture("x86_64", python)


@pytest.mark.parametrize("python", lock.PYTHONS)
def test_the_pythons_it_was_tried_under_are_accepted(python):
    assert lock.architecture("x86_64", python) is X86
