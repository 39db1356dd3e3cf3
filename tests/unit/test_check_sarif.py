"""SARIF: valid under its schema whatever a script holds, at the right place, and without a way to misread it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from runner.check import check
from runner.check.sarif import to_sarif
from runner.cli import call
from runner.models import Finding, Reach, Script, Severity, Verdict
from runner.policy import load_policy_text

SCHEMA = (Path(__file__).parent / "sarif" / "sarif-2.1.0-rtm.5.json").read_bytes()
RULES = json.loads(SCHEMA)
# "...{2}]?$" is no pattern of ECMA-262, which the library asks for; `language` is not among what we write.
for part in ("run", "toolComponent"):
    del RULES["definitions"][part]["properties"]["language"]["pattern"]
VALIDATOR = jsonschema_rs.Draft4Validator(RULES, validate_formats=True)
POLICY_TEXT = 'version: 1\nagents: {mail: {description: M., python: "m:f", input: true, output: true, scopes: [s]}}\n'
POLICY = load_policy_text(POLICY_TEXT, folder=Path("."), name="test")


def sarif(source: str | bytes, path: str = "", name: str = "test") -> Any:
    """Return the log as a reader gets it, through JSON; it is valid."""
    script = Script(name, source.encode() if isinstance(source, str) else source)
    log = json.loads(json.dumps(to_sarif(check(script, POLICY), script, version="1.2.3", path=path)))
    VALIDATOR.validate(log)
    return log


def of(finding: Finding) -> Any:
    """Return the one result of a verdict with this finding."""
    script = Script("test", b"x")
    log = json.loads(json.dumps(to_sarif(Verdict((finding,), Reach(), 1, "3.11"), script, version="1.2.3")))
    VALIDATOR.validate(log)
    return log["runs"][0]["results"][0]


def test_the_schema_is_the_published_one():
    digest = "2d99159ae54a3eea97f81781cff48780548657c35949f4b7f25e99a2ba4de4f8"

    assert hashlib.sha256(SCHEMA).hexdigest() == digest
    assert not VALIDATOR.is_valid({"version": "2.1.0", "runs": [{}]})


def test_a_finding_is_a_result_with_rule_level_place_message_and_fix():
    run = sarif('a = spawn("mial", {})\nresult = a.result()\n', path="scripts/ask it.py")["runs"][0]

    assert run["results"] == [{
        "ruleId": "agent-not-in-policy", "ruleIndex": 0, "level": "error",
        "message": {"text": 'agent "mial" is not in the policy. Fix: did you mean "mail"? the policy lists "mail"'},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": "scripts/ask%20it.py", "index": 0},
            "region": {"startLine": 1, "startColumn": 11, "endColumn": 17, "snippet": {"text": '"mial"'}},
        }}],
        "properties": {"fix": 'did you mean "mail"? the policy lists "mail"'},
    }]  # fmt: skip
    assert run["tool"]["driver"]["rules"] == [
        {"id": "agent-not-in-policy", "name": "AgentNotInPolicy", "defaultConfiguration": {"level": "error"}}
    ]
    assert run["columnKind"] == "unicodeCodePoints"
    assert run["properties"]["accepted"] is False


def test_a_script_without_a_finding_has_no_results_and_is_told_with_its_digest():
    run = sarif("result = 1")["runs"][0]

    assert run["results"] == []
    assert run["artifacts"][0]["hashes"]["sha-256"] == hashlib.sha256(b"result = 1").hexdigest()


@pytest.mark.parametrize(
    "source",
    [
        b"\xff\xfe", b"", "x = 'ünï' + spawn('日本')", "spawn('\\ud800')", "spawn('{0} {{}}')", "f(\n\n'''\n",
        "import os\nclass A(metaclass=B): pass\nawait x\n" * 30, "\x1b[31m = 1", "def f(:\n", "spawn('a\u2028b')\r\nspawn(1)",
    ],
)  # fmt: skip
def test_any_source_gives_a_valid_log(source):
    assert sarif(source)["version"] == "2.1.0"


def test_a_message_holds_no_placeholder_and_no_link_of_a_script():
    hostile = "{0} [here](https://evil.test) {x}"
    result = of(Finding("r-x", Severity.WARNING, 3, 1, "", hostile, hostile))

    assert result["message"]["text"] == (
        "{{0}} [here] (https://evil.test) {{x}}. Fix: {{0}} [here] (https://evil.test) {{x}}"
    )
    assert result["properties"]["fix"] == hostile


def test_a_text_of_several_lines_ends_nowhere_in_particular():
    region = of(Finding("r", Severity.ERROR, 3, 5, "a(\n  b)", "m", "f"))["locations"][0]["physicalLocation"]["region"]

    assert region == {"startLine": 3, "startColumn": 5, "snippet": {"text": "a(\n  b)"}}


@pytest.mark.parametrize(
    ("path", "name", "uri"),
    [
        ("", "test", "test.py"), ("a:b.py", "x", "a%3Ab.py"), ("/srv/a b/ü.py", "x", "file:///srv/a%20b/%C3%BC.py"),
        ("", "a/../\x1b#?", "a/../%1B%23%3F.py"), ("\udcff.py", "x", "%FF.py"),
    ],
)  # fmt: skip
def test_a_path_is_a_uri(path, name, uri):
    assert sarif("result = 1", path=path, name=name)["runs"][0]["artifacts"][0]["location"]["uri"] == uri


def test_the_command_line_prints_it(tmp_path, capsysbinary):
    (tmp_path / "policy.yaml").write_text(POLICY_TEXT)
    script = tmp_path / "script.py"
    script.write_text('spawn("mial")\n')

    code = call(["check", str(script), "--policy", str(tmp_path / "policy.yaml"), "--format", "sarif"])
    log = json.loads(capsysbinary.readouterr().out)

    VALIDATOR.validate(log)
    assert code == 3
    assert log["runs"][0]["artifacts"][0]["location"]["uri"] == f"file://{script}"
    assert [result["ruleId"] for result in log["runs"][0]["results"]].count("agent-not-in-policy") == 1
