"""What a caller is handed of a call: the fields of the one envelope that a model needs, bounded, and what to do next.

The fields mean what they mean in docs/cli.md. `advice` is in words for a model; `omitted_bytes` is the size of
a result that was too large to be handed over.

Not here: the whole envelope (engine.envelope), its bounds (engine.bounded), the wording of findings (check.render).
"""

from __future__ import annotations

from collections.abc import Iterable

from runner.check.render import MAX_FOR_MODEL, findings_for_model
from runner.engine import bounded, envelope
from runner.engine.bounded import text
from runner.errors import ReviewNeeded, RunnerError
from runner.models import Json, RunError, RunResult, RunState
from runner.printable import clean
from runner.review.report import Report

FIELDS = ("version", "run", "script", "state", "result", "error", "spawns", "findings")
"""Of the whole envelope."""
MENDABLE = (RunState.FAILED, RunState.LIMIT)
"""Where another script could do better."""


def of_result(ran: RunResult, *, agents: Iterable[str], most_bytes: int) -> dict[str, Json]:
    """Return what is handed on of a run. A result of more than `most_bytes` is counted instead."""
    whole = _bounded(envelope.of_result(ran))
    value, size = bounded.result(ran.result, most_bytes)
    if not size:
        return {**whole, "advice": advice(ran, agents), "omitted_bytes": 0}
    said = (
        f"The result has {size:,} bytes; {most_bytes:,} are handed over. Run a script that returns less of it. Whoever "
        f"started this finds the whole in run {ran.run}."
    )
    return {**whole, "result": value, "advice": said, "omitted_bytes": size}


def of_error(error: RunnerError) -> dict[str, Json]:
    """Return what is handed on where nothing was started."""
    whole = _bounded(envelope.of_error(error, error.exit_code))
    said = text(error.hint)
    if isinstance(error, ReviewNeeded):
        said = (
            "A person must decide before this script runs. Do not write another one to avoid that: hand on what "
            f"approves it, and call again with the same script once it is approved. {said}"
        ).rstrip()
    return {**whole, "advice": said or None, "omitted_bytes": 0}


def of_report(report: Report, *, agents: Iterable[str]) -> dict[str, Json]:
    """Return what is handed on of a review."""
    rehearsal: Json = None
    if report.rehearsal is not None:
        seen = report.rehearsal
        calls: Json = {agent: dict(counts) for agent, counts in seen.counts.items()}
        rehearsal = {"state": seen.state, "message": text(seen.message), "calls": calls}
    return {
        "version": envelope.VERSION,
        "script": report.script,
        "accepted": report.verdict.accepted,
        "flagged": report.flagged,
        "summary": [text(line) for line in report.first_screen],
        "risks": [
            {
                "severity": str(one.severity),
                "line": one.line or None,
                "message": text(one.message),
                "advice": text(one.advice),
            }
            for one in report.risks[:MAX_FOR_MODEL]
        ],
        "rehearsal": rehearsal,
        "findings": bounded.findings(report.findings, most=MAX_FOR_MODEL),
        "advice": findings_for_model(report.findings, agents),
    }


def advice(ran: RunResult, agents: Iterable[str]) -> str | None:
    """Return what a model should do after this run; None where it went well."""
    if ran.state is RunState.REJECTED:
        return findings_for_model(ran.findings, agents)
    if ran.state in MENDABLE and ran.error is not None:
        return failure_for_model(ran, ran.error)
    return None


def failure_for_model(ran: RunResult, error: RunError) -> str:
    """Return what to hand back to the model whose script failed."""
    at = f" at line {error.line}" if error.line else ""
    lines = [f"The script was accepted and ran, and {_ended(ran)}{at}: {_line(error.kind)}: {_line(error.message)}"]
    if error.hint:
        lines.append(f"Hint: {_line(error.hint)}")
    if ran.spawns:
        counts = ", ".join(f"{count} {kind}" for kind, count in ran.spawns.items())
        lines.append(f"Its spawns: {counts}.")
    return "\n".join([*lines, "Correct that, and answer with the whole script and nothing else."])


def _ended(ran: RunResult) -> str:
    return "reached a limit" if ran.state is RunState.LIMIT else "raised"


def _line(written: str) -> str:
    # In a prompt a line break would let what a script raised look like ours.
    return clean(written, limit=bounded.MAX_TEXT)


def _bounded(whole: dict[str, Json]) -> dict[str, Json]:
    kept = bounded.of_envelope(whole, most_findings=MAX_FOR_MODEL)
    return {name: kept[name] for name in FIELDS}
