"""What the tools return: the fields of the command line's envelope, and what a model needs beside them.

Each has a bound: a client puts what it gets into a model's context.

Not here: the bounds of what every door hands a model (engine.bounded), when which form is returned (server).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from runner.check.render import findings_for_model
from runner.engine import bounded, envelope
from runner.engine.bounded import text
from runner.errors import ReviewNeeded, RunnerError
from runner.events import RunView
from runner.models import Json, RunResult, RunState
from runner.review.flags import flags_of_report
from runner.review.report import NOT_INNOCENCE, Report
from runner.review.text import lines

# 256 KB are about 65,000 tokens: more than any client lets a tool return.
MAX_RESULT_BYTES = 256 * 1024
MAX_LISTED = 50


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = envelope.VERSION


class FindingForm(BaseModel):
    """One remark of the check, with its fix."""

    rule: str
    severity: Literal["error", "warning"]
    line: int
    column: int
    text: str
    message: str
    fix: str


class PlaceForm(BaseModel):
    line: int
    function: str


class ErrorForm(BaseModel):
    """Why it did not end as done, or was not started."""

    kind: str
    message: str
    line: int | None = None
    hint: str | None = None
    trace: list[PlaceForm] = []


class UsageForm(BaseModel):
    """What a run used: seconds, bytes and counts."""

    wall_seconds: float
    sequential_seconds: float
    cpu_seconds: float
    attempts: int
    reused: int
    parallel_peak: int
    bytes_in: int
    bytes_out: int
    output_bytes: int
    dropped_bytes: int
    result_bytes: int
    log_bytes: int


class RunForm(Form):
    """Where a run stands, or why there is none."""

    run: str | None = Field(
        default=None, description="The run's id, for get_run and stop_run; null where nothing was started."
    )
    script: str | None = None
    state: str | None = Field(
        default=None,
        description="done, failed, rejected, limit, stopped, crashed; waiting or running: call get_run; interrupted: "
        "its host is gone; null: nothing was started.",
    )
    exit_code: int | None = Field(default=None, description="As `runner run` ends; null while it runs.")
    result: Any = Field(default=None, description="The script's result, where state is done.")
    result_left_out: int | None = Field(default=None, description="Bytes of a result that is too large to be returned.")
    error: ErrorForm | None = None
    spawns: dict[str, int] = Field(default={}, description="How many spawns ended as what; live: queued, running too.")
    usage: UsageForm
    sandbox: str | None = None
    findings: list[FindingForm] = []
    findings_left_out: int = 0
    mend: str | None = Field(default=None, description="What to correct in a script that was rejected, in words.")
    approve: str | None = Field(
        default=None, description="The command with which a person lets it run. Nothing else does."
    )
    next: str | None = Field(default=None, description="What to do now.")


class ScopeForm(BaseModel):
    scope: str
    resource: str
    rules: list[str]


class AgentForm(BaseModel):
    """What a script could do with one agent at most."""

    name: str
    effects: str
    isolation: str
    scopes: list[ScopeForm]
    calls_at_most: int | None


class RiskForm(BaseModel):
    rule: str
    severity: Literal["error", "warning"]
    line: int | None
    message: str
    advice: str


class WeaknessForm(BaseModel):
    """A place that one kind of failure brings down."""

    line: int
    agent: str
    kinds: list[str]
    message: str


class RehearsalForm(BaseModel):
    """What it did against mock agents."""

    state: str
    message: str
    spawns: dict[str, dict[str, int]]
    seconds: float
    sequential_seconds: float
    failures_tried: int
    failures_survived: int


class ReviewForm(Form):
    """What a script could do at most, what it did in rehearsal, and what breaks it."""

    script: str | None = None
    digest: str | None = None
    policy: str | None = None
    accepted: bool | None = Field(default=None, description="The check lets it run.")
    flagged: bool | None = Field(default=None, description="A person should look before it runs.")
    risk: Literal["none", "warning", "error"] | None = None
    screen: list[str] = Field(default=[], description="The report's first screen.")
    findings: list[FindingForm] = []
    findings_left_out: int = 0
    mend: str | None = None
    risks: list[RiskForm] = []
    agents: list[AgentForm] = []
    spawns_at_most: int | None = None
    attempts_at_most: int | None = None
    cost_usd_at_most: float | None = None
    rehearsal: RehearsalForm | None = None
    weaknesses: list[WeaknessForm] = []
    changes: list[str] = []
    note: str = NOT_INNOCENCE
    error: ErrorForm | None = None


# --- of a run ----------------------------------------------------------------------------------


def of_result(result: RunResult, *, agents: Iterable[str] = ()) -> RunForm:
    """Return the form of a run that ended. `agents` are those of its policy."""
    return _of_run(envelope.of_result(result), result, agents)


def of_view(view: RunView, *, agents: Iterable[str] = ()) -> RunForm:
    """Return the form of a run as its journal tells it: ended, live, or interrupted."""
    return _of_run(envelope.of_view(view), envelope.result_of(view), agents)


def _of_run(whole: dict[str, Json], ran: RunResult, agents: Iterable[str]) -> RunForm:
    rejected = ran.state is RunState.REJECTED
    value, left_out = bounded.result(ran.result, MAX_RESULT_BYTES)
    return _form(
        whole, result=value, result_left_out=left_out or None,
        findings_left_out=max(0, len(ran.findings) - MAX_LISTED),
        mend=findings_for_model(ran.findings, agents) if rejected else None, next=_next(ran.state, left_out),
    )  # fmt: skip


def of_error(error: RunnerError, *, script: str | None = None, run: str | None = None) -> RunForm:
    """Return the form of a call of which nothing was started, or whose `run` could not be recorded to its end."""
    approve = error.hint if isinstance(error, ReviewNeeded) and error.hint.startswith("runner approve ") else None
    told = "a person must approve it: tell them the command, and call again once they have" if approve else None
    whole = {**envelope.of_error(error, error.exit_code, run=run), "script": script}
    return _form(whole, approve=approve, next=told)


def _form(whole: dict[str, Json], **more: Json) -> RunForm:
    kept = bounded.of_envelope(whole, most_findings=MAX_LISTED)
    return RunForm.model_validate({name: kept[name] for name in kept if name in RunForm.model_fields} | more)


def of_exception(error: RunnerError) -> ErrorForm:
    form = of_error(error).error
    assert form is not None
    return form


def _next(state: RunState, left_out: int) -> str | None:
    if state in (RunState.RUNNING, RunState.WAITING):
        return "call get_run with this run until it has ended, or stop_run"
    if state is RunState.REJECTED:
        return "correct the script as mend says, and call run_script again"
    if left_out:
        return "let the script return less, or read it where the server runs: runner show RUN --json"
    return None


# --- of a review -------------------------------------------------------------------------------


def of_report(report: Report, *, agents: Iterable[str] = ()) -> ReviewForm:
    """Return what a model needs of a review; the whole is `runner review`."""
    changes = report.changes.changes if report.changes is not None else ()
    return ReviewForm(
        script=text(report.script), digest=report.script_digest, policy=text(report.policy),
        accepted=report.verdict.accepted, flagged=report.flagged,
        risk=str(flags_of_report(report).risk),  # type: ignore[arg-type]
        screen=[text(line) for line in lines(report, whole=False)], findings=_findings(report),
        findings_left_out=max(0, len(report.findings) - MAX_LISTED),
        mend=None if report.verdict.accepted else findings_for_model(report.findings, agents),
        risks=[
            RiskForm(rule=one.rule, severity=str(one.severity), line=one.line or None,  # type: ignore[arg-type]
                     message=text(one.message), advice=text(one.advice))
            for one in report.risks[:MAX_LISTED]
        ],
        agents=[
            AgentForm(name=one.name, effects=one.effects, isolation=one.isolation, calls_at_most=one.calls_at_most,
                      scopes=[ScopeForm(scope=scope.scope, resource=scope.resource, rules=list(scope.rules))
                              for scope in one.scopes[:MAX_LISTED]])
            for one in report.reach.agents[:MAX_LISTED]
        ],
        spawns_at_most=report.reach.spawns_at_most, attempts_at_most=report.reach.attempts_at_most,
        cost_usd_at_most=report.reach.cost_usd_at_most, rehearsal=_rehearsal(report),
        weaknesses=[
            WeaknessForm(line=one.line, agent=text(one.agent), kinds=list(one.kinds), message=text(one.message))
            for one in (report.faults.weaknesses if report.faults is not None else ())[:MAX_LISTED]
        ],
        changes=[text(one.message) for one in changes[:MAX_LISTED]],
    )  # fmt: skip


def _findings(report: Report) -> list[FindingForm]:
    return list(map(FindingForm.model_validate, bounded.findings(report.findings, most=MAX_LISTED)))


def _rehearsal(report: Report) -> RehearsalForm | None:
    if report.rehearsal is None:
        return None
    seen, faults = report.rehearsal, report.faults
    return RehearsalForm(
        state=seen.state, message=text(seen.message),
        spawns={text(name): dict(of) for name, of in seen.counts.items()},
        seconds=round(seen.graph.seconds, 3), sequential_seconds=round(seen.graph.sequential_seconds, 3),
        failures_tried=faults.cases if faults is not None else 0,
        failures_survived=faults.survived if faults is not None else 0,
    )  # fmt: skip
