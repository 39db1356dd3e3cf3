"""Refuse, before anything is started, a Python or a processor on which no guest was ever tried.

Every sandbox asks here first: the image is made from this interpreter, so what holds for the host holds for the guest,
which would refuse itself too (guest.lock).

Not here: whether this kernel has filters and a /proc that shows them (proc, process).
"""

from __future__ import annotations

from runner.errors import SandboxUnavailable
from runner.guest import lock


def require_verified(kind: str) -> None:
    """Raise SandboxUnavailable where the lock is unverified. Nothing was started, and retrying cannot help."""
    try:
        lock.architecture()
    except lock.PythonRefused as refused:
        tried = ", ".join(f"{major}.{minor}" for major, minor in lock.PYTHONS)
        raise SandboxUnavailable(f"sandbox {kind}: {refused}", hint=f"run it with one of Python {tried}") from None
    except lock.LockRefused as refused:
        tried = ", ".join(name for name, known in lock.ARCHITECTURES.items() if known.executed)
        raise SandboxUnavailable(f"sandbox {kind}: {refused}", hint=f"run it on {tried}") from None
