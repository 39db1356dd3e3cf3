"""The JSON object that `--json` prints, for every exit code: the envelope of all doors, and the command to run next.

Not here: its form (engine.envelope), which exit code an exception has (errors), writing it (ends, output).
"""

from __future__ import annotations

from runner.engine import envelope
from runner.errors import ExitCode, ReviewNeeded, RunnerError, RunNotFound
from runner.events import RunView
from runner.guest.wire import OK
from runner.models import Json, RunResult, RunState

VERSION = envelope.VERSION


def of_result(result: RunResult, *, path: str = "", policy: str = "") -> dict[str, Json]:
    """Return the envelope of a run that ended. `path` and `policy` are the caller's words, where known."""
    good = result.spawns.get(OK, 0)
    then = next_command(result.state, run=result.run, path=path, policy=policy, good=good)
    return {**envelope.of_result(result), "next": then}


def of_view(view: RunView, *, story: Json = None) -> dict[str, Json]:
    """Return the envelope of a run as its journal tells it: ended, live or interrupted.

    Its exit code is null until it has ended. `story` is what `show` tells beside (flags.story_object).
    """
    then = next_command(view.state, run=view.run, good=view.counts().get(OK, 0))
    return {**envelope.of_view(view), "next": then, "story": story}


def of_error(error: BaseException, code: ExitCode, *, run: str | None = None) -> dict[str, Json]:
    """Return the envelope of a call that has no run to tell of: nothing was started, or nothing is known."""
    return {**envelope.of_error(error, code, run=run), "next": next_after_error(error, code)}


def next_command(state: RunState, *, run: str, path: str = "", policy: str = "", good: int = 0) -> str:
    """Return the one command that a person or a model would want after a run in this state.

    `path` is the script's file, "" or "-" where there is none to ask about again; `good` how many spawns ended well.
    """
    named = path not in ("", "-")
    under = f" --policy {quoted(policy)}" if policy else ""
    if state is RunState.REJECTED and named:
        return f"runner check {quoted(path)}{under} --format model"
    if state in (RunState.FAILED, RunState.LIMIT) and good:
        return f"runner run {quoted(path) if named else 'FIXED.py'}{under} --reuse {run}"
    if state is RunState.INTERRUPTED:
        return f"runner resume {run}"
    if state is RunState.CRASHED:
        return "runner doctor"
    if state in (RunState.RUNNING, RunState.WAITING):
        return f"runner watch {run}"
    return f"runner show {run}"


def next_after_error(error: BaseException, code: ExitCode) -> str | None:
    """Return the command after an error that left no run; None where there is no one command."""
    if isinstance(error, RunNotFound):
        return "runner runs"
    if isinstance(error, RunnerError) and "runner init" in error.hint:
        return "runner init"
    if isinstance(error, ReviewNeeded) and error.hint.startswith("runner approve "):
        return error.hint
    return {
        ExitCode.USAGE: "runner --help",
        ExitCode.SANDBOX: "runner doctor",
        ExitCode.STORE: "runner doctor",
        ExitCode.STOPPED: "runner runs",
    }.get(code)


def quoted(text: str) -> str:
    """Return a text as one word of a shell's command line."""
    import shlex

    return shlex.quote(text)
