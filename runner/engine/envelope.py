"""How a call ended as one JSON object, the same at every door: what `--json` prints, and what a caller is handed.

Documented field by field in docs/cli.md, as a schema in docs/run-envelope.schema.json. A field is never
left out; what does not apply is null or empty. A field may be added within a version, and none is
removed, renamed or given another meaning without a new version.

Not here: what to do next, which each door says in its own words.
"""

from __future__ import annotations

from dataclasses import asdict

from runner.errors import ExitCode, RunnerError
from runner.events import RunView
from runner.models import STATE_EXIT, Finding, Json, RunError, RunResult, RunState, Severity, Usage

VERSION = 1


def of_result(result: RunResult) -> dict[str, Json]:
    """Return the envelope of a run that ended."""
    return {
        **_empty(result.exit_code),
        "run": result.run,
        "script": result.script,
        "state": str(result.state),
        "result": result.result,
        "error": _error(result.error),
        "spawns": dict(result.spawns),
        "usage": asdict(result.usage),
        "sandbox": result.sandbox or None,
        "findings": [finding_object(finding) for finding in result.findings],
    }


def of_view(view: RunView) -> dict[str, Json]:
    """Return the envelope of a run as its journal tells it: ended, live or interrupted.

    Its exit code is null until it has ended; its spawns are counted whole, queued and running too.
    """
    code = ended_code(view.state)
    counts: Json = dict(view.counts())
    return {**of_result(result_of(view)), "exit_code": None if code is None else int(code), "spawns": counts}


def of_error(error: BaseException, code: ExitCode, *, run: str | None = None) -> dict[str, Json]:
    """Return the envelope of a call that has no run to tell of: nothing was started, or nothing is known."""
    message = error.message if isinstance(error, RunnerError) else str(error)
    hint = error.hint if isinstance(error, RunnerError) else ""
    return {**_empty(code), "run": run, "error": _error(RunError(type(error).__name__, message, hint=hint))}


def result_of(view: RunView) -> RunResult:
    """Return the end of a run, as its journal tells it, in the form that `Runner.run` returns it."""
    return RunResult(
        run=view.run,
        state=view.state,
        result=view.result,
        error=view.error,
        spawns=settled(view),
        usage=view.usage,
        script=view.script,
        findings=findings_of(view),
        sandbox=str(view.sandbox.get("kind", "")),
    )


def settled(view: RunView) -> dict[str, int]:
    """Return the settled spawns by outcome; of an ended run these are all."""
    return {kind: count for kind, count in view.counts().items() if kind not in ("queued", "running")}


def findings_of(view: RunView) -> tuple[Finding, ...]:
    return tuple(Finding(**{**found, "severity": Severity(found["severity"])}) for found in view.findings)


def ended_code(state: RunState) -> ExitCode | None:
    """Return the exit code of a run in this state: 6 where its host is gone, None while it has not ended."""
    return ExitCode.SANDBOX if state is RunState.INTERRUPTED else STATE_EXIT.get(state)


def finding_object(finding: Finding) -> dict[str, Json]:
    return {**asdict(finding), "severity": str(finding.severity)}


def _empty(code: ExitCode) -> dict[str, Json]:
    return {
        "version": VERSION, "run": None, "script": None, "state": None, "exit_code": int(code), "result": None,
        "error": None, "spawns": {}, "usage": asdict(Usage()), "sandbox": None, "findings": [], "story": None,
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
