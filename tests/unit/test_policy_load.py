"""What a policy file becomes: defaults, includes, the resolved form and its digest, warnings."""

# Tables of whole messages read better unbroken.
# ruff: noqa: E501

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runner import Limits, load_policy
from runner.errors import PolicyError
from runner.models import MIB, digest_of
from runner.policy import find_policy, load_policy_text
from runner.policy.archived import archived_policy
from runner.policy.model import AgentEntry, Effects, Policy, Reference, ReviewRule, SandboxRule

ROOT = Path(__file__).parents[2]
SMALL = """
version: 1
agents:
  research:
    description: Finds.
    python: agents:research
    input: {type: object, properties: {vendor: {type: string}}}
    output: {type: object, properties: {summary: {type: string}}}
"""


def policy(text: str = SMALL, folder: Path = Path("/nowhere")) -> Policy:
    return load_policy_text(text, folder=folder, name="runner.yaml")


def test_what_is_not_written_gets_the_careful_default():
    found = policy()

    assert found.limits == Limits()
    assert found.sandbox == SandboxRule("docker", False, "")
    assert found.imports is None
    assert found.folder == Path("/nowhere")
    assert found.warnings == ()
    assert found.agents["research"] == AgentEntry(
        name="research", description="Finds.", backend="python", options={"call": "agents:research"},
        input_schema={"type": "object", "properties": {"vendor": {"type": "string"}}, "additionalProperties": False},
        output_schema={"type": "object", "properties": {"summary": {"type": "string"}}},
        scopes=frozenset(), default_scopes=(), timeout_seconds=60.0, max_timeout_seconds=60.0, parallel=100,
        effects=Effects.IRREVERSIBLE, idempotent=False, max_retries=5, unsafe_retry_unknown=False, line=4,
    )  # fmt: skip


def test_everything_that_is_written_is_taken():
    found = policy("""
version: 1
description: All keys.
limits:
  {wall: 5m, cpu: 1500ms, memory: 512MB, spawns: 10, parallel: 5, fallbacks: 2, backoff: 90s, bytes_in: 8MB,
  bytes_out: 16 MiB, logged: 64kb, frame: 65536, token: 5m}
sandbox: {demand: docker, runtime: runsc, unsafe_unverified_lock: true}
imports: [json, re]
agents:
  lookup:
    description: Looks up.
    command: [./lookup, --json]
    env: {LANG: C.UTF-8, TOKEN: "env:LOOKUP_TOKEN", CERT: "file:cert.pem", KEY: {command: [pass, show, lookup]}}
    input: true
    unsafe_any_output: true
    scopes: [crm:read, crm:write]
    default_scopes: [crm:read]
    timeout: 10s
    max_timeout: 1m
    parallel: 2
    effects: write
    idempotent: false
    retries: 3
    unsafe_retry_unknown: true
""")

    assert found.limits == Limits(300.0, 1.5, 512 * MIB, 10, 5, 2, 90.0, 8 * MIB, 16 * MIB, 64 * 1024, 65536, 300.0)
    assert found.sandbox == SandboxRule("docker", True, "runsc")
    assert found.imports == frozenset({"json", "re"})
    assert found.agents["lookup"] == AgentEntry(
        name="lookup", description="Looks up.", backend="command",
        options={
            "argv": ["./lookup", "--json"],
            "env": {
                "LANG": "C.UTF-8", "TOKEN": Reference("env", ("LOOKUP_TOKEN",)), "CERT": Reference("file", ("cert.pem",)),
                "KEY": Reference("command", ("pass", "show", "lookup")),
            },
        },
        input_schema=True, output_schema=None, scopes=frozenset({"crm:read", "crm:write"}), default_scopes=("crm:read",),
        timeout_seconds=10.0, max_timeout_seconds=60.0, parallel=2, effects=Effects.WRITE, idempotent=False,
        max_retries=3, unsafe_retry_unknown=True, isolation="process", line=10,
    )  # fmt: skip
    assert found.warnings == (
        "runner.yaml:7: sandbox: unsafe_unverified_lock runs scripts in guests whose lock nobody has seen",
        'runner.yaml:15: agent "lookup": unsafe_any_output lets everything that it returns into the script',
        'runner.yaml:24: agent "lookup": unsafe_retry_unknown lets scripts try again what may have happened already',
    )


def test_the_review_rule_is_part_of_what_identifies_a_policy_and_none_of_it_changes_nothing():
    digests = {rule: policy(SMALL + f"review: {rule}\n").digest for rule in ReviewRule}

    assert digests[ReviewRule.NONE] == policy().digest
    assert '"review"' not in policy().resolved
    assert len(set(digests.values())) == 3


@pytest.mark.parametrize("rule", list(ReviewRule))
def test_the_review_rule_is_archived_with_the_policy(rule):
    found = policy(SMALL + f"review: {rule}\n")

    archived = archived_policy(found.resolved, name=found.name, folder="/nowhere")

    assert (archived.review, archived.digest) == (rule, found.digest)


def test_a_file_that_is_included_can_ask_for_a_review_and_none_can_take_it_back(tmp_path):
    (tmp_path / "house.yaml").write_text("review: required\n")

    assert policy(SMALL + "include: [house.yaml]\n", tmp_path).review is ReviewRule.REQUIRED
    with pytest.raises(PolicyError, match="said differently"):
        policy(SMALL + "include: [house.yaml]\nreview: none\n", tmp_path)


def test_of_two_review_rules_the_stricter_holds_whichever_stands_first():
    none, flagged, required = ReviewRule

    assert none.stricter(flagged) is flagged.stricter(none) is flagged
    assert required.stricter(flagged) is none.stricter(required) is required


@pytest.mark.parametrize("repeatable", ["effects: read", "effects: write\n    idempotent: true"])
def test_leave_to_retry_the_unknown_says_nothing_of_an_agent_whose_outcome_is_never_unknown(repeatable):
    found = policy(SMALL + f"    {repeatable}\n    unsafe_retry_unknown: true\n")

    (warning,) = found.warnings
    assert warning.endswith(
        'agent "research": unsafe_retry_unknown does nothing here: the agent is idempotent, so no outcome of it is unknown'
    )


@pytest.mark.parametrize("written", ["limits: {fallbacks: 3}", "limits: {backoff: 59s}", "limits: {fallbacks: 0}"])
def test_what_a_spawn_may_ask_for_again_is_part_of_what_identifies_a_policy(written):
    assert policy(SMALL + written).digest != policy().digest


@pytest.mark.parametrize("written", ["retries: 4", "unsafe_retry_unknown: true"])
def test_how_often_an_agent_may_be_asked_again_is_part_of_what_identifies_a_policy(written):
    assert policy(SMALL + f"    {written}\n").digest != policy().digest


@pytest.mark.parametrize(
    ("written", "timeout", "max_timeout"),
    [
        ("", 60.0, 60.0),
        ("timeout: 5s", 5.0, 5.0),
        ("max_timeout: 2m", 60.0, 120.0),
        ("max_timeout: 5s", 5.0, 5.0),
        ("{timeout: 5s, max_timeout: 2m}", 5.0, 120.0),
    ],
)
def test_a_spawn_may_ask_for_no_more_than_the_timeout_unless_max_timeout_is_written(written, timeout, max_timeout):
    lines = written.strip("{}").split(", ")
    entry = policy(SMALL + "".join(f"    {line}\n" for line in lines)).agents["research"]

    assert (entry.timeout_seconds, entry.max_timeout_seconds) == (timeout, max_timeout)


def test_the_default_timeout_shrinks_to_the_runs_wall_limit():
    entry = policy(SMALL + "limits: {wall: 10s}\n").agents["research"]

    assert (entry.timeout_seconds, entry.max_timeout_seconds) == (10.0, 10.0)


def test_a_frame_that_is_not_written_fits_into_the_runs_bytes():
    assert policy(SMALL + "limits: {bytes_in: 1MB}\n").limits.frame_bytes == MIB


@pytest.mark.parametrize(
    ("effects", "idempotent"), [("none", True), ("read", True), ("write", False), ("irreversible", False)]
)
def test_what_changes_nothing_may_be_repeated(effects, idempotent):
    assert policy(SMALL + f"    effects: {effects}\n").agents["research"].idempotent is idempotent


def test_a_policy_without_agents_grants_nothing_but_is_one_when_it_says_so():
    assert policy("version: 1\nagents: {}").agents == {}


def test_plain_words_are_texts_and_not_what_old_yaml_made_of_them():
    found = policy(SMALL.replace("Finds.", "no") + "    scopes: [on, 0o17, 1_000, 12:30:45, 2024-01-01]\n")

    assert found.agents["research"].description == "no"
    assert found.agents["research"].scopes == {"on", "0o17", "1_000", "12:30:45", "2024-01-01"}


def test_aliases_share_a_schema():
    found = policy("""
version: 1
agents:
  a: {description: A., python: m:a, input: &text {type: string}, output: *text}
""")

    assert (found.agents["a"].input_schema, found.agents["a"].output_schema) == ({"type": "string"}, {"type": "string"})


# --- the resolved form ---------------------------------------------------------------------------


def test_the_digest_is_of_the_resolved_form_and_not_of_how_it_is_written():
    spelled = (
        SMALL.replace("{vendor: {type: string}}", '{"vendor": {"type": "string"}}')
        + "limits: {wall: 300}\n# a comment\n"
    )
    found, other = policy(), policy(spelled, Path("/elsewhere"))

    assert found.digest == digest_of(found.resolved) == other.digest
    assert json.loads(found.resolved)["agents"]["research"]["timeout_seconds"] == 60.0


@pytest.mark.parametrize(
    "change",
    ["    timeout: 59s", "    effects: read", "    scopes: [a]", "    parallel: 99", "limits: {spawns: 5}",
     "sandbox: process", "imports: [json]", "description: x"],
)  # fmt: skip
def test_whatever_a_run_depends_on_changes_the_digest(change):
    assert policy(SMALL + change + "\n").digest != policy().digest


def test_the_resolved_form_names_references_and_never_holds_their_values(monkeypatch):
    monkeypatch.setenv("TOKEN", "value-of-the-token")
    text = SMALL.replace("python: agents:research", "command: [x]")
    found = policy(text + "    env: {A: 'env:TOKEN', B: 'file:/etc/hostname', C: {command: [cat, x]}, D: plain}\n")

    assert json.loads(found.resolved)["agents"]["research"]["options"]["env"] == {
        "A": {"env": ["TOKEN"]}, "B": {"file": ["/etc/hostname"]}, "C": {"command": ["cat", "x"]}, "D": "plain",
    }  # fmt: skip
    assert "value-of-the-token" not in found.resolved


KEYS = {
    "openai": "sk-proj-abcdefghijklmnop1234",
    "github": "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "slack": "xoxb-1234567890-abcdefghij",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "pem": "-----BEGIN RSA PRIVATE KEY-----",
    "url": "https://user:hunter22@example.com/x",
    "random base64": "q8Zr3Vw1kX9bTn5LmY2cH7sJ0dPfGa4E",
    "random hex": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
def test_a_literal_that_looks_like_a_key_is_a_warning_with_its_line_and_is_archived_by_digest_alone(key):
    text = (
        SMALL.replace("python: agents:research", "command: [x]") + f"    env:\n      A: plain\n      TOKEN: '{key}'\n"
    )
    found = policy(text)

    assert found.warnings == (
        'runner.yaml:11: agent "research": env.TOKEN looks like a key; keep it elsewhere, and write env:NAME, file:PATH or '
        "{command: [...]}",
    )
    assert key not in found.resolved
    assert json.loads(found.resolved)["agents"]["research"]["options"]["env"]["TOKEN"] == {"sha256": digest_of(key)}


@pytest.mark.parametrize(
    "value",
    ["C.UTF-8", "/usr/local/lib/python3.11/site-packages", "https://api.example.com/v1/search?page=2", "production",
     "us-east-1", "the quick brown fox jumps", "com.example.research.AgentFactoryProvider2", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
)  # fmt: skip
def test_an_ordinary_value_is_no_warning(value):
    assert (
        policy(SMALL.replace("python: agents:research", "command: [x]") + f"    env: {{A: '{value}'}}\n").warnings == ()
    )


# --- files ---------------------------------------------------------------------------------------


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path = path.with_name(path.name.replace("_yaml", ".yaml").replace("_json", ".json"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_includes_add_agents_and_limits(tmp_path):
    write(
        tmp_path,
        runner_yaml="version: 1\ndescription: mine\ninclude: [base/common.yaml]\nlimits: {wall: 1m}\n" + SMALL[11:],
        base__common_yaml="version: 1\ndescription: theirs\ninclude: more.yaml\nlimits: {spawns: 7}\nsandbox: process\n",
        base__more_yaml="agents:\n  mail: {description: Mails., python: 'm:f', input: schemas/in.json, output: true}\n",
        base__schemas__in_json='{"type": "string"}',
    )
    found = load_policy(tmp_path / "runner.yaml")

    assert list(found.agents) == ["research", "mail"]
    assert (found.limits.wall_seconds, found.limits.spawns, found.sandbox.demand) == (60.0, 7, "process")
    assert found.agents["mail"].input_schema == {"type": "string"}
    assert (found.name, found.folder) == ("runner", tmp_path)
    assert json.loads(found.resolved)["description"] == "mine"


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("limits: {wall: 2m}", ':3: "wall" is said differently in other.yaml:1'),
        ("sandbox: docker", ':4: "sandbox" is said differently in other.yaml:1'),
        ("agents: {research: {description: Other.}}", ':6: "research" is said differently in other.yaml:1'),
        ("\n\nversion: 2", ':1: "version" is said differently in other.yaml:3'),
    ],
)
def test_files_that_contradict_each_other_are_refused(tmp_path, other, message):
    text = "version: 1\ninclude: [other.yaml]\nlimits: {wall: 1m}\nsandbox: process\nagents:\n" + SMALL[20:]
    write(tmp_path, runner_yaml=text.replace("\n\n", "\n"), other_yaml=other)
    with pytest.raises(PolicyError) as caught:
        load_policy(tmp_path / "runner.yaml")

    assert caught.value.message == f"{tmp_path}/runner.yaml{message}"
    assert caught.value.hint == "say it in one of the files"


def test_a_mistake_in_an_include_is_told_with_its_own_file_and_line(tmp_path):
    write(tmp_path, runner_yaml="version: 1\ninclude: [sub/a.yaml]\n" + SMALL[11:], sub__a_yaml="\nlimits:\n  wal: 1\n")
    with pytest.raises(PolicyError) as caught:
        load_policy(tmp_path / "runner.yaml")

    assert caught.value.message == 'sub/a.yaml:3: limits has the unknown key "wal"'


def test_a_circle_of_includes_is_refused(tmp_path):
    write(tmp_path, runner_yaml="version: 1\ninclude: [a.yaml]\n" + SMALL[11:], a_yaml="include: [runner.yaml]\n")
    with pytest.raises(PolicyError) as caught:
        load_policy(tmp_path / "runner.yaml")

    assert caught.value.message == 'a.yaml:1: "runner.yaml" includes itself'
    assert caught.value.hint == "break the circle"


def test_a_file_may_be_included_by_two_others(tmp_path):
    write(
        tmp_path, runner_yaml="version: 1\ninclude: [a.yaml, b.yaml]\n" + SMALL[11:], a_yaml="include: [c.yaml]",
        b_yaml="include: [c.yaml]", c_yaml="limits: {spawns: 3}",
    )  # fmt: skip

    assert load_policy(tmp_path / "runner.yaml").limits.spawns == 3


def test_a_schema_file_with_a_mistake_is_told_with_its_own_line(tmp_path):
    write(tmp_path, runner_yaml=SMALL.replace("{type: object, properties: {vendor: {type: string}}}", "in.json"),
          in_json='{\n  "type": "object"\n  "properties": {}\n}')  # fmt: skip
    with pytest.raises(PolicyError) as caught:
        load_policy(tmp_path / "runner.yaml")

    assert caught.value.message == (
        f"{tmp_path}/runner.yaml:7: agent \"research\" input: in.json:3: not JSON: Expecting ',' delimiter"
    )


# --- finding -------------------------------------------------------------------------------------


def test_the_variable_goes_before_the_files_and_the_nearest_file_before_those_above(tmp_path, monkeypatch):
    monkeypatch.delenv("RUNNER_POLICY", raising=False)
    write(tmp_path, runner_yaml=SMALL, a__runner_yaml=SMALL, a__b__x_yaml="")
    script = tmp_path / "a/b/script.py"

    assert find_policy(script) == tmp_path / "a/runner.yaml"
    assert find_policy(tmp_path / "script.py") == tmp_path / "runner.yaml"
    monkeypatch.setenv("RUNNER_POLICY", "elsewhere.yaml")
    assert find_policy(script) == Path("elsewhere.yaml")


def test_without_a_script_the_search_begins_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("RUNNER_POLICY", raising=False)
    monkeypatch.chdir(tmp_path)

    assert find_policy(None) is None
    write(tmp_path, runner_yaml=SMALL)
    assert find_policy(None) == tmp_path / "runner.yaml"


def test_loading_a_policy_imports_no_backend_starts_no_command_and_opens_no_connection(tmp_path):
    """Rule 11: reviewing a policy must not execute it."""
    write(tmp_path, runner_yaml=SMALL.replace("agents:research", "hostile:research") + """
  command:
    description: Runs.
    command: [./hostile.sh]
    env: {A: {command: [./hostile.sh]}, B: 'file:missing', C: 'env:MISSING'}
    input: {}
    output: {}
""")  # fmt: skip
    (tmp_path / "hostile.py").write_text("raise SystemExit('imported')")
    (tmp_path / "hostile.sh").write_text("#!/bin/sh\ntouch started\n")
    (tmp_path / "hostile.sh").chmod(0o755)
    program = f"""
import sys
seen = []
from runner.policy import load_policy
sys.addaudithook(lambda event, args: event.startswith(("subprocess", "os.exec", "os.fork", "os.posix", "socket")) and seen.append(event))
load_policy({str(tmp_path / "runner.yaml")!r})
print(seen, "hostile" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "[] False\n"
    assert not (tmp_path / "started").exists()


def test_includes_that_multiply_are_counted_each_time_they_are_read(tmp_path):
    for n in range(12):
        (tmp_path / f"p{n}.yaml").write_text(f"include: [p{n + 1}.yaml, p{n + 1}.yaml]\n")
    (tmp_path / "p12.yaml").write_text("version: 1\n")

    with pytest.raises(PolicyError, match="more than 32 includes"):
        load_policy(tmp_path / "p0.yaml")
