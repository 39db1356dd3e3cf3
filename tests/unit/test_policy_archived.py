"""A policy that is made again from a run's record is the one that the run had: shipped, documented, with everything."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.check import check
from runner.engine.resumable import standing_policy
from runner.errors import RecordBroken, UsageError
from runner.models import Script, digest_of
from runner.policy import load_policy, load_policy_text
from runner.policy.archived import HIDDEN, archived_policy, hidden_values
from runner.policy.model import Policy, Reference
from runner.replay import Record
from tests.crash.workloads import AGENTS as CRASH
from tests.crash.workloads import SCOPED
from tests.runs import AGENTS, TESTS, policy_of
from tests.unit.test_policy_docs import EXAMPLES, SHIPPED

ROOT = Path(__file__).parents[2]
PAGES = {
    f"{page.name} {n}": text
    for page in sorted((ROOT / "docs").glob("*.md"))
    for n, text in enumerate(re.findall(r"```yaml\n(version: 1\n.*?)```", page.read_text(), re.DOTALL))
    if "agents:" in text and "include:" not in text and not re.search(r"^\s*- (when|fail|output):", text, re.MULTILINE)
}
KEY = "sk-ant-api03-" + "aB3xY9kQ7wE2rT5u" * 3
EVERYTHING: dict[str, Any] = {
    "version": 1, "description": "all of it", "sandbox": "process", "imports": ["json", "math"],
    "limits": {"wall": "10m", "cpu": "7s", "spawns": 17, "parallel": 3, "memory": "128MiB", "fallbacks": 2},
    "issuers": {
        "idp": {"url": "https://idp.example", "client_id": "runner", "credential": "env:IDP_WORD", "per_second": 3},
        "two": {"url": "https://two.example", "client_id": "r", "credential": {"command": ["pass", "show", "x"]}, "grant": "token_exchange", "subject": "file:subject"},
    },
    "resources": {
        "crm": {
            "url": "https://crm.example/v1", "audience": "https://crm", "issuer": "idp", "private": ["10.0.0.0/8"],
            "scopes": {"crm:read": ["GET /customers/{inputs.id}", "GET /odd/**"], "crm:write": "POST /customers"}, "record": ["query", "body"],
        },
        "own": {"url": "https://own.example", "audience": "https://own", "scopes": {"own:read": "GET /a"}},
        "key": {"url": "https://key.example", "credential": {"header": "x-api-key", "value": "env:KEY"}, "scopes": {"key:use": "GET /**"}},
    },
    "agents": {
        **AGENTS, **{f"crash_{name}": entry for name, entry in CRASH.items()},
        "fetch": {**SCOPED["fetch"], "scopes": ["crm:read", "own:read", "key:use"], "retries": 4, "parallel": 2, "timeout": "33s"},
        "shell": {
            "description": "a command", "command": ["sh", "-c", "true"], "input": {}, "output": {"type": "object", "properties": {"n": {}}},
            "effects": "write", "env": {"LANG": "C.UTF-8", "WORD": "env:WORD", "FILE": "file:secret", "VAULT": {"command": ["pass"]}, "LEAKED": KEY},
        },
    },
}  # fmt: skip


def bare(policy: Policy) -> Policy:
    """Return a policy without what only its file knows: lines, warnings, and values that are archived as a digest."""
    agents = {}
    for name, entry in policy.agents.items():
        options = dict(entry.options)
        if isinstance(options.get("env"), dict):
            options["env"] = {
                key: Reference(HIDDEN, (digest_of(value),)) if value == KEY else value for key, value in options["env"].items()
            }
        agents[name] = replace(entry, options=options, line=0)
    kept = {field: getattr(policy, field) for field in ("name", "limits", "sandbox", "imports", "folder", "resolved", "digest", "file")}
    return Policy(**kept, agents=agents, resources=policy.resources, issuers=policy.issuers)


def again(policy: Policy) -> Policy:
    return archived_policy(policy.resolved, name=policy.name, folder=str(policy.folder), file=policy.file)


def everything() -> Policy:
    return load_policy_text(yaml.safe_dump(EVERYTHING), folder=TESTS, name="everything")


@pytest.mark.parametrize("path", [*SHIPPED, TESTS / "scripts" / "policy.yaml"], ids=lambda path: path.name)
def test_each_policy_file_comes_back_whole(path):
    policy = load_policy(path)

    assert bare(again(policy)) == bare(policy)


@pytest.mark.parametrize("text", PAGES.values(), ids=PAGES.keys())
def test_each_documented_policy_comes_back_whole(text, tmp_path):
    policy = load_policy_text(text, folder=tmp_path, name="documented")

    assert bare(again(policy)) == bare(policy)


def test_a_policy_with_everything_comes_back_whole_and_has_the_same_digest():
    policy = everything()
    found = again(policy)

    assert len(EXAMPLES) >= 3
    assert bare(found) == bare(policy)
    assert digest_of(found.resolved) == found.digest == policy.digest
    assert KEY not in policy.resolved


@pytest.mark.parametrize("source", ["result = spawn('echo', {}).result()", "result = spawn('fetch', {}, scopes=['crm:read'])", "import os", "spawn('shell', {})"])
def test_the_check_says_the_same_under_an_archived_policy(source):
    policy, script = everything(), Script("s", source.encode())

    assert check(script, again(policy)) == check(script, policy)


def record_of(policy: Policy) -> Record:
    return Record("20250615-150640-abc123", Script("s", b""), again(policy), {}, {})


def test_a_value_of_which_only_the_digest_is_archived_keeps_a_run_from_going_on():
    with pytest.raises(UsageError) as refused:
        standing_policy(record_of(everything()), old_policy=False)

    assert hidden_values(again(everything())) == ["shell.LEAKED"]
    assert refused.value.message == "the archive holds of shell.LEAKED only its digest: it looked like a key"
    assert refused.value.hint == "restore the policy file that the run was started with"


def test_with_its_file_unchanged_a_run_goes_on_with_what_the_file_says(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(EVERYTHING))
    policy = load_policy(path)
    standing = standing_policy(record_of(policy), old_policy=False)

    assert standing.agents["shell"].options["env"]["LEAKED"] == KEY
    path.write_text(yaml.safe_dump({**EVERYTHING, "description": "other"}))
    with pytest.raises(UsageError) as changed:
        standing_policy(record_of(policy), old_policy=False)
    with pytest.raises(UsageError) as hidden:
        standing_policy(record_of(policy), old_policy=True)

    assert changed.value.message == f'policy "{path}" of run "20250615-150640-abc123" has changed since'
    assert hidden.value.message == "the archive holds of shell.LEAKED only its digest: it looked like a key"


def test_a_policy_without_hidden_values_goes_on_under_the_archive_where_that_is_said(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("version: 1\nagents: {}\n")
    policy = load_policy(path)
    path.unlink()
    with pytest.raises(UsageError) as gone:
        standing_policy(record_of(policy), old_policy=False)

    assert "has changed since: it cannot be read (" in gone.value.message
    assert standing_policy(record_of(policy), old_policy=True).digest == policy.digest


@pytest.mark.parametrize(
    "broken",
    [
        "", "[]", "{}", "null", '"x"', "{",
        *(json.dumps({**json.loads(policy_of().resolved), key: value}) for key, value in [
            ("agents", 1), ("agents", {"a": {}}), ("limits", {"wall_seconds": 1, "new": 2}), ("sandbox", []), ("imports", 5),
            ("resources", {"r": {}}), ("issuers", {"i": None}),
        ]),
    ],
)  # fmt: skip
def test_what_is_no_resolved_policy_of_this_version_is_a_broken_record(broken):
    with pytest.raises(RecordBroken) as refused:
        archived_policy(broken, name="p", folder="/")

    assert refused.value.message.startswith('the archived policy "p" cannot be read: ')
    assert refused.value.hint == "it may be of a newer version of runner"
