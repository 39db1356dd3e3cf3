"""The command line: `runner VERB ...`. A door without rules of its own.

Each verb calls the engine (or check, policy, doctor) once and shows what came back: the data on stdout,
everything else on stderr, the exit code from the one table in `errors`. A verb's module is imported when
the verb is asked for, and what is heavy is imported inside the verb.

Not here: what a run is (engine), what a verdict says (check).
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from runner.errors import UsageError

GARBAGE_OBJECTS = 50_000
"""New objects between two looks for garbage: few in a start, some in a run of thousands of spawns."""


def main() -> NoReturn:
    """Run the command line of this process, and end the process."""
    # What is imported stays: looking through it for garbage every 700 objects costs 20 to 100 ms of a start.
    gc.set_threshold(GARBAGE_OBJECTS, 20, 20)
    _fill_closed_streams()
    code = call(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        # What nobody reads any more, `output` has dealt with.
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    # The engine has closed what it opened. Taking 600 modules apart would cost another 70 ms.
    os._exit(code)


def _fill_closed_streams() -> None:
    """Open /dev/null for a standard stream that was closed: else the store's file would get its number."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)


def call(words: Sequence[str]) -> int:
    """Run one command line and return its exit code. Raises nothing but SystemExit, for shell completion."""
    from runner.cli.ends import guarded

    return guarded(lambda: _parsed(list(words)), words)


def _parsed(words: list[str]) -> int:
    import typer

    from runner.cli.app import command
    from runner.cli.ends import terminate_as_interrupt

    terminate_as_interrupt()
    # BadParameter is the public name; its base is what all errors of the parser share.
    parser_error: type[Exception] = typer.BadParameter.__mro__[2]
    try:
        # "standalone" would end the process inside the parser, with codes of its own.
        code = command().main(words, prog_name="runner", standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except parser_error as error:
        raise _usage(error) from error
    return code if isinstance(code, int) else 0


def _usage(error: BaseException) -> UsageError:
    """Return a parser's error in our words: lower case, no full stop, the help to ask for."""
    format_message = getattr(error, "format_message", lambda: str(error))
    message = str(format_message()).strip().rstrip(".").replace("\n\t", " ")
    context = getattr(error, "ctx", None)
    verb = context.command_path if context is not None else "runner"
    return UsageError(message[:1].lower() + message[1:], hint=f"`{verb} --help` tells what it takes")
