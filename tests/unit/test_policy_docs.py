"""docs/policy.md and the shipped policies, held to the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from runner.errors import PolicyError
from runner.models import Script
from runner.policy import load_policy, load_policy_text, policy_schema
from runner.policy.fields import AgentFields, LimitsFields, PolicyFields, SandboxFields
from runner.policy.resource_fields import IssuerFields, ResourceFields
from runner.policy.schemas import validator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/policy.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
SHIPPED = sorted((ROOT / "policies").glob("*.yaml"))
LIMITS = "version: 1\nagents: {}\nlimits: {%s: %s}"


def table(heading: str) -> dict[str, list[str]]:
    """Return the rows of the first table below a heading: first cell without its backquotes → the others."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \|$", section, re.MULTILINE)
    return {name: rest.split(" | ") for name, rest in rows}


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_each_documented_policy_loads(example, tmp_path):
    for name in ("limits.yaml", "teams/sales.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("limits: {spawns: 5}\n")

    assert load_policy_text(example, folder=tmp_path, name="docs/policy.md").digest


@pytest.mark.parametrize(
    ("heading", "fields"),
    [
        ("Keys of the file", PolicyFields), ("Limits", LimitsFields), ("Sandbox", SandboxFields), ("Agents", AgentFields),
        ("Resources", ResourceFields), ("Issuers", IssuerFields),
    ],
)
def test_each_key_is_documented_and_each_documented_key_exists(heading, fields):
    assert sorted(table(heading)) == sorted(fields.model_fields)


def test_the_documented_defaults_of_limits_are_those_of_the_code():
    defaults = load_policy_text("version: 1\nagents: {}", folder=ROOT, name="p").limits

    for key, (_, default) in table("Limits").items():
        written = re.match(r"`([^`]+)`", default)
        assert written is not None, key
        assert load_policy_text(LIMITS % (key, written[1]), folder=ROOT, name="p").limits == defaults, key


def test_the_documented_error_is_what_is_said():
    text = "version: 1\nagents:\n  research:\n    description: x\n    python: a:b\n    input: {}\n    output: {}\n"
    with pytest.raises(PolicyError) as caught:
        load_policy_text(text + "    timeuot: 5s\n    effects: reed\n", folder=ROOT, name="runner.yaml")

    assert f"```\n{caught.value.message}\nhint: {caught.value.hint}\n```" in PAGE


@pytest.mark.parametrize("path", SHIPPED, ids=[path.name for path in SHIPPED])
def test_shipped_policies_load_without_a_warning_and_all_but_the_demos_demand_docker(path):
    policy = load_policy(path)

    assert policy.warnings == ()
    assert path.name.startswith("demo") or policy.sandbox.demand == "docker"
    assert validator(policy_schema()).is_valid(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    "mistake",
    [{"agnets": {}}, {"sandbox": "dokcer"}, {"limits": {"wall": "5x"}}, {"version": 2}, {"limits": {"spawns": "5"}},
     {"agents": {"a": {"python": "m:f"}}}, {"agents": {"a": {"description": "x", "scopes": ["a b"]}}}],
)  # fmt: skip
def test_an_editor_with_the_schema_sees_what_would_be_refused(mistake):
    assert not validator(policy_schema()).is_valid({"version": 1, "agents": {}, **mistake})


async def test_the_strict_policys_command_agent_does_what_it_says(tmp_path):
    from runner import Runner

    text = (ROOT / "policies/strict.yaml").read_text().replace("sandbox: docker", "sandbox: process")
    policy = load_policy_text(text, folder=tmp_path, name="strict")
    async with Runner(home=tmp_path, sandbox="process") as runner:
        ran = await runner.run(Script("s", b'result = spawn("digest", {"text": "a"}).result()'), policy=policy)

    assert ran.result == {"sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}, ran.error
