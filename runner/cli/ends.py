"""How a process of the command line ends: the one place where an exception becomes an exit code.

    RunnerError                        its exit_code (errors.py), message and hint on stderr
    a usage error of the argument parser   2
    KeyboardInterrupt, SIGTERM, SIGHUP 130
    anything else                      70, a defect of runner: a crash file beside the store

With `--json` anywhere among the arguments the envelope goes to stdout as well, whatever went wrong.
A traceback is shown only with RUNNER_DEBUG=1.

Not here: how a *run* ended (models.STATE_EXIT); that is no exception.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from runner.errors import ExitCode, RunnerError, StoreError, UsageError


def guarded(act: Callable[[], int], args: Sequence[str]) -> int:
    """Call `act` and return its exit code, or the one of what it raised."""
    try:
        return act()
    except KeyboardInterrupt as error:
        return _told(error, ExitCode.STOPPED, args, lines=["stopped"])
    except RunnerError as error:
        if error.exit_code is ExitCode.DEFECT:
            return _defect(error, args)
        return _told(error, error.exit_code, args, lines=error_lines(error))
    except Exception as error:
        return _defect(error, args)


def terminate_as_interrupt() -> None:
    """Let SIGTERM and SIGHUP end a verb as Ctrl-C does. A SIGHUP that is ignored (nohup) stays ignored."""
    import signal

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, interrupt)


def wants_json(args: Sequence[str]) -> bool:
    return "--json" in args


def error_lines(error: RunnerError) -> list[str]:
    """Return what a person reads of an error: who asked what, then the fix."""
    from runner.printable import clean_block

    kind = "usage" if type(error) is UsageError else "error"
    lines = [f"{kind}: {clean_block(error.message)}"]
    if error.hint:
        lines += [f"hint: {clean_block(line)}" for line in error.hint.splitlines()]
    return lines


def _told(error: BaseException, code: ExitCode, args: Sequence[str], *, lines: list[str]) -> int:
    from runner.cli.output import put_json, say

    for line in lines:
        say(line)
    if wants_json(args):
        from runner.cli.envelope import of_error

        try:
            put_json(of_error(error, code))
        except RunnerError as unwritten:
            say(f"error: {unwritten.message}")
    return int(code)


def _defect(error: Exception, args: Sequence[str]) -> int:
    if os.environ.get("RUNNER_DEBUG"):
        import traceback

        traceback.print_exception(error)
    from runner.printable import clean

    lines = [f"defect: {type(error).__name__}: {clean(str(error), limit=300)}"]
    where = _crash_file(error)
    trace = f"its traceback is in {where}" if where else "RUNNER_DEBUG=1 shows its traceback"
    lines.append(f"hint: this is a defect of runner: {trace}")
    return _told(error, ExitCode.DEFECT, args, lines=lines)


def _crash_file(error: Exception) -> Path | None:
    """Write the traceback beside the store, readable by its owner alone; None when that is impossible too."""
    import traceback

    from runner.journal import home_folder, private_folder

    try:
        folder = private_folder(home_folder() / "crashes")
        path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}-{time.monotonic_ns()}.txt"
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write("".join(traceback.format_exception(error)))
    except (OSError, StoreError):
        return None
    return path
