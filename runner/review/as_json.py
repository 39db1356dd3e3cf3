"""A report as one JSON object, for programs. docs/review-report.schema.json holds its form.

Whole: nothing is cut or escaped, as it is data. A reader that shows something of it escapes that.

Not here: SARIF (sarif), writing it (cli).
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from runner.models import Json
from runner.review import graph_text
from runner.review.report import NOT_INNOCENCE, FaultCase, Report

VERSION = 1
"""Of this format. A field may be added under the same version; one that goes or changes its meaning makes the next."""


def to_json(report: Report) -> Json:
    """Return the report as a JSON value."""
    whole: dict[str, Json] = {"version": VERSION, "flagged": report.flagged, "note": NOT_INNOCENCE, **_fields(report)}
    verdict: dict[str, Json] = {"accepted": report.verdict.accepted, **_fields(report.verdict)}
    # The reach stands once, with what it means under the policy.
    del verdict["reach"]
    whole["verdict"] = verdict
    if report.rehearsal is not None:
        whole["rehearsal"] = {**_fields(report.rehearsal), "graph": graph_text.to_json(report.rehearsal.graph)}
    return whole


def _fields(value: Any) -> dict[str, Json]:
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


def _plain(value: Any) -> Json:
    if isinstance(value, FaultCase):
        faults: Json = [{"spawn": n, "kind": kind} for n, kind in value.faults]
        return {**_fields(value), "faults": faults}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, str):
        return str(value)
    if is_dataclass(value):
        return _fields(value)
    found: Json = value
    return found
