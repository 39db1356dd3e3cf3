"""The command line: `runner VERB ...`. A door without rules of its own.

Each verb calls the engine (or check, policy, doctor) once and shows what came back: the data on stdout,
everything else on stderr, the exit code from the one table in `errors`. A verb's module is imported when
the verb is asked for, and what is heavy is imported inside the verb.

Not here: what a run is (engine), what a verdict says (check).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from runner.errors import UsageError


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    from runner.cli.ends import guarded

    words = list(sys.argv[1:] if args is None else args)
    return guarded(lambda: _parsed(words), words)


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
