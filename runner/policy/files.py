"""Read the files that a policy consists of: itself, its includes, its schema files. Loading reads nothing else.

Not here: values by reference (references), which are read at use.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from runner.errors import PolicyError
from runner.policy.source import MAX_CHARS, Source, read_json, read_yaml


def read_source(path: Path, *, shown: str, asked_by: tuple[str, int] = ("", 0)) -> Source:
    """Return the value of a YAML file, or of a JSON file by its ending (a lock is one).

    `shown` names it in errors; `asked_by` is the file and line that asked for it.
    Raises PolicyError: it cannot be read, or is no text, or is broken.
    """
    text = _read_text(path, shown, asked_by)
    return read_json(text, file=shown) if path.suffix in (".json", ".lock") else read_yaml(text, file=shown)


def read_script_text(path: Path, *, shown: str, asked_by: tuple[str, int], most_bytes: int) -> str:
    """Return the text of a script that a policy names. Raises PolicyError: it cannot be read, or is too large."""
    text = _read_text(path, shown, asked_by, most_bytes + 1)
    if len(text.encode()) > most_bytes:
        message = f'"{shown}" is larger than {most_bytes // 1024} KiB'
        raise PolicyError(message, file=asked_by[0], line=asked_by[1], hint="a script of an agent stands in its policy")
    return text


def _read_text(path: Path, shown: str, asked_by: tuple[str, int], most: int = 4 * MAX_CHARS + 1) -> str:
    file, line = asked_by if asked_by[0] else (shown, 0)
    try:
        # Not blocking: a named pipe would wait for its writer for ever.
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = str(error.strerror) if isinstance(error, OSError) else "it is no path"
        raise PolicyError(
            f'"{shown}" cannot be read: {reason.lower()}', file=file, line=line, hint=_hint(path)
        ) from error
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise PolicyError(f'"{shown}" is not a file', file=file, line=line, hint="name the file itself")
        with open(number, "rb", closefd=False) as opened:
            data = opened.read(most)
    finally:
        os.close(number)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        at = data.count(b"\n", 0, error.start) + 1
        raise PolicyError("it is not UTF-8", file=shown, line=at, hint="save the file as UTF-8 text") from None


def _hint(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f'the folder "{folder}" does not exist'
    return "correct the path; `runner init` writes a policy to start from" if not path.exists() else ""
