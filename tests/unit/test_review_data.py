"""A report for programs: JSON in the form that docs/ says, SARIF valid under its schema, graphs that no name breaks."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from runner.models import Severity
from runner.review import report as values
from runner.review.as_json import to_json
from runner.review.graph_text import to_dot, to_mermaid
from runner.review.graph_text import to_json as graph_json
from runner.review.remarks import failing, remarks
from runner.review.report import NOT_INNOCENCE
from runner.review.sarif import to_sarif
from tests.unit.reports_by_hand import ATTACK, GRAPH, hostile, large, rejected, rich
from tests.unit.test_check_sarif import VALIDATOR

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "review-report.schema.json").read_text())
VALID = jsonschema_rs.validator_for(SCHEMA)
REPORTS = pytest.mark.parametrize("report", [rich(), hostile(), rejected(), large(300)], ids=["rich", "hostile", "rejected", "large"])


@REPORTS
def test_json_fits_its_schema_and_loses_nothing(report):
    said = json.loads(json.dumps(to_json(report)))

    # A lone surrogate is JSON, as an escape; the validator knows whole characters alone.
    VALID.validate(json.loads(json.dumps(to_json(report)).replace("\\ud800", "?")))
    assert said["version"] == 1
    assert said["flagged"] is report.flagged
    assert said["note"] == NOT_INNOCENCE
    assert [line["text"] for line in said["source"]] == [line.text for line in report.source]


def test_the_schema_takes_nothing_that_it_does_not_name():
    said: Any = json.loads(json.dumps(to_json(rich())))
    said["rehearsal"]["graph"]["nodes"][0]["more"] = 1

    assert not VALID.is_valid(said)


def test_the_page_about_it_names_every_field():
    page = (DOCS / "review-report.md").read_text()
    table = page.partition("## JSON")[2].partition("## SARIF")[0]

    assert set(SCHEMA["properties"]) == {field.name for field in dataclasses.fields(values.Report)} | {"version", "flagged", "note"}
    assert set(SCHEMA["properties"]) <= set(re.findall(r"`(\w+)`", table))


def test_json_of_a_fault_case_names_its_parts():
    said: Any = to_json(rich())

    assert said["faults"]["worst"][0]["faults"] == [{"spawn": 1, "kind": "failed"}, {"spawn": 6, "kind": "timed_out"}]
    assert said["verdict"]["accepted"] is True
    assert "reach" not in said["verdict"]


@REPORTS
def test_sarif_is_valid_and_tells_every_remark(report):
    log: Any = json.loads(json.dumps(to_sarif(report, version="1.2.3")))
    results = log["runs"][0]["results"]

    VALIDATOR.validate(log)
    assert [(result["ruleId"], result["properties"]["kind"]) for result in results] == [
        (remark.rule, remark.kind) for remark in remarks(report)
    ]
    assert log["runs"][0]["artifacts"][0]["hashes"] == {"sha-256": report.script_digest}
    assert log["runs"][0]["properties"]["accepted"] is report.verdict.accepted


def test_sarif_of_a_risk_of_the_whole_script_has_the_file_as_its_place():
    log: Any = to_sarif(rich(), version="1.2.3", path="scripts/vendors.py")
    place = {"uri": "scripts/vendors.py", "index": 0}
    results = {result["ruleId"]: result for result in log["runs"][0]["results"]}

    assert results["no-cost"] == {
        "ruleId": "no-cost", "ruleIndex": 3, "level": "warning",
        "message": {"text": 'the policy does not say what a call of "deep_research" costs. Fix: add `cost_usd` to it'},
        "locations": [{"physicalLocation": {"artifactLocation": place}}],
        "properties": {"fix": "add `cost_usd` to it", "kind": "risk"},
    }  # fmt: skip
    assert results["irreversible-after-untrusted"]["locations"] == [
        {"physicalLocation": {"artifactLocation": place, "region": {"startLine": 13}}}
    ]


@pytest.mark.parametrize(
    ("wanted", "rules"),
    [
        ((), []), (("error",), ["irreversible-after-untrusted"]), (("no-cost", "weakness"), ["no-cost", "weakness", "weakness"]),
        (("warning",), ["unbounded-retry", "spawn-in-loop", "irreversible-after-untrusted", "no-cost", "weakness", "weakness"]),
        (("unknown",), []),
    ],
)  # fmt: skip
def test_what_fails_a_review_is_named_by_rule_or_severity(wanted, rules):
    assert [remark.rule for remark in failing(rich(), wanted)] == rules


def test_a_weakness_is_a_warning_that_says_what_a_failure_does():
    first, second = [remark for remark in remarks(rich()) if remark.kind == "weakness"]

    assert first.severity is Severity.WARNING
    assert first.message == (
        'one failure of "deep_research" (failed, timed_out) ends the script at line 10: SpawnFailed: it was made to fail; 2 spawns'
    )
    assert second.message == 'one failure of "research" (invalid_output) ends the script early; 1 spawn'


def test_a_graph_is_had_as_json_as_it_is():
    said: Any = graph_json(GRAPH)

    assert said["critical_path"] == [4, 8, 9, 11]
    assert said["nodes"][5] == {
        "n": 6, "kind": "spawn", "agent": "summarise", "label": "", "line": 4, "wave": 2, "outcome": "failed", "attempts": 1,
        "asked": 0.0, "started": 4.0, "settled": 5.5, "needs": [2], "after": [], "critical": False,
    }  # fmt: skip


def test_dot_has_a_rank_for_each_wave_and_a_bold_critical_path():
    lines = to_dot(GRAPH).splitlines()

    assert lines[0] == "digraph rehearsal {"
    assert '    n2 [label="#2 research\\nBolt & Sons"];' in lines
    assert '    n6 [label="#6 summarise\\nfailed"];' in lines
    assert '    n11 [label="#11 then", style="rounded,dashed", penwidth=3];' in lines
    assert "  n8 -> n9 [style=dashed, penwidth=3];" in lines
    assert "  n1 -> n5;" in lines
    assert sum("rank=same" in line for line in lines) == 4


def test_mermaid_has_a_subgraph_for_each_wave_and_thick_arrows_on_the_critical_path():
    lines = to_mermaid(GRAPH).splitlines()

    assert lines[:3] == ["flowchart LR", '  subgraph w1["wave 1"]', '    n1["#35;1 research<br/>Acme"]']
    assert '    n3["#35;3 research<br/>Čapek #60;Robots#62;"]' in lines
    assert {"  n8 ==> n9", "  n7 -.-> n9", "  n1 --> n5", "  class n4,n8,n9,n11 critical"} <= set(lines)


def attacked() -> values.Graph:
    rehearsal = hostile().rehearsal
    assert rehearsal is not None
    nodes = tuple(dataclasses.replace(node, label=ATTACK[place * 11 :]) for place, node in enumerate(rehearsal.graph.nodes))
    return dataclasses.replace(rehearsal.graph, nodes=nodes)


def test_no_name_ends_a_label_of_mermaid_or_makes_mark_up_there():
    for line in to_mermaid(attacked()).splitlines():
        label = re.fullmatch(r"\s*n\d+(?:\[|\(\[)\"(.*)\"(?:\]|\]\))", line)
        if label:
            assert re.fullmatch(r"(?:[\w ]|#\d+;|<br/>)*", label[1]), line
        else:
            assert re.fullmatch(r'flowchart LR|\s*(?:subgraph w\d+\["wave \d+"\]|end|n\d+ \S+ n\d+|classDef .*|class [n\d,]+ critical)', line), line


def test_no_name_ends_a_string_of_dot_or_leaves_an_escape_in_it():
    strings = re.compile(r'"(?:[^"\\]|\\\\|\\"|\\n)*"')
    for line in to_dot(attacked()).splitlines():
        bare = strings.sub("S", line)

        assert re.fullmatch(r"digraph rehearsal \{|\}|\s*(?:rankdir=LR;|rank=same;|node \[.*\];|subgraph wave_\d+ \{|\}|n\d+ \[label=S[^\"]*\];|n\d+ -> n\d+.*;)", bare), line
