"""What a policy says for reviews alone: costs, whose outputs are trusted, how much a rule weighs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runner.cli.policy import policy_lines
from runner.errors import PolicyError
from runner.policy import load_policy_text, policy_schema
from runner.policy.archived import archived_policy
from runner.policy.model import RISK_RULES, Policy
from runner.policy.schemas import validator

PAGE = (Path(__file__).parents[2] / "docs/policy.md").read_text()
PLAIN = """
version: 1
agents:
  search:
    description: Searches the web.
    python: agents:search
    input: {}
    output: {}
"""


def policy(more: str = "", text: str = PLAIN) -> Policy:
    return load_policy_text(text + more, folder=Path("/nowhere"), name="p")


@pytest.mark.parametrize(("written", "dollars"), [("0.02", 0.02), ("{usd: 0.02}", 0.02), ("0", 0.0), ("3", 3.0), ("{usd: 1000000}", 1e6)])
def test_a_cost_is_dollars_of_one_call(written, dollars):
    found = policy(f"    cost: {written}\n")

    assert found.agents["search"].cost_usd == dollars
    assert f", ${dollars:,.12g} a call" in policy_lines(found)[2]


@pytest.mark.parametrize("written", ["-1", "1000001", "'2'", "true", "{usd: -1}", "{eur: 1}", "{}", "[1]"])
def test_what_is_no_cost_is_refused(written):
    with pytest.raises(PolicyError) as caught:
        policy(f"    cost: {written}\n")

    assert 'p:9: agent "search": cost cannot be' in caught.value.message
    assert "dollars for one call, from 0 to 1,000,000" in caught.value.message
    assert caught.value.hint == "write for example `cost: 0.02`"


def test_outputs_are_trusted_unless_the_policy_says_otherwise():
    assert policy().agents["search"].trusted
    found = policy("    trusted: false\n")

    assert not found.agents["search"].trusted
    assert policy_lines(found)[2].endswith(", outputs not trusted")


def test_each_rule_of_a_review_can_be_given_a_level():
    levels = {rule: ("off", "warning", "error")[n % 3] for n, rule in enumerate(RISK_RULES)}
    written = "risk: {" + ", ".join(f"{rule}: {level}" for rule, level in levels.items()) + "}\n"

    assert policy(written).risk == levels
    assert f"risk no-lock: {levels['no-lock']}" in policy_lines(policy(written))


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        ("risk: {no-lokc: off}", f'p:9: risk cannot have the name "no-lokc"; allowed: {", ".join(sorted(RISK_RULES))}', "write for example `risk: {not-exercised: error}`"),
        ("risk: {no-lock: erorr}", 'p:9: risk.no-lock cannot be "erorr"; allowed: off, warning, error', 'did you mean "error"?'),
    ],
)  # fmt: skip
def test_an_unknown_rule_or_level_is_told_with_what_is_known(written, message, hint):
    with pytest.raises(PolicyError) as caught:
        policy(written)

    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_an_include_adds_rules(tmp_path):
    (tmp_path / "rules.yaml").write_text("risk: {no-lock: error}\n")
    found = load_policy_text(PLAIN + "include: [rules.yaml]\nrisk: {raw-token: off}\n", folder=tmp_path, name="p")

    assert found.risk == {"raw-token": "off", "no-lock": "error"}


def test_a_policy_that_says_nothing_of_it_has_the_digest_that_it_had():
    # Of the version before there were costs, trust and rules.
    assert policy().digest == policy("    trusted: true\n").digest == policy("risk: {}\n").digest
    assert policy().digest == "0198ef264040b98d818401caefbf8941ba7e833aba984a81da3c180878b766dd"


@pytest.mark.parametrize("more", ["    cost: 0.5\n", "    trusted: false\n", "risk: {no-lock: off}\n"])
def test_what_is_written_is_part_of_the_digest_and_of_the_archive(more):
    found = policy(more)
    again = archived_policy(found.resolved, name="p", folder="/nowhere")

    assert found.digest != policy().digest
    assert (again.digest, again.risk) == (found.digest, found.risk)
    assert (again.agents["search"].cost_usd, again.agents["search"].trusted) == (found.agents["search"].cost_usd, found.agents["search"].trusted)


def test_an_editor_sees_levels_rules_and_costs():
    holds = validator(policy_schema()).is_valid
    agent = {"description": "x"}

    assert holds({"version": 1, "agents": {"a": {**agent, "cost": {"usd": 1}, "trusted": False}}, "risk": {"no-lock": "off"}})
    assert holds({"version": 1, "agents": {"a": {**agent, "cost": 0.5}}})
    for wrong in ({"cost": -1}, {"cost": {"eur": 1}}, {"trusted": "no"}):
        assert not holds({"version": 1, "agents": {"a": {**agent, **wrong}}})
    assert not holds({"version": 1, "agents": {}, "risk": {"no-lokc": "off"}})
    assert not holds({"version": 1, "agents": {}, "risk": {"no-lock": "on"}})


def test_every_rule_is_documented_with_its_meaning():
    section = PAGE.split("\n## Risk\n", 1)[1].split("\n## ", 1)[0]

    assert dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", section, re.MULTILINE)) == RISK_RULES
