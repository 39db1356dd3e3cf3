"""Each mistake in a policy: one PolicyError with the file, the line, what is allowed, and the fix."""

# Tables of whole messages read better unbroken.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import ExitCode, PolicyError
from runner.policy import load_policy, load_policy_text

HEAD = "version: 1\nagents:\n  research:\n"
AGENT = HEAD + "    description: Finds.\n    python: agents:research\n    input: {}\n    output: {}\n"


def refusal(text: str, folder: Path = Path(".")) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        load_policy_text(text, folder=folder, name="runner.yaml")
    return caught.value


# (policy, line, message without its place, hint)
MISTAKES = [
    # --- the file ---
    ("", 1, "the policy is empty",
     "a policy begins with `version: 1` and `agents:`; `runner init` writes one to start from"),
    ("- a", 1, "the policy cannot be a list",
     "a policy begins with `version: 1` and `agents:`; `runner init` writes one to start from"),
    ("version: 1\nagents: [", 3, "not YAML: did not find expected node content",
     "look at indentation, quotes and brackets at and above this line"),
    ("version: 1\n\nversion: 1", 3, 'the key "version" stands here a second time', "it stands on line 1 too: keep one"),
    ("version: !!int 1", 1, 'the tag "tag:yaml.org,2002:int" is not read', "remove the tag; quote what is a text"),
    ("a: 1\n---\nb: 1", 2, "a second document begins here", "keep one policy in a file; remove `---`"),
    ("a: *b", 1, '"*b" refers to nothing', "write `&b` at a value that is complete above this line"),
    ("a: &a [*a]", 1, '"*a" refers to nothing', "write `&a` at a value that is complete above this line"),
    ("a: {<<: {}}", 1, 'the merge key "<<" is not read', "write the keys out, or use `include`"),
    ("a:\n  ? [x]\n  : 1", 2, "a key is a text", "write the key as a plain word, or in quotes"),
    ("a: .nan", 1, ".nan is a number that JSON cannot carry", "quote it if it is a text"),
    ("a: 1e999", 1, "1e999 is a number that JSON cannot carry", "quote it if it is a text"),
    ("a: 99999999999999999999", 1, "99999999999999999999 is a number that JSON cannot carry", "quote it if it is a text"),
    ("[" * 70 + "]" * 70, 1, "nested more than 64 levels deep", "give the inner part less depth"),
    ("a: \x07", 0, "not YAML: it has a control character or is no Unicode text", "save the file as UTF-8 text"),
    # --- the top ---
    ("agents: {}", 1, 'the policy has no "version"', "write `version: 1` at the top"),
    ("version: 2\nagents: {}", 1, "version cannot be 2; allowed: 1", "write for example `version: 1`"),
    ("version: 1", 1, 'the policy has no "agents"',
     "name each agent that scripts may spawn, with a backend, `input` and `output`"),
    ("version: 1\nagnets: {}", 2, 'the policy has the unknown key "agnets"', 'did you mean "agents"?'),
    ("version: 1\nagents: {}\nzzz: 1", 3, 'the policy has the unknown key "zzz"',
     "known here: agents, description, imports, include, issuers, limits, providers, resources, review, risk, sandbox, version"),
    ("version: 1\nagents:", 2, "agents cannot be empty; allowed: a mapping",
     "write for example `agents: {research: {...}}, with a plain word as the name`"),
    ("version: 1\nagents: {}\nimports: [jsn]", 3, 'imports: the dialect has no module "jsn"', 'did you mean "json"?'),
    ("version: 1\nagents: {}\nimports: json", 3, 'imports cannot be "json"; allowed: a list',
     "write for example `imports: [json, re]`"),
    # --- limits ---
    ("version: 1\nagents: {}\nlimits:\n  wal: 5m", 4, 'limits has the unknown key "wal"', 'did you mean "wall"?'),
    ("version: 1\nagents: {}\nlimits:\n  wall: 5 minutes", 4,
     'limits.wall cannot be "5 minutes"; allowed: seconds above 0, or a text with a unit: "250ms", "60s", "5m", "1h"',
     "write for example `wall: 5m`"),
    ("version: 1\nagents: {}\nlimits:\n  cpu: 0", 4,
     'limits.cpu cannot be 0; allowed: seconds above 0, or a text with a unit: "250ms", "60s", "5m", "1h"',
     "write for example `cpu: 60s`"),
    ("version: 1\nagents: {}\nlimits:\n  wall: true", 4,
     'limits.wall cannot be true; allowed: seconds above 0, or a text with a unit: "250ms", "60s", "5m", "1h"',
     "write for example `wall: 5m`"),
    ("version: 1\nagents: {}\nlimits:\n  bytes_in: 1.5", 4,
     'limits.bytes_in cannot be 1.5; allowed: a whole number of bytes above 0, or a text with a unit: "64KB", "256MB", "1GB"',
     "write for example `bytes_in: 256MB`"),
    ("version: 1\nagents: {}\nlimits:\n  memory: 1MB", 4,
     'limits.memory cannot be "1MB"; allowed: at least 64MB: below that no guest starts', "write for example `memory: 256MB`"),
    ("version: 1\nagents: {}\nlimits:\n  frame: 1GB", 4, 'limits.frame cannot be "1GB"; allowed: 4KB to 4MB',
     "write for example `frame: 4MB`"),
    ("version: 1\nagents: {}\nlimits:\n  spawns: -1", 4, "limits.spawns cannot be -1; allowed: a number from 0",
     "write for example `spawns: 1000`"),
    ("version: 1\nagents: {}\nlimits:\n  spawns: 2.5", 4, "limits.spawns cannot be 2.5; allowed: a whole number",
     "write for example `spawns: 1000`"),
    ("version: 1\nagents: {}\nlimits:\n  parallel: '5'", 4, 'limits.parallel cannot be "5"; allowed: a whole number',
     "write for example `parallel: 20`"),
    ("version: 1\nagents: {}\nlimits:\n  bytes_in: 64KB\n  frame: 1MB", 5,
     "limits: frame allows 1,048,576 bytes, and bytes_in only 65,536 for the whole run",
     "lower frame to 65,536, or raise bytes_in"),
    # --- sandbox ---
    ("version: 1\nagents: {}\nsandbox: dokcer", 3, 'sandbox.demand cannot be "dokcer"; allowed: docker, process',
     'did you mean "docker"?'),
    ("version: 1\nagents: {}\nsandbox: none", 3, 'sandbox.demand cannot be "none"; allowed: docker, process',
     "write one of docker, process"),
    ("version: 1\nagents: {}\nsandbox:\n  demand: process\n  runtime: runsc", 5,
     'sandbox: runtime is docker\'s, and demand is "process"', "write `demand: docker`"),
    ("version: 1\nagents: {}\nsandbox:\n  unverified_lock: true", 4,
     'sandbox has the unknown key "unverified_lock"', 'did you mean "unsafe_unverified_lock"?'),
    # --- agents ---
    (AGENT.replace("research:\n", "my research:\n", 1), 3,
     'agents cannot have the name "my research"; allowed: letters, digits, `_`, `.` and `-`, at most 64 of them',
     "write for example `agents: {research: {...}}, with a plain word as the name`"),
    (HEAD + "    python: a:b\n    input: {}\n    output: {}", 3, 'agent "research" has no "description"',
     "say in one line what the agent does: models and reviewers choose by it"),
    (AGENT + "    timeuot: 5s", 8, 'agent "research" has the unknown key "timeuot"', 'did you mean "timeout"?'),
    (AGENT + "    effects: reads", 8,
     'agent "research": effects cannot be "reads"; allowed: none, read, write, irreversible', 'did you mean "read"?'),
    (AGENT + "    idempotent: yes", 8, 'agent "research": idempotent cannot be "yes"; allowed: true or false',
     "write for example `idempotent: true`"),
    (AGENT + "    parallel: 0", 8, 'agent "research": parallel cannot be 0; allowed: a number from 1',
     "write for example `parallel: 20`"),
    # --- backends ---
    (HEAD + "    description: x\n    input: {}\n    output: {}", 3, 'agent "research" has no backend',
     'add `python: "module:function"` or `command: [program, argument]`, or one of http, mcp, anthropic, openai, '
     "claude, langgraph, crewai, script"),
    (AGENT + "    http: {url: 'http://x.example'}\n    command: [x]", 9,
     'agent "research" has 3 backends, python, command and http', "keep one; make two agents of it"),
    (AGENT + "    command: [x]", 8, 'agent "research" has two backends, python and command',
     "keep one; make two agents of it"),
    (AGENT.replace("agents:research", "agents.research"), 5,
     'agent "research": python cannot be "agents.research"; allowed: "module:function", such as "agents:research"',
     'write "agents:research"'),
    (AGENT.replace("agents:research", '"os:system; x"'), 5,
     'agent "research": python cannot be "os:system; x"; allowed: "module:function", such as "agents:research"',
     'write for example `python: "agents:research"`'),
    (AGENT.replace("agents:research", '"agents:class"'), 5,
     'agent "research": python cannot be "agents:class"; allowed: "module:function", such as "agents:research"; '
     "a part is a keyword of Python", 'write for example `python: "agents:research"`'),
    (AGENT.replace("python: agents:research", "command: curl -s"), 5,
     'agent "research": command cannot be "curl -s"; allowed: a list of texts: the program, then its arguments',
     "write [curl, -s]"),
    (AGENT.replace("python: agents:research", "command: [curl, 'env:TOKEN']"), 5,
     'agent "research": command cannot be a list; allowed: texts as they are; no "env:" and no "file:"',
     "put the value under `env:`, and have the program read it"),
    (AGENT + "    env: {A: b}", 8, 'agent "research" has "env", which only a command has',
     "read the value in the python function itself"),
    (AGENT.replace("python: agents:research", "command: [x]") + "    env:\n      PORT: 80", 9,
     'agent "research": env.PORT cannot be what it is; allowed: a text, "env:NAME", "file:PATH", or '
     "{command: [program, ...]}", "put it in quotes"),
    (AGENT.replace("python: agents:research", "command: [x]") + "    env:\n      A: 'env:A B'", 9,
     'agent "research": env.A cannot be what it is; allowed: a text, "env:NAME", "file:PATH", or {command: [program, ...]}',
     'write "env:" and the name of an environment variable'),
    (AGENT.replace("python: agents:research", "command: [x]") + "    env:\n      HOME: /root", 9,
     'agent "research": env cannot have the name "HOME"; allowed: others; HOME is a fresh folder for each attempt',
     "write for example `env: {TOKEN: env:TOKEN}`"),
    # --- scopes, timeouts ---
    (AGENT + '    scopes: ["crm read"]', 8,
     'agent "research": scopes[0] cannot be "crm read"; allowed: a scope token of RFC 6749: printable ASCII without '
     "space, quote and backslash", "write for example `scopes: [crm:read]`"),
    (AGENT + "    scopes: crm:read", 8, 'agent "research": scopes cannot be "crm:read"; allowed: a list',
     "write for example `scopes: [crm:read]`"),
    (AGENT + "    scopes: [crm:read]\n    default_scopes:\n      - crm:raed", 10,
     'agent "research" gives scope "crm:raed" by default; its scopes are "crm:read"', 'did you mean "crm:read"?'),
    (AGENT + "    default_scopes: [mail]", 8, 'agent "research" gives scope "mail" by default; its scopes are none',
     'add "mail" to scopes'),
    (AGENT + "    timeout: 10m", 8,
     'agent "research" may take 600s (timeout); the whole run may take 300s (wall)', "lower timeout to 300s, or raise wall"),
    (AGENT + "    timeout: 30s\n    max_timeout: 20s", 8,
     'agent "research" has a timeout of 30s above its max_timeout of 20s', "lower timeout to 20s, or raise max_timeout"),
    (AGENT + "    retries: 101", 8, 'agent "research": retries cannot be 101; allowed: a number up to 100',
     "write for example `retries: 5`"),
    (AGENT + "    retries: -1", 8, 'agent "research": retries cannot be -1; allowed: a number from 0',
     "write for example `retries: 5`"),
    (AGENT + "    unsafe_retry_unknown: 1", 8,
     'agent "research": unsafe_retry_unknown cannot be 1; allowed: true or false',
     "write for example `unsafe_retry_unknown: true`"),
    (AGENT + "limits: {fallbacks: 17}", 8, "limits.fallbacks cannot be 17; allowed: a number up to 16",
     "write for example `fallbacks: 4`"),
    (AGENT + "limits: {backoff: 0}", 8,
     'limits.backoff cannot be 0; allowed: seconds above 0, or a text with a unit: "250ms", "60s", "5m", "1h"',
     "write for example `backoff: 60s`"),
    (AGENT + "limits:\n  wall: 1m\n  backoff: 2m", 10,
     "limits: backoff allows a wait of 120s; the whole run may take 60s (wall)", "lower backoff to 60s, or raise wall"),
    # --- schemas ---
    (HEAD + "    description: x\n    python: a:b\n    output: {}", 3, 'agent "research" has no "input"',
     "add `input:` with a JSON Schema, inline or as the path of a file"),
    (HEAD + "    description: x\n    python: a:b\n    input: {}", 3, 'agent "research" has no "output"',
     "add `output:` with a JSON Schema, inline or as the path of a file"),
    (AGENT + "    unsafe_any_output: true", 8, 'agent "research" has an output schema and unsafe_any_output',
     "remove one of them"),
    (AGENT.replace("input: {}", "input:\n      properties:\n        a: {type: strin}"), 8,
     'agent "research" input: not a JSON Schema at properties.a.type: "strin" is none of array, boolean, integer, null, '
     "number, object, string", "see json-schema.org, draft 2020-12"),
    (AGENT.replace("input: {}", "input: {$ref: 'https://example.com/x.json'}"), 6,
     'agent "research" input: "https://example.com/x.json" would be read from the network',
     "save it as a file beside the policy, and refer to the file"),
    (AGENT.replace("input: {}", "input: {$ref: '#/$defs/x'}"), 6,
     "agent \"research\" input: not a JSON Schema: Pointer '/$defs/x' does not exist", "see json-schema.org, draft 2020-12"),
    (AGENT.replace("input: {}", "input: {$schema: 'http://json-schema.org/draft-07/schema#'}"), 6,
     'agent "research" input: "http://json-schema.org/draft-07/schema#" is not a draft that is read',
     'write "$schema": "https://json-schema.org/draft/2020-12/schema", or leave it out'),
    (AGENT.replace("input: {}", "input: nowhere.json"), 6,
     'agent "research" input: "nowhere.json" cannot be read: no such file or directory',
     "correct the path; `runner init` writes a policy to start from"),
    (AGENT.replace("input: {}", "input: 5"), 6,
     'agent "research": input cannot be 5; allowed: a JSON Schema, or the path of a file with one, such as '
     '"schemas/finding.json"',
     "write for example `input: {type: object, properties: {vendor: {type: string}}, required: [vendor]}`"),
    # --- includes ---
    ("version: 1\ninclude: [nowhere.yaml]\nagents: {}", 2, '"nowhere.yaml" cannot be read: no such file or directory',
     "correct the path; `runner init` writes a policy to start from"),
    ("version: 1\ninclude: {}\nagents: {}", 2, "include cannot be a mapping; allowed: a list of paths",
     "write [other.yaml]"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "message", "hint"), MISTAKES, ids=[row[2][:60] for row in MISTAKES])
def test_each_mistake_is_told_with_its_line_what_is_allowed_and_the_fix(text, line, message, hint, tmp_path):
    error = refusal(text, tmp_path)

    place = f"runner.yaml:{line}: " if line else "runner.yaml: "
    assert (error.message, error.hint) == (place + message, hint)
    assert (error.file, error.line, error.exit_code) == ("runner.yaml", line, ExitCode.USAGE)


def test_all_mistakes_of_a_file_are_told_at_once_in_the_order_of_its_lines():
    error = refusal(AGENT + "    effects: reed\n    timeuot: 5s\nsandbox: dokcer\n")

    assert error.message.splitlines() == [
        'runner.yaml:8: agent "research": effects cannot be "reed"; allowed: none, read, write, irreversible',
        'runner.yaml:9: agent "research" has the unknown key "timeuot" (did you mean "timeout"?)',
        'runner.yaml:10: sandbox.demand cannot be "dokcer"; allowed: docker, process (did you mean "docker"?)',
    ]
    assert error.hint == 'did you mean "read"?'


def test_a_hundred_mistakes_are_cut_after_twenty():
    agents = "".join(f"  a{n}: {{description: x}}\n" for n in range(100))
    error = refusal("version: 1\nagents:\n" + agents)

    assert len(error.message.splitlines()) == 21
    assert error.message.endswith("\nand 280 more")


def test_an_error_shows_no_value_of_an_environment_and_nothing_that_looks_like_a_key():
    token = "ghp_" + "a1B2" * 9
    for text in (
        AGENT.replace("python: agents:research", "command: [x]") + f"    env: {{TOKEN: [{token}]}}",
        AGENT + f"    effects: {token}",
        AGENT.replace("agents:research", token),
    ):
        assert token not in refusal(text).message


def test_a_small_file_of_aliases_cannot_become_a_large_value():
    rows = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    rows += [f"{b}: &{b} [{', '.join(['*' + a] * 10)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    error = refusal("\n".join(rows))

    assert "with its aliases filled in the file has more than 50,000 values" in error.message
    assert error.hint == "use fewer aliases (`*name`)"


def test_a_file_of_two_million_characters_is_not_parsed():
    assert refusal("#" * 2_000_000).message == "runner.yaml: the file has 2,000,000 characters; at most 1,048,576 are read"


def test_a_policy_file_that_is_no_file_or_no_text_is_told_so(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"version: 1\ndescription: caf\xe9\n")

    with pytest.raises(PolicyError, match=r"latin\.yaml:2: it is not UTF-8"):
        load_policy(tmp_path / "latin.yaml")
    with pytest.raises(PolicyError, match="is not a file"):
        load_policy(tmp_path)
    with pytest.raises(PolicyError, match=r'nowhere\.yaml" cannot be read: no such file or directory'):
        load_policy(tmp_path / "nowhere.yaml")
