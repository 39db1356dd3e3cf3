"""A policy within a policy: what it has of the outer one, and what it may not have beyond it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner.errors import PolicyError, RecordBroken
from runner.guest.wire import canonical
from runner.policy import load_policy
from runner.policy.archived import archived_policy
from runner.policy.comparing import Kind
from runner.policy.diff import policy_diff
from runner.policy.model import ReviewRule
from runner.policy.nested import MAX_DEPTH, narrowed, nested_of
from tests.nested import agents, nested, script_agent, write
from tests.runs import agent

SCRIPT = 'result = gather(spawn("echo", {}))'
HINT = "an inner policy has agents of the outer one, with the same code, and nothing wider"


def told(folder: Path, *lines: str, agent: dict[str, Any] | None = None, **policies: Any) -> None:
    """Hold the refusal of an inner policy to these lines."""
    with pytest.raises(PolicyError) as refused:
        nested(folder, SCRIPT, "echo", agent=agent, **policies)

    first, *rest = refused.value.message.splitlines()
    assert first.endswith('agent "inner" runs under "inner.yaml", which is not within this policy')
    assert rest == list(lines)
    assert refused.value.hint == HINT


def test_both_digests_and_the_script_stand_in_the_outer_policy(tmp_path):
    policy = nested(tmp_path, SCRIPT, "echo")
    options = policy.agents["inner"].options
    found = nested_of(policy, policy.agents["inner"])
    (tmp_path / "inner.py").write_text("result = 2")
    other = load_policy(tmp_path / "outer.yaml")

    assert (found.script.name, found.script.text) == ("inner", SCRIPT)
    assert (found.script.digest, found.policy.digest) == (options["script_digest"], options["policy_digest"])
    assert found.policy.folder == policy.folder
    assert other.digest != policy.digest
    assert [(one.kind, one.path[-1]) for one in policy_diff(policy, other).entries] == [(Kind.CHANGED, "source")]


def test_an_archived_policy_has_what_its_script_agents_run(tmp_path):
    policy = nested(tmp_path, SCRIPT, "echo")
    again = archived_policy(policy.resolved, name="outer", folder=str(tmp_path))

    assert again.digest == policy.digest
    assert nested_of(again, again.agents["inner"]) == nested_of(policy, policy.agents["inner"])


def test_one_that_was_forged_is_refused(tmp_path):
    policy = nested(tmp_path, SCRIPT, "echo")
    form = json.loads(policy.resolved)
    form["agents"]["inner"]["options"]["source"] = "result = spawn('mail')"
    forged = archived_policy(canonical(form), name="outer", folder=str(tmp_path))

    with pytest.raises(PolicyError, match="another script or policy than its digests say"):
        nested_of(forged, forged.agents["inner"])


def test_what_the_inner_policy_does_not_say_is_as_in_the_outer_one(tmp_path):
    outer = {
        "sandbox": "docker", "imports": ["json"], "review": "required", "risk": {"no-lock": "error"},
        "limits": {"wall": "2m", "spawns": 50, "parallel": 20, "memory": "64MB", "cost_usd": 10, "model_tokens": 1000},
    }  # fmt: skip
    policy = nested(tmp_path, SCRIPT, "echo", agent={"parallel": 4}, **outer)
    inner, entry = nested_of(policy, policy.agents["inner"]).policy, policy.agents["inner"]

    assert (inner.sandbox, inner.imports, inner.risk) == (policy.sandbox, policy.imports, policy.risk)
    assert inner.review is ReviewRule.REQUIRED
    assert (inner.limits.wall_seconds, inner.limits.memory_bytes) == (120, 64 * 2**20)
    # A fifth: four may run at once, and the outer script itself.
    assert (inner.limits.spawns, inner.limits.parallel_spawns) == (10, 4)
    assert (inner.limits.cost_usd, inner.limits.model_tokens) == (2, 200)
    assert (entry.cost_usd, entry.call_tokens) == (2, 200)


def test_what_a_call_may_cost_bounds_its_run(tmp_path):
    policy = nested(tmp_path, SCRIPT, "echo", agent={"cost": 0.5, "model_tokens": 70})
    limits = nested_of(policy, policy.agents["inner"]).policy.limits

    assert (limits.cost_usd, limits.model_tokens) == (0.5, 70)


@pytest.mark.parametrize(
    ("inner", "outer", "line"),
    [
        ({"limits": {"wall": "10m"}}, {}, "limits: wall is 600s, was 300s"),
        ({"limits": {"spawns": 2000}}, {}, "limits: spawns is 2,000, was 1,000"),
        ({"sandbox": "process"}, {"sandbox": "docker"}, "sandbox: demand is process, was docker"),
        ({"imports": ["re"]}, {"imports": ["json"]}, '"re" is new in imports'),
    ],
)
def test_an_inner_policy_that_is_wider_is_refused(tmp_path, inner, outer, line):
    told(tmp_path, line, inner=inner, **outer)


def test_every_way_in_which_an_inner_agent_is_wider_is_told(tmp_path):
    wider = {"echo": agent("chatty", timeout="90s", retries=9), "other": agent("echo", scopes=["crm:read"])}
    told(
        tmp_path,
        'agent "echo": timeout is 90s, was 60s',
        'agent "echo": max_timeout is 90s, was 60s',
        'agent "echo": retries is 9, was 5',
        'agent "echo": other code: python is actors:chatty, was actors:echo',
        'agent "other" is new: effects none, scopes "crm:read"',
        'agent "other" has scope "crm:read"; "inner" has not',
        inner={"agents": wider},
    )


def test_the_scopes_of_inner_agents_are_those_of_the_script_agent_at_most(tmp_path):
    with pytest.raises(PolicyError) as refused:
        nested(tmp_path, SCRIPT, "scoped")

    assert refused.value.message.splitlines()[1:] == ['agent "scoped" has scope "crm:read"; "inner" has not']


def test_a_script_agent_does_not_hide_what_its_agents_do(tmp_path):
    mail = agent("echo", effects="irreversible", trusted=False)
    write(tmp_path, "inner", script=SCRIPT, agents={"echo": mail})
    outer = write(tmp_path, "outer", agents={"echo": mail, "inner": script_agent()}, sandbox="process")
    with pytest.raises(PolicyError) as refused:
        load_policy(outer)

    assert refused.value.message.splitlines()[1:] == [
        'agent "echo" has effects "irreversible"; "inner" says "none"',
        'agent "echo" is not trusted; "inner" is, and may return what it returned',
    ]


@pytest.mark.parametrize("rule", ["none", "required"])
def test_a_review_rule_of_its_own_is_refused(tmp_path, rule):
    with pytest.raises(PolicyError) as refused:
        nested(tmp_path, SCRIPT, "echo", inner={"review": rule}, review="when_flagged")

    told = f"review is {rule}, was when_flagged: the decision on this policy covers the inner one"
    assert told in refused.value.message.splitlines()


def test_a_policy_within_itself_is_refused(tmp_path):
    entries = agents("echo", inner=script_agent())
    write(tmp_path, "inner", script=SCRIPT, agents=entries)
    with pytest.raises(PolicyError) as refused:
        load_policy(tmp_path / "inner.yaml")

    assert refused.value.message.endswith('"inner.yaml" is the policy of a script within itself')
    assert refused.value.hint == "break the circle"


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1])
def test_policies_stand_within_policies_to_a_depth(tmp_path, depth):
    for n in range(1, depth + 1):
        below = {f"s{m}": script_agent(f"s{m}") for m in range(n + 1, depth + 1)}
        write(tmp_path, f"s{n}", script=SCRIPT, agents=agents("echo", **below))
    entries = agents("echo", **{f"s{n}": script_agent(f"s{n}") for n in range(1, depth + 1)})
    outer = write(tmp_path, "outer", agents=entries, sandbox="process")
    if depth == MAX_DEPTH:
        policy = load_policy(outer)
        assert nested_of(policy, policy.agents["s1"]).policy.agents.keys() == {"echo", "s2", "s3", "s4"}
        return
    with pytest.raises(PolicyError, match=f"within policies more than {MAX_DEPTH} deep|more than 32 policies"):
        load_policy(outer)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"file": "gone.py", "policy": "inner.yaml"}, '"gone.py" cannot be read: no such file or directory'),
        ({"file": "inner.py", "policy": "gone.yaml"}, '"gone.yaml" cannot be read: no such file or directory'),
        ({"file": "", "policy": "inner.yaml"}, 'the path of a file, relative to the policy\'s folder, such as "summarise.py"'),
    ],
)  # fmt: skip
def test_a_file_that_is_not_there_is_told_with_the_line_that_names_it(tmp_path, entry, message):
    with pytest.raises(PolicyError) as refused:
        nested(tmp_path, SCRIPT, "echo", agent={"script": entry})

    assert message in refused.value.message
    assert "outer.yaml" in refused.value.message and refused.value.line > 0


def test_a_script_that_is_too_large_or_no_text_is_refused(tmp_path):
    nested(tmp_path, SCRIPT, "echo")
    for data, message in ((b"#" * (256 * 1024 + 1), '"inner.py" is larger than 256 KiB'), (b"\xff", "it is not UTF-8")):
        (tmp_path / "inner.py").write_bytes(data)
        with pytest.raises(PolicyError, match=message):
            load_policy(tmp_path / "outer.yaml")


def test_what_a_run_gets_is_narrowed_to_its_scopes_and_its_slice_and_keeps_the_lock(tmp_path):
    policy = nested(tmp_path, SCRIPT, "echo", "scoped", agent={"scopes": ["crm:read"]})
    inner = nested_of(policy, policy.agents["inner"]).policy
    run = narrowed(policy, inner, scopes=(), limits=inner.limits)
    again = archived_policy(run.resolved, name="inner", folder=str(tmp_path))

    assert run.agents["scoped"].scopes == frozenset()
    assert not policy_diff(inner, run).widens
    assert (again.digest, again.agents, again.limits) == (run.digest, run.agents, run.limits)


def test_a_broken_form_of_what_is_nested_is_told(tmp_path):
    policy = nested(tmp_path, SCRIPT, "echo")
    form = json.loads(policy.resolved)
    del form["agents"]["inner"]["options"]["within"]
    broken = archived_policy(canonical(form), name="outer", folder=str(tmp_path))
    with pytest.raises((PolicyError, RecordBroken), match='agent "inner" has no script in it'):
        nested_of(broken, broken.agents["inner"])
