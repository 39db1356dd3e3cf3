"""The JSON object that `--json` prints: one form, versioned, for every exit code.

Documented field by field in docs/cli.md, as a schema in docs/run-envelope.schema.json. A field is never
left out; what does not apply is null or empty. A field may be added within a version, and none is
removed, renamed or given another meaning without a new version.

Not here: which exit code an exception has (errors), writing it (ends, output).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from runner.errors import ExitCode, ReviewNeeded, RunnerError, RunNotFound
from runner.events import RunView
from runner.guest.wire import OK
from runner.models import STATE_EXIT, Finding, Json, RunError, RunResult, RunState, Usage

VERSION = 1


def of_result(result: RunResult, *, path: str = "", policy: str = "") -> dict[str, Json]:
    """Return the envelope of a run that ended. `path` and `policy` are the caller's words, where known."""
    return {
        **_empty(result.exit_code),
        "run": result.run,
        "script": result.script,
        "state": str(result.state),
        "result": result.result,
        "error": _error(result.error),
        "spawns": dict(result.spawns),
        "usage": _usage(result.usage),
        "sandbox": result.sandbox or None,
        "findings": [_finding(finding) for finding in result.findings],
        "next": next_command(
            result.state, run=result.run, path=path, policy=policy, good=result.spawns.get(OK, 0)
        ),
    }


def of_view(view: RunView, *, story: Json = None) -> dict[str, Json]:
    """Return the envelope of a run as its journal tells it: ended, live or interrupted.

    Its exit code is null until it has ended. `story` is what `show` tells beside (flags.story_object).
    """
    from runner.cli.story import result_of

    found = of_result(result_of(view))
    code = ended_code(view.state)
    found["exit_code"] = None if code is None else int(code)
    found["spawns"] = view.counts()
    found["story"] = story
    return found


def of_error(error: BaseException, code: ExitCode, *, run: str | None = None) -> dict[str, Json]:
    """Return the envelope of a call that has no run to tell of: nothing was started, or nothing is known."""
    message = error.message if isinstance(error, RunnerError) else str(error)
    hint = error.hint if isinstance(error, RunnerError) else ""
    return {
        **_empty(code),
        "run": run,
        "error": _error(RunError(type(error).__name__, message, hint=hint)),
        "next": next_after_error(error, code),
    }


def ended_code(state: RunState) -> ExitCode | None:
    """Return the exit code of a run in this state: 6 where its host is gone, None while it has not ended."""
    return ExitCode.SANDBOX if state is RunState.INTERRUPTED else STATE_EXIT.get(state)


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


def _empty(code: ExitCode) -> dict[str, Json]:
    return {
        "version": VERSION, "run": None, "script": None, "state": None, "exit_code": int(code), "result": None,
        "error": None, "spawns": {}, "usage": _usage(Usage()), "sandbox": None, "findings": [], "story": None,
        "next": None,
    }  # fmt: skip


def _error(error: RunError | None) -> Json:
    if error is None:
        return None
    return {
        "kind": error.kind,
        "message": error.message,
        "line": error.line or None,
        "hint": error.hint or None,
        "trace": [{"line": line, "function": function} for line, function in error.trace],
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return asdict(usage)


def _finding(finding: Finding) -> dict[str, Json]:
    return {**asdict(finding), "severity": str(finding.severity)}
