"""Bundles whose `__main__.py` is another one: guests that do not lock, or that run what no dialect has seen.

The production guest has no switch for any of this: only who writes the bundle can do it.
"""

from __future__ import annotations

from pathlib import Path

from runner.sandbox.bundle import Bundle

_SERVE = """
import runner.guest.__main__ as guest
from runner.guest import kernel, lock
{parts}
guest.serve("{digest}", prepare_lock=prepare_lock, conduct=conduct)
"""

UNLOCKED = """
conduct = guest.conduct
def prepare_lock():
    return lambda: None
"""

TWO_FILTERS = """
conduct = guest.conduct
def prepare_lock():
    engage = lock.prepare()
    allow_all = b"".join(__import__("struct").pack("<HBBI", *step) for step in [(6, 0, 0, lock.ALLOW)])
    def both():
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        kernel.install_filter(317, allow_all)
        engage()
    return both
"""

SECOND_THREAD = """
import threading, time
conduct = guest.conduct
# The limit on processes would refuse the thread.
guest.warm.confine = lambda memory: None
def prepare_lock():
    engage = lock.prepare()
    def with_company():
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        # Let it fall asleep: any call to the kernel after the lock would kill both.
        time.sleep(0.1)
        engage()
    return with_company
"""

BROKEN_LOCK = """
conduct = guest.conduct
def prepare_lock():
    def engage():
        raise OSError("the kernel said no")
    return engage
"""

NO_LOCK_TO_HAVE = """
conduct = guest.conduct
def prepare_lock():
    raise lock.LockRefused("this kernel has none")
"""

# After the lock the text of Start runs as it is, with ctypes at hand.
NO_DIALECT = """
import ctypes, mmap, os, select, signal, socket, subprocess, sys, threading
from runner.guest.pipe import leave
from runner.guest.wire import Output, encode_guest
prepare_lock = lock.prepare
_system_call = kernel._libc.syscall

def conduct(pipe, start):
    def tell(value):
        pipe.say(encode_guest(Output(repr(value))))
        pipe.flush()
    def call(number, *arguments):
        ctypes.set_errno(0)
        done = _system_call(ctypes.c_long(number), *map(ctypes.c_long, arguments))
        return done if done >= 0 else -ctypes.get_errno()
    page = ctypes.create_string_buffer(8192)
    at = ctypes.addressof(page)
    def path(text):
        page.value = text
        return at
    names = {"tell": tell, "call": call, "at": at, "path": path, **globals()}
    try:
        exec(start.script, names)
    except Exception as error:
        tell((type(error).__name__, str(error)))
    leave(0)
"""


def bundle_with_main(folder: Path, parts: str, real: Bundle) -> Bundle:
    """Return a bundle that has all of the real one but begins differently."""
    folder.mkdir()
    for package in ("runner", "RestrictedPython"):
        (folder / package).symlink_to(real.path / package)
    (folder / "__main__.py").write_text(_SERVE.format(parts=parts, digest=real.digest))
    return Bundle(folder, real.digest)
