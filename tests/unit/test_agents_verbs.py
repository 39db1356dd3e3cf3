"""`runner agents`: what a policy says of its agents is told without making one, and one is called as a spawn would be."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.cli import call
from runner.errors import ExitCode
from tests.resource_server import ResourceServer
from tests.unit.agents_by_hand import entry

POLICY = """\
version: 1
sandbox: process
agents:
  look_up:
    description: Find a vendor in the register.
    python: agents:look_up
    input: {type: object, properties: {name: {type: string}}, required: [name]}
    output: {type: object, properties: {name: {type: string}, founded: {type: integer}}, required: [name]}
    effects: read
    timeout: 20s
    cost: 0.02
    rate: {requests: 60}
  note:
    description: Write a note.
    python: agents:note
    input: {type: object, properties: {id: {type: integer}}, required: [id]}
    output: {type: object, properties: {status: {type: integer}}}
    scopes: [crm:read, misc]
    default_scopes: [crm:read]
    effects: write
  shout:
    description: The text in capitals.
    command: [./shout.sh]
    env: {STYLE: loud, KEY: "env:CANARY_KEY"}
    input: {type: object}
    output: {type: object, properties: {text: {type: string}}}
    effects: none
resources:
  crm:
    url: URL
    scopes: {"crm:read": "GET /customers/{inputs.id}"}
"""
AGENTS = """\
open("imported", "a").close()

async def look_up(inputs):
    if inputs["name"] == "Nobody":
        raise ValueError("no row for Nobody")
    return {"name": inputs["name"], "founded": 1949, "notes": "not for scripts", "deep": [1, 2]}

async def note(inputs, call):
    answer = await call.http.get(f"http://crm/customers/{inputs['id']}")
    other = await call.http.get("http://crm/customers/1000")
    return {"status": answer.status_code, "other": other.status_code}
"""
CANARY = "canary-8c1f4e2a9b7d6053"


@pytest.fixture
def crm():
    with ResourceServer() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crm: ResourceServer) -> Path:
    (tmp_path / "runner.yaml").write_text(POLICY.replace("URL", crm.url))
    (tmp_path / "agents.py").write_text(AGENTS)
    program = tmp_path / "shout.sh"
    program.write_text('#!/bin/sh\necho "{\\"text\\": \\"$KEY\\"}"\n')
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CANARY_KEY", CANARY)
    return tmp_path


Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Say:
    """Call a verb as the command line does; return its exit code, stdout and stderr."""

    def said(*words: str) -> tuple[int, str, str]:
        code = call(["agents", *words])
        out, err = capfd.readouterr()
        assert CANARY not in out + err
        return code, out, err

    return said


# --- list and describe -----------------------------------------------------------------------


def test_the_list_tells_each_agent_in_a_row_and_imports_none(folder, say):
    code, out, err = say("list")

    assert (code, err) == (0, "")
    assert out == """\
AGENT    BACKEND  EFFECTS  ISOLATION  SCOPES         TIMEOUT  PARALLEL  COST, RATE                       DESCRIPTION
look_up  python   read     none       -              20.0 s        100  $0.02 a call, 60 calls a minute  Find a vendor in the register.
note     python   write    none       crm:read misc  60.0 s        100  -                                Write a note.
shout    command  none     process    -              60.0 s        100  -                                The text in capitals.
"""  # noqa: E501
    assert not (folder / "imported").exists()


def test_the_list_as_json_has_the_same_for_a_program(folder, say):
    code, out, _ = say("list", "--json")
    found = json.loads(out)

    assert code == 0
    assert found["version"] == 1
    assert [agent["name"] for agent in found["agents"]] == ["look_up", "note", "shout"]
    assert found["agents"][0] == {
        "name": "look_up", "backend": "python", "effects": "read", "isolation": "none", "scopes": [],
        "timeout_seconds": 20.0, "parallel": 100, "cost_usd": 0.02, "rate": {"requests": 60.0, "tokens": None},
        "provider": None, "description": "Find a vendor in the register.",
    }  # fmt: skip


def test_a_description_tells_what_a_reviewer_wants_and_imports_nothing(folder, say, crm):
    code, out, err = say("describe", "note")

    assert (code, err) == (0, "")
    assert out == f"""\
agent note: Write a note.
backend: python
  call: agents:note
effects: write; a second call counts
outputs: trusted
limits: timeout 60.0 s, 100 at once, at most 5 further attempts
isolation none: an async def runs in the host's process, where nothing holds it; a def in a worker process that is killed at its deadline, and may use the network, files of its user, CPU and memory
credential: by `call.http`: the gateway puts the attempt's token on its requests; the agent holds none
scopes: crm:read misc; by default: crm:read
  crm:read opens GET /customers/{{inputs.id}} of crm ({crm.url}), with the attempt's token, issuer embedded
  misc is of no resource: no token is minted for it
lock: none; what it is, nobody has held
input:
  {{
    "type": "object",
    "properties": {{
      "id": {{
        "type": "integer"
      }}
    }},
    "required": [
      "id"
    ],
    "additionalProperties": false
  }}
output:
  {{
    "type": "object",
    "properties": {{
      "status": {{
        "type": "integer"
      }}
    }}
  }}
"""  # noqa: E501
    assert not (folder / "imported").exists()


def test_what_is_kept_elsewhere_is_described_by_its_name(folder, say):
    _, out, _ = say("describe", "shout")
    _, as_json, _ = say("describe", "shout", "--json")

    assert "  env KEY: env:CANARY_KEY\n  env STYLE: loud\n" in out
    assert json.loads(as_json)["options"]["env"] == {"KEY": {"env": ["CANARY_KEY"]}, "STYLE": "loud"}


def test_described_live_it_tells_what_it_is_today_and_where_that_differs_from_the_lock(folder, say, capfd):
    assert call(["policy", "lock", "runner.yaml"]) == 0
    capfd.readouterr()
    (folder / "shout.sh").write_text("#!/bin/sh\necho '{}'\n")

    code, out, _ = say("describe", "shout", "--live")
    _, as_json, _ = say("describe", "shout", "--live", "--json")
    found = json.loads(as_json)

    assert code == 0
    assert f"today: fingerprint {found['live']['fingerprint'][:12]}" in out
    was, now = found["lock"]["facts"]["code"][:12], found["live"]["facts"]["code"][:12]
    assert f"  code is {now}, was locked as {was}\n" in out


def test_an_agent_that_is_not_there_is_named_with_the_one_that_was_meant(folder, say):
    assert say("describe", "look") == (
        2, "", 'usage: policy "runner" has no agent "look"\nhint: did you mean "look_up"?\n',
    )  # fmt: skip
    assert say("try", "zzz", "--inputs", "{}")[2].endswith("hint: its agents: look_up, note, shout\n")


# --- try -------------------------------------------------------------------------------------


def untimed(told: str) -> list[str]:
    """Return the lines of a story without times and ids."""
    lines = [line.split(" after ")[0] for line in told.splitlines()]
    return [line if not line.startswith("run: ") else "run" for line in lines]


def test_a_call_tells_what_was_sent_what_came_back_and_what_was_dropped(folder, say):
    code, out, err = say("try", "look_up", "--inputs", '{"name": "Acme"}')

    assert (code, out) == (0, '{"name":"Acme","founded":1949}\n')
    assert untimed(err) == [
        "agent look_up (python): ok", "sent: inputs of 15 B", "returned: 69 B", "passed on: 30 B",
        "dropped: 2 parts that the output schema does not name", "  /notes (17 B)", "  /deep (5 B)", "tokens: none", "run",
    ]  # fmt: skip


def test_the_example_of_the_docs_is_what_it_says(tmp_path, monkeypatch, say):
    page = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runner.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
    (tmp_path / "agents.py").write_text(page.split("```python\n")[1].split("```")[0])
    command, output, story = page.split("```\n$ ")[1].split("```")[0].split("\n", 2)

    code, out, err = say(*shlex.split(command)[2:])

    assert (code, out) == (0, output + "\n")
    assert untimed(err) == untimed(story)


def test_dropped_values_are_shown_only_where_asked_for_and_kept_nowhere(folder, say, own_home):
    _, _, err = say("try", "look_up", "--inputs", '{"name": "Acme"}', "--show-dropped")
    _, plain, _ = say("try", "look_up", "--inputs", '{"name": "Acme"}', "--json")

    assert '  /notes (17 B): "not for scripts"\n  /deep (5 B): [1,2]\n' in err
    assert json.loads(plain)["dropped"] == [{"path": "/notes", "bytes": 17}, {"path": "/deep", "bytes": 5}]
    assert "not for scripts" not in plain
    kept = b"".join(path.read_bytes() for path in own_home.glob("store.db*"))
    assert b"1949" in kept
    assert b"not for scripts" not in kept


def test_a_call_has_the_credential_of_a_spawn_and_tells_what_it_was_used_for(folder, say, crm):
    code, out, _ = say("try", "note", "--inputs", '{"id": 7}', "--yes", "--json")
    _, _, story = say("try", "note", "--inputs", '{"id": 7}', "--yes")
    found = json.loads(out)

    assert (code, found["outcome"], found["output"]) == (0, "ok", {"status": 200})
    assert [(got.method, got.path) for got in crm.received] == [("GET", "/customers/7")] * 2
    (token,) = found["tokens"]
    assert (token["scopes"], token["opens"], token["uses"], token["refusals"]) == (["crm:read"], ["GET /customers/7"], 1, 1)
    assert token["seconds"] == 66.0
    assert [(use["path"], use["status"], use["refused"]) for use in found["requests"]] == [
        ("/customers/7", 200, None), ("/customers/1000", None, "not-opened"),
    ]  # fmt: skip
    assert "issuer embedded, valid 66.0 s, used 1 time, 1 refused, seen at the gateway only\n" in story
    assert "  opens GET /customers/7\n  GET /customers/7: 200\n  GET /customers/1000: refused (not-opened)\n" in story


@pytest.mark.parametrize(
    ("words", "code", "outcome", "message"),
    [
        (("look_up", "--inputs", '{"name": "Nobody"}'), 1, "failed", 'agent "look_up" raised ValueError'),
        (("look_up", "--inputs", '{"name": 3}'), 1, "invalid_input",
         'agent "look_up" refuses its inputs: inputs["name"] must be a string, got 3'),
        (("look_up", "--inputs", '{"name": "x"}', "--scopes", "crm:read"), 3, "rejected",
         'agent "look_up" is asked with scope "crm:read"; the policy grants none'),
        (("shout", "--inputs", "{}"), 1, "invalid_output",
         'agent "shout" returned a value that its policy keeps by reference'),
    ],
)  # fmt: skip
def test_a_call_that_fails_ends_as_a_script_would(folder, say, words, code, outcome, message):
    ended, out, _ = say("try", *words, "--json")
    found = json.loads(out)

    assert (ended, found["exit_code"], found["outcome"], found["message"]) == (code, code, outcome, message)
    assert found["output"] is None


def test_an_operator_is_told_the_detail_that_a_script_never_hears(folder, say):
    code, out, err = say("try", "look_up", "--inputs", '{"name": "Nobody"}')

    assert (code, out) == (1, "")
    assert "    ValueError: no row for Nobody\n" in err


def test_an_agent_that_writes_is_not_called_unless_somebody_confirms_it(folder, say, crm):
    assert say("try", "note", "--inputs", '{"id": 7}') == (
        2, "", 'usage: agent "note" has effects "write", and nobody confirmed that it is called\n'
        "hint: add --yes to call it all the same\n",
    )  # fmt: skip
    assert crm.received == []


@pytest.mark.parametrize(("answer", "code", "calls"), [("yes", 0, 1), ("no", 4, 0), ("y", 4, 0)])
def test_somebody_at_the_terminal_is_asked(folder, say, crm, monkeypatch, answer, code, calls):
    monkeypatch.setattr("runner.cli.prompt_review.can_ask", lambda: True)
    monkeypatch.setattr("runner.cli.prompt_review.answers", lambda question: iter([answer]))

    ended, _, err = say("try", "note", "--inputs", '{"id": 7}')

    assert (ended, len(crm.received)) == (code, calls)
    assert 'agent "note" has effects "write": inputs {"id":7}, scopes crm:read\n' in err


@pytest.mark.parametrize("yes", [[], ["--yes"]])
def test_yes_is_no_decision_where_the_policy_asks_for_one(folder, say, yes):
    policy = folder / "runner.yaml"
    policy.write_text("review: required\n" + policy.read_text())

    code, _, err = say("try", "look_up", "--inputs", '{"name": "Acme"}', *yes)

    assert code == ExitCode.REVIEW_NEEDED
    assert 'policy "runner" says "review: required"; no decision holds' in err


def test_an_approval_of_the_call_holds_for_the_same_call_again(folder, say, capfd):
    policy = folder / "runner.yaml"
    policy.write_text("review: required\n" + policy.read_text())
    _, _, refused = say("try", "look_up", "--inputs", '{"name": "Acme"}')
    digest = refused.split("runner approve ")[1].split()[0]
    assert call(["key", "new", "--name", "tester"]) == 0
    assert call(["approve", digest, "--reason", "a try"]) == 0
    capfd.readouterr()

    code, out, _ = say("try", "look_up", "--inputs", '{"name": "Other"}')

    assert (code, out) == (0, '{"name":"Other","founded":1949}\n')


def test_names_of_agents_are_completed(folder):
    from types import SimpleNamespace

    from runner.cli.complete import agent_names

    assert agent_names(SimpleNamespace(params={}), "lo") == [("look_up", "Find a vendor in the register.")]
    assert agent_names(SimpleNamespace(params={"policy": "gone.yaml"}), "lo") == []


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("runner agents ", ["list", "describe", "try"]),
        ("runner agents describe lo", ["look_up"]),
        ("runner agents try --policy runner.yaml ", ["look_up", "note", "shout"]),
        ("runner agents try --policy gone.yaml lo", []),
    ],
)
def test_a_shell_completes_verbs_and_agents(folder, typed, offered):
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1), "_RUNNER_COMPLETE": "complete_bash"}
    environment = {**os.environ, **words, "PYTHONPATH": str(Path(__file__).parents[2])}
    code = "from runner.cli import main; main()"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=folder, timeout=60)

    assert sorted(told.stdout.split()) == sorted(offered)
    assert told.stderr == ""
    assert not (folder / "imported").exists()


PROCESS = (
    "a process group, environment and folder of its own, killed whole at its deadline; it does not stop it from using the network, "
    "from reading what its user may read, or from CPU and memory"
)
SERVICE = "a service that the host speaks to; what it does there, and that it ends at its deadline, is its own affair"
FUNCTION = (
    "an async def runs in the host's process, where nothing holds it; a def in a worker process that is killed at its deadline, and "
    "may use the network, files of its user, CPU and memory"
)


@pytest.mark.parametrize(
    ("backend", "isolation", "words"),
    [
        ("python", "none", FUNCTION), ("python", "process", PROCESS), ("command", "process", PROCESS), ("http", "none", SERVICE),
        ("mcp", "none", SERVICE), ("mcp", "process", PROCESS), ("crewai", "process", PROCESS), ("langgraph", "process", PROCESS),
        ("openai", "none", f"{SERVICE}; of the functions that are its tools {FUNCTION}"),
        ("claude", "process", f"{PROCESS}; of the functions that are its tools {FUNCTION}"),
    ],
)  # fmt: skip
def test_what_an_isolation_holds_is_told_of_what_runs_there(backend, isolation, words):
    from runner.cli.agents_words import isolation_words

    assert isolation_words(entry(backend, {}, isolation=isolation)) == words
    assert isolation_words(entry(backend, {}, isolation=isolation, unsafe_same_uid=True)) == f"{words}; it has the uid of the host's user"
