"""The folder that holds the store: where it is, and that it belongs to this user alone.

What lies in it decides what a run is said to have done, so a folder that somebody else owns or may
write to is refused, not repaired.

Not here: what is in the folder (schema, lease).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from runner.errors import StoreError


def default_home() -> Path:
    """Return $RUNNER_HOME, else $XDG_STATE_HOME/runner, else ~/.local/state/runner. Touches nothing.

    A relative XDG_STATE_HOME is ignored, as its specification says.
    """
    if own := os.environ.get("RUNNER_HOME"):
        return Path(own).expanduser().absolute()
    state = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(state):
        return Path(state) / "runner"
    try:
        return Path.home() / ".local" / "state" / "runner"
    except RuntimeError as error:
        raise StoreError("this user has no home folder", hint="set RUNNER_HOME to a folder of yours") from error


def home_folder() -> Path:
    """Return the default home, made and private. Raises StoreError."""
    return private_folder(default_home())


def private_folder(path: Path) -> Path:
    """Make a folder with mode 0700 unless it is there, and check that it is only ours.

    Raises:
        StoreError: It cannot be made, is no folder, belongs to another user, or others may write to it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise StoreError(
            f'cannot make the folder "{path}": {error.strerror or error}', hint="set RUNNER_HOME to a folder of yours"
        ) from error
    if found.st_uid != os.geteuid():
        raise StoreError(
            f'the folder "{path}" belongs to user {found.st_uid}, this is user {os.geteuid()}',
            hint="set RUNNER_HOME to a folder of yours",
        )
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise StoreError(
            f'others may write to the folder "{path}" (mode {stat.S_IMODE(found.st_mode):04o})',
            hint=f'chmod 0700 "{path}", once you know who wrote to it',
        )
    return path


def touch_private(path: Path) -> int:
    """Open a file of the home for reading and writing, made with mode 0600. Closed when a program is started."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
