"""The few system calls that the standard library does not offer: prctl, seccomp, capset.

Everything that ctypes must look up or allocate is done at import, before the lock. Nothing here decides anything.
"""

from __future__ import annotations

import ctypes
import os

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38

SECCOMP_SET_MODE_FILTER = 1
SECCOMP_GET_ACTION_AVAIL = 2
SECCOMP_FILTER_FLAG_TSYNC = 1

_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_prctl = _libc.prctl
_prctl.restype = ctypes.c_int
_prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]


class _SockFprog(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _refused(call: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{call}: {os.strerror(code)}")


def prctl(option: int, value: int = 0) -> None:
    """Raise OSError when the kernel refuses."""
    if _prctl(option, value, 0, 0, 0) != 0:
        raise _refused(f"prctl({option}, {value})")


def filter_refusal(number: int, action: int) -> str:
    """Return why the kernel would not take a filter with this action; "" when it would."""
    wanted = ctypes.c_uint32(action)
    done = _syscall(
        ctypes.c_long(number), ctypes.c_ulong(SECCOMP_GET_ACTION_AVAIL), ctypes.c_ulong(0), ctypes.byref(wanted)
    )
    return "" if done == 0 else os.strerror(ctypes.get_errno())


def install_filter(number: int, program: bytes) -> None:
    """Put a seccomp filter over every thread of this process; `number` is that of the seccomp call here.

    Raises OSError: nothing was installed.
    """
    code = ctypes.create_string_buffer(program, len(program))
    described = _SockFprog(len(program) // 8, ctypes.addressof(code))
    done = _syscall(
        ctypes.c_long(number),
        ctypes.c_ulong(SECCOMP_SET_MODE_FILTER),
        ctypes.c_ulong(SECCOMP_FILTER_FLAG_TSYNC),
        ctypes.byref(described),
    )
    # A positive answer names a thread that could not be taken along.
    if done != 0:
        raise _refused("seccomp") if done < 0 else OSError(f"seccomp: thread {done} stays outside")


def drop_capabilities() -> None:
    """Give up every capability of this thread: effective, permitted and inheritable. Raises OSError."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    if _libc.capset(ctypes.byref(header), ctypes.byref(data)) != 0:
        raise _refused("capset")


def drop_bounding_set() -> None:
    """Take every capability out of the bounding set; needs CAP_SETPCAP. Raises OSError."""
    for capability in range(64):
        if _prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            # EINVAL: the kernel knows no capability with this number, nor any above.
            if ctypes.get_errno() == 22 and capability > 30:
                return
            raise _refused(f"prctl(PR_CAPBSET_DROP, {capability})")
