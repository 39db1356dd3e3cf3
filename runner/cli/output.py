"""Write to the two streams of the process: data to stdout, everything else to stderr.

stdout is UTF-8 whatever the locale says, because it is data. A reader that closed the pipe ends the
writing, not the run: the verb goes on and its exit code stays true. A disk that is full is a StoreError.

Not here: what is written.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from runner.errors import StoreError
from runner.models import Json


def put(text: str) -> bool:
    """Write text and a line feed to stdout, at once. False when nobody reads any more.

    Raises StoreError: stdout cannot be written, such as on a full disk.
    """
    # None: the process was started with stdout closed.
    if sys.stdout is None:
        return False
    try:
        if hasattr(sys.stdout, "buffer"):
            sys.stdout.flush()
            sys.stdout.buffer.write(text.encode("utf-8", "replace") + b"\n")
        else:
            sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _to_nowhere(1)
        return False
    except (OSError, ValueError) as error:
        _to_nowhere(1)
        raise StoreError(f"stdout could not be written: {error}", hint="`runner show RUN` tells the result") from error
    return True


def put_json(value: Json, *, indent: bool | None = None) -> bool:
    """Write JSON to stdout: indented for a terminal, one compact line otherwise, unless `indent` says."""
    from runner.cli.text import json_text

    return put(json_text(value, indent=stdout_is_terminal() if indent is None else indent))


def say(text: str) -> None:
    """Write a line to stderr. Nobody there to read it is no error."""
    if sys.stderr is None:
        return
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        _to_nowhere(2)


@contextmanager
def stdout_for_the_result() -> Iterator[None]:
    """Within, whatever writes to stdout (an agent's print, a library's C code) reaches stderr instead."""
    if sys.stdout is None:
        yield
        return
    try:
        sys.stdout.flush()
        kept = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # One of the two is closed: there is nothing to keep apart.
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def stdout_is_terminal() -> bool:
    return _is_terminal(1)


def stderr_is_terminal() -> bool:
    """True when a live view can be drawn on stderr."""
    return _is_terminal(2) and os.environ.get("TERM", "") not in ("", "dumb")


def _is_terminal(number: int) -> bool:
    try:
        return os.isatty(number)
    except OSError:
        return False


def _to_nowhere(number: int) -> None:
    # The interpreter flushes its streams once more when it ends, and would complain there.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
