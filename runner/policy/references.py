"""Values that are kept outside of the policy: `env:NAME`, `file:PATH`, `command: [...]`.

A value is read at use and handed to its user; nothing here keeps it, and no error shows it. `redact` takes values
out of a text that others will see.

Not here: which entry may have one (fields), what uses it (agents).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from runner.errors import PolicyError
from runner.policy.model import Reference

# A private key with its chain has 10 KB.
MAX_VALUE_BYTES = 64 * 1024
# A password store that asks a remote vault answers within a second or two.
COMMAND_TIMEOUT_SECONDS = 10.0
REDACTED = "[redacted]"

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def parse_reference(text: str) -> Reference | None:
    """Return the reference that a text is, or None for a literal. Raises ValueError for a broken one."""
    kind, colon, target = text.partition(":")
    if not colon or kind not in ("env", "file"):
        return None
    if kind == "env" and not VARIABLE.fullmatch(target):
        raise ValueError('"env:" and the name of an environment variable')
    if kind == "file" and (not target.strip() or "\0" in target):
        raise ValueError('"file:" and a path')
    return Reference(kind, (target,))


def read_reference(ref: Reference, folder: Path) -> str:
    """Return the value now. Relative paths resolve against `folder`; one line end behind the value is dropped.

    Blocks: a command up to COMMAND_TIMEOUT_SECONDS. Raises PolicyError that does not hold the value.
    """
    data = {"env": _from_environment, "file": _from_file, "command": _from_command}[ref.kind](ref, folder)
    if len(data) > MAX_VALUE_BYTES:
        raise PolicyError(f"{ref} has more than {MAX_VALUE_BYTES:,} bytes")
    try:
        value = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise PolicyError(f"{ref} is not UTF-8") from None
    if not value or "\0" in value:
        raise PolicyError(f"{ref} is {'empty' if not value else 'no text: it has a NUL character'}")
    return value


def redact(text: str, values: Iterable[str]) -> str:
    """Return the text with each value replaced, also where it stands JSON-escaped, percent-encoded or in base64."""
    found = {form for value in values if value for form in forms(value)}
    for form in sorted(found, key=len, reverse=True):
        text = text.replace(form, REDACTED)
    return text


def forms(value: str) -> set[str]:
    """Return a value in the spellings in which it is looked for: plain, JSON-escaped, percent-encoded, base64."""
    data = value.encode("utf-8", "surrogatepass")
    encoded = base64.b64encode(data).decode()
    return {
        value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], quote(data, safe=""),
        encoded, encoded.rstrip("="), base64.urlsafe_b64encode(data).decode().rstrip("="),
    }  # fmt: skip


def _from_environment(ref: Reference, folder: Path) -> bytes:
    value = os.environb.get(ref.target[0].encode())
    if value is None:
        raise PolicyError(f"{ref} is not set", hint=f"export {ref.target[0]} where runner is started")
    return value


def _from_file(ref: Reference, folder: Path) -> bytes:
    path = folder / Path(ref.target[0]).expanduser()
    try:
        # Not blocking: a named pipe would wait for its writer for ever.
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        hint = "correct the path, or write the file"
        raise PolicyError(f"{ref} cannot be read: {str(error.strerror).lower()}", hint=hint) from None
    try:
        _require_private(ref, os.fstat(number))
        with open(number, "rb", closefd=False) as opened:
            return opened.read(MAX_VALUE_BYTES + 1)
    finally:
        os.close(number)


def _require_private(ref: Reference, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PolicyError(f"{ref} is not a file")
    if status.st_uid not in (os.geteuid(), 0):
        raise PolicyError(f"{ref} belongs to another user", hint="chown it to the user that starts runner")
    # Who can write it can choose the value; who can read it has it.
    if status.st_mode & (stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH):
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        raise PolicyError(f"{ref} can be read or written by others (mode {mode})", hint=f"chmod 600 {ref.target[0]}")


def _from_command(ref: Reference, folder: Path) -> bytes:
    try:
        process = subprocess.Popen(
            list(ref.target), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        reason = str(error.strerror).lower() if isinstance(error, OSError) else "its arguments cannot be passed"
        raise PolicyError(f"{ref} cannot be started: {reason}", hint="install it, or correct the command") from None
    try:
        data, _ = process.communicate(timeout=COMMAND_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise PolicyError(
            f"{ref} took longer than {COMMAND_TIMEOUT_SECONDS:g} s", hint="run it by hand: it may wait for a question"
        ) from None
    finally:
        _kill(process)
    if process.returncode != 0:
        raise PolicyError(f"{ref} ended with status {process.returncode}", hint="run it by hand to see why")
    return data


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole session of a command and reap it. What it printed is dropped."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdout is not None:
        process.stdout.close()
    process.wait()
