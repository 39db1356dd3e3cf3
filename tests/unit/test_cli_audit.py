"""`runner audit`, `revoke`, `freeze` and `policy explain`, as somebody types them."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.cli import call
from runner.models import Token
from tests.integration.test_gateway import READ, asks, crm_policy
from tests.resource_server import ResourceServer
from tests.runs import run_script

Runs = Callable[..., str]


@pytest.fixture
def runner(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Runs a command line in this process, as `runner` does in its own."""
    monkeypatch.setenv("COLUMNS", "200")

    def ran(*args: str, home: Path, stdin: str = "", code: int = 0) -> str:
        monkeypatch.setenv("RUNNER_HOME", str(home))
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capfd.readouterr()
        ended = call(list(args))
        out, err = capfd.readouterr()
        assert ended == code, err + out
        return out or err

    return ran


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> tuple[Path, str, str]:
    """A home with one run: three spawns, of which one used its token, one overreached, one did nothing.

    No test of this module changes it."""
    home = tmp_path_factory.mktemp("audited")
    home.chmod(0o700)
    (home / "cache").symlink_to(shared_cache)
    found: list[str] = []
    with ResourceServer() as server:
        said = server.answer

        def answer(got: Any) -> Any:
            found.append(got.headers["authorization"].removeprefix("Bearer "))
            return said(got)

        server.answer = answer
        spawns = [asks(42, ["GET", "http://crm/customers/42"]), asks(7, ["GET", "http://crm/customers/8"]), asks(9)]
        inputs = {"agent": "fetch", "scopes": ["crm:read", "crm:write"], "spawns": spawns}
        ran = asyncio.run(run_script(home, READ, policy=crm_policy(server), inputs=inputs))
    return home, ran.result.run, found[0]


def test_an_empty_store_has_no_tokens(runner, own_home):
    assert runner("audit", home=own_home) == "no tokens\n"
    assert json.loads(runner("audit", "--format", "json", home=own_home)) == {"version": 1, "tokens": []}


def test_the_table_tells_each_token(runner, audited):
    home, run, _ = audited
    lines = runner("audit", run, home=home).splitlines()

    assert lines[0].split() == ["token", "run", "spawn", "agent", "resource", "scopes", "from", "until", "state", "used", "observed"]
    assert [line.split("closed")[1].strip() for line in lines[1:]] == [
        "1x               gateway only", "unused, 1 refused  gateway only", "unused            gateway only",
    ] or [line.split("closed")[1].split() for line in lines[1:]] == [
        ["1x", "gateway", "only"], ["unused,", "1", "refused", "gateway", "only"], ["unused", "gateway", "only"],
    ]  # fmt: skip


def test_json_and_csv_have_every_field(runner, audited):
    home, run, _ = audited
    tokens = json.loads(runner("audit", "--format", "json", home=home))["tokens"]
    rows = list(csv.DictReader(io.StringIO(runner("audit", "--format", "csv", home=home))))

    assert [(one["run"], one["spawn"], one["used"], one["uses"], one["state"], one["opens"]) for one in tokens] == [
        (run, 1, True, 1, "closed", ["GET,HEAD /customers/42/**", "POST /customers/42/notes"]),
        (run, 2, False, 0, "closed", ["GET,HEAD /customers/7/**", "POST /customers/7/notes"]),
        (run, 3, False, 0, "closed", ["GET,HEAD /customers/9/**", "POST /customers/9/notes"]),
    ]
    assert [row["token"] for row in rows] == [one["token"] for one in tokens]
    assert set(rows[0]) == set(tokens[0])


@pytest.mark.parametrize(
    ("options", "spawns"),
    [
        ([], [1, 2, 3]), (["--used"], [1]), (["--unused"], [2, 3]), (["--open"], []), (["--scope", "crm:read"], [1, 2, 3]), (["--scope", "crm"], []),
        (["--agent", "fetch"], [1, 2, 3]), (["--agent", "echo"], []), (["--resource", "crm"], [1, 2, 3]), (["--resource", "x"], []),
        (["--since", "1h"], [1, 2, 3]), (["--until", "1h"], []), (["--since", "2020-01-01"], [1, 2, 3]), (["--until", "2020-01-01T10:00"], []),
    ],
)  # fmt: skip
def test_options_narrow_what_is_told(runner, audited, options, spawns):
    home, _, _ = audited

    assert [one["spawn"] for one in json.loads(runner("audit", "--format", "json", *options, home=home))["tokens"]] == spawns


def test_uses_tell_every_request_refused_ones_too(runner, audited):
    home, run, _ = audited
    uses = json.loads(runner("audit", run, "--uses", "--format", "json", home=home))["uses"]

    assert {(use["spawn"], use["method"], use["path"], use["scope"], use["status"], use["refused"]) for use in uses} == {
        (1, "GET", "/customers/42", "crm:read", 200, None), (2, "GET", "/customers/8", None, None, "not-opened"),
    }  # fmt: skip
    assert "refused: not-opened" in runner("audit", run, "--uses", home=home)


def test_unused_names_scopes_that_nobody_needs(runner, audited):
    home, _, _ = audited

    assert json.loads(runner("audit", "--unused", "--format", "json", home=home))["over_asked"] == [
        {"agent": "fetch", "scope": "crm:write", "tokens": 3, "runs": 1}
    ]


def test_a_token_that_was_found_is_named_and_not_shown(runner, audited):
    home, run, text = audited
    told = runner("audit", "--token", "-", home=home, stdin=f"{text}\n")

    assert f"of run {run}, spawn 1, attempt 1, agent fetch" in told
    assert "state: closed; used: 1x" in told and "GET /customers/42" in told
    assert text not in told


def test_a_token_with_altered_bytes_is_recognised_as_forged(runner, audited):
    home, _, text = audited
    forged = text[:-4] + ("AAAA" if not text.endswith("AAAA") else "BBBB")

    assert "somebody altered or forged it" in runner("audit", "--token", "-", home=home, stdin=forged)


@pytest.mark.parametrize("text", ["sk-unknown-unknown", "eyJhbGciOiJub25lIn0.e30."])
def test_a_token_of_somebody_else_is_unknown(runner, audited, text):
    home, _, _ = audited

    assert runner("audit", "--token", "-", home=home, stdin=text, code=9) == "no token of this store\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["audit", "--token", "eyJ..."], "can be read by every process"),
        (["audit", "--format", "xml"], "formats are table, json, csv"),
        (["audit", "--used", "--unused"], "exclude each other"),
        (["audit", "--since", "yesterday"], "is no time"),
        (["audit", "nope"], "no run has an id"),
        (["revoke"], "nothing is selected"),
        (["revoke", "--all", "--agent", "x"], "--all stands alone"),
        (["revoke", "--token", "eyJ..."], "can be read by every process"),
    ],
)
def test_what_cannot_be_meant_is_told(runner, own_home, args, said):
    assert said in runner(*args, home=own_home, code=2)


def test_a_spawn_is_named_by_its_run_and_number(runner, audited):
    home, run, _ = audited

    assert runner("revoke", f"{run}:1", home=home) == "no open token is selected\n"
    assert "is no spawn" in runner("revoke", f"{run}:x", home=home, code=2)


def test_reconciling_with_nothing_external_agrees_with_an_empty_log_and_with_no_other(runner, audited, tmp_path):
    home, _, _ = audited
    log = tmp_path / "issued.jsonl"
    log.write_text("")
    assert runner("audit", "--reconcile", str(log), home=home) == "0 tokens stand in both\n"
    log.write_text('{"jti": "somebody-elses"}\n')
    assert "only there: entry 1 of issued.jsonl" in runner("audit", "--reconcile", str(log), home=home, code=9)


def test_freeze_is_on_the_record_and_ends(runner, own_home):
    assert runner("freeze", "--reason", "incident 7", home=own_home).startswith("frozen")
    assert runner("freeze", home=own_home) == "it is frozen already\n"
    (own_home / "frozen").unlink()  # Somebody removes the file by hand: the register knows better.
    assert runner("freeze", home=own_home) == "it is frozen already\n"
    assert runner("unfreeze", home=own_home) == "not frozen any more\n"
    assert runner("unfreeze", home=own_home) == "it was not frozen\n"


# --- policy explain ----------------------------------------------------------------------------------------


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    entry = {
        "description": "x", "python": "nowhere:nothing", "scopes": ["crm:read", "loose"], "effects": "read",
        "input": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}, "output": True,
    }  # fmt: skip
    resources = {"crm": {"url": "https://crm.example", "scopes": {"crm:read": "GET /c/{inputs.id}", "crm:write": "POST /c"}}}
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "agents": {"a": entry}, "resources": resources}))
    return path


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--scopes", "crm:read", "--inputs", '{"id": 42}'], 0, "crm:read opens GET /c/42"),
        (["--scopes", "crm:read"], 0, "opens GET /c/{inputs.id}"),
        (["--scopes", "crm:read,loose", "--inputs", '{"id": 1}'], 0, "1 scope of no resource (loose)"),
        ([], 0, "no token is minted: no scope was asked for"),
        (["--scopes", "crm:write"], 9, 'no: agent "a" was asked with scope "crm:write"; the policy grants "crm:read", "loose"'),
        (["--scopes", "crm:read", "--inputs", '{"id": "../1"}'], 9, "refuses its inputs"),
        (["--scopes", "crm:read", "--timeout", "1000"], 9, "may take 60 s at most"),
    ],
)
def test_explain_says_yes_or_no_and_why(runner, policy_file, own_home, args, code, said):
    assert said in runner("policy", "explain", str(policy_file), "--agent", "a", *args, home=own_home, code=code)


def test_explain_of_an_unknown_agent_says_which_there_are(runner, policy_file, own_home):
    assert 'it lists "a"' in runner("policy", "explain", str(policy_file), "--agent", "bbb", home=own_home, code=9)


def test_a_token_shows_itself_nowhere():
    import copy
    import pickle

    token = Token("hunter2-hunter2")

    shown = f"{token!r} {token} {token:>30} {[token]} {(token,)} %s %r" % (token, token)  # noqa: UP031
    assert shown.count("hidden") == 4 and shown.count("hunter2") == 0
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(token)
    with pytest.raises(AttributeError):
        token.__text  # noqa: B018
