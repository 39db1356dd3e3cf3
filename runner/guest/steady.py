"""Give None a hash that is the same in every run, before anything is put into a set.

Until Python 3.11 `hash(None)` is its address, which the kernel places anew at each start: a set of tuples with a None
in them, `{("a", None), ("b", None)}`, then iterates in another order in every run, and no replay could follow. From
3.12 on it is a constant. Here the type's slot is pointed at a C function of the interpreter that answers 0 for None.

It runs before all other imports: a dict made earlier would not find its None again.

Not here: functions and classes, whose hashes are addresses in every version (`hash()` of a script numbers them).
"""

from __future__ import annotations

import ctypes
import sys

# Where tp_hash stands in a PyTypeObject of CPython 3.11: after 15 words of 8 bytes (Include/cpython/object.h).
_TP_HASH = 15 * 8


def steady_none() -> None:
    """Make `hash(None)` 0 where it is an address. Elsewhere, and where the type looks otherwise, do nothing."""
    if sys.version_info >= (3, 12) or ctypes.sizeof(ctypes.c_void_p) != 8:
        return
    of_none = ctypes.c_void_p.from_address(id(type(None)) + _TP_HASH)
    by_address = ctypes.cast(ctypes.pythonapi._Py_HashPointer, ctypes.c_void_p).value
    # PyObject_IsTrue(None) is 0 without looking further, and its argument is that of a hash function.
    if of_none.value == by_address:
        of_none.value = ctypes.cast(ctypes.pythonapi.PyObject_IsTrue, ctypes.c_void_p).value


steady_none()
