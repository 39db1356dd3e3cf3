"""trust.yaml: what it may say, who is believed, which policies each door may use, and what it refuses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.errors import PolicyError, StoreError, UsageError
from runner.policy import load_policy
from runner.policy.model import Policy, ReviewRule
from runner.review.flags import Risk
from runner.review.keys import ReviewerKey, new_reviewer_key
from runner.review.policies import sign_policy, signers
from runner.review.trust import Door, PolicyEntry, Reviewer, Trust, TrustFields, read_trust

FINGERPRINT = "ab" * 32
POLICY = "version: 1\nagents: {}\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir(mode=0o700)
    return tmp_path / "home"


@pytest.fixture
def key(home: Path) -> ReviewerKey:
    return new_reviewer_key(home, "ann")


def trust_of(home: Path, text: str, own: ReviewerKey | None = None) -> Trust:
    (home / "trust.yaml").write_text(text)
    (home / "trust.yaml").chmod(0o600)
    return read_trust(home, own)


def policy_of(folder: Path, text: str = POLICY, name: str = "p.yaml") -> Policy:
    (folder / name).write_text(text)
    return load_policy(folder / name)


def test_without_a_file_the_homes_key_counts_any_policy_may_be_used_but_none_over_mcp(home, key, tmp_path):
    trust = read_trust(home, key)
    policy = policy_of(tmp_path)

    assert trust == Trust((Reviewer("ann", key.fingerprint, Risk.ERROR),))
    assert [trust.permits(door, policy) for door in (Door.CLI, Door.LIBRARY, Door.MCP)] == [True, True, False]
    assert trust.rule(policy) is ReviewRule.NONE


def test_without_a_file_and_without_a_key_nobodys_decision_counts(home):
    assert read_trust(home, None).reviewers == ()


def test_everything_that_is_written_is_taken(home, key):
    trust = trust_of(
        home,
        f"""
version: 1
reviewers:
  - {{name: ann, key: sha256:{FINGERPRINT}, may_approve: warning}}
  - name: bob
    key: |
{"".join(f"      {line}" + chr(10) for line in key.key.public.decode().splitlines())}
    may_approve: none
    user: robert
review: when_flagged
second_person: true
policies:
  cli: [{{digest: {"c" * 64}}}, {{signer: {FINGERPRINT}}}, {{name: research, path: /etc/runner/research.yaml}}]
  library: []
  mcp: {{research: /etc/runner/research.yaml}}
""",
    )

    assert trust == Trust(
        (Reviewer("ann", FINGERPRINT, Risk.WARNING), Reviewer("bob", key.fingerprint, Risk.NONE, "robert")),
        True, ReviewRule.WHEN_FLAGGED, True,
        {
            Door.CLI: (
                PolicyEntry(digest="c" * 64), PolicyEntry(signer=FINGERPRINT),
                PolicyEntry(name="research", path="/etc/runner/research.yaml"),
            ),
            Door.LIBRARY: (),
        },
        {"research": "/etc/runner/research.yaml"},
    )  # fmt: skip


def test_where_reviewers_are_listed_the_homes_key_counts_no_more(home, key):
    assert trust_of(home, "version: 1\nreviewers: []\n", key).reviewer(key.fingerprint) is None
    assert trust_of(home, "version: 1\nreview: required\n", key).reviewer(key.fingerprint) is not None


@pytest.mark.parametrize("host", list(ReviewRule))
@pytest.mark.parametrize("own", list(ReviewRule))
def test_a_policy_can_ask_for_more_than_its_host_and_never_for_less(home, tmp_path, host, own):
    trust = trust_of(home, f"version: 1\nreview: {host}\n")

    assert trust.rule(policy_of(tmp_path, POLICY + f"review: {own}\n")) is host.stricter(own)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "trust.yaml:1: it says nothing"),
        ("version: 2", "trust.yaml:1: version cannot be 2; allowed: 1"),
        ("review: none", 'trust.yaml:1: the file has no "version"'),
        ("version: 1\nreviews: none", 'trust.yaml:2: the file has the unknown key "reviews"'),
        ("version: 1\nreview: sometimes", "trust.yaml:2: review cannot be"),
        ("version: 1\nsecond_person: yes", "trust.yaml:2: second_person cannot be"),
        ("version: 1\nreviewers:\n  - {name: ann, key: abc, may_approve: error}", "trust.yaml:3: reviewers[0].key cannot be"),
        (f"version: 1\nreviewers:\n  - {{name: ann, key: {FINGERPRINT}}}", 'trust.yaml:3: reviewers[0] has no "may_approve"'),
        (f"version: 1\nreviewers:\n  - {{name: ann, key: {FINGERPRINT}, may_approve: all}}", "may_approve cannot be"),
        (f'version: 1\nreviewers:\n  - {{name: "a\\nb", key: {FINGERPRINT}, may_approve: none}}', "reviewers[0].name cannot be"),
        (
            f"version: 1\nreviewers:\n  - {{name: ann, key: {FINGERPRINT}, may_approve: none}}\n"
            f"  - {{name: ann, key: {'cd' * 32}, may_approve: error}}",
            'trust.yaml:4: reviewers: "ann" stands here a second time',
        ),
        (
            f"version: 1\nreviewers:\n  - {{name: ann, key: {FINGERPRINT}, may_approve: none}}\n"
            f"  - {{name: bob, key: {FINGERPRINT}, may_approve: error}}",
            'trust.yaml:4: reviewers: "bob" stands here a second time',
        ),
        ("version: 1\npolicies: {cli: all}", "trust.yaml:2: policies.cli cannot be"),
        ("version: 1\npolicies: {cli: [{}]}", "policies.cli[0] says too little or too much"),
        (f"version: 1\npolicies: {{cli: [{{digest: {'c' * 64}, name: x}}]}}", "policies.cli[0] says too little or too much"),
        ("version: 1\npolicies: {library: [{name: x}]}", "policies.library[0] says too little or too much"),
        ("version: 1\npolicies: {cli: [{digest: abc}]}", "policies.cli[0].digest cannot be"),
        ("version: 1\npolicies: {cli: [{digest: ''}]}", "policies.cli[0].digest cannot be"),
        ("version: 1\npolicies: {mcp: {x: policies/x.yaml}}", "policies.mcp.x cannot be"),
        ("version: 1\npolicies: {mcp: any}", "policies.mcp cannot be"),
        ("version: 1\nversion: 1", "second time"),
    ],
)  # fmt: skip
def test_each_mistake_in_the_file_is_refused_with_its_line(home, text, message):
    with pytest.raises(PolicyError) as refused:
        trust_of(home, text)

    assert message in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize("mode", [0o640, 0o602, 0o644])
def test_a_file_that_others_can_reach_is_refused(home, mode):
    (home / "trust.yaml").write_text("version: 1\n")
    (home / "trust.yaml").chmod(mode)

    with pytest.raises(StoreError, match="others can reach"):
        read_trust(home, None)


def test_a_link_a_folder_and_a_pipe_in_its_place_are_refused(home, tmp_path):
    (tmp_path / "loose.yaml").write_text("version: 1\n")
    (home / "trust.yaml").symlink_to(tmp_path / "loose.yaml")
    with pytest.raises(StoreError):
        read_trust(home, None)
    (home / "trust.yaml").unlink()
    os.mkfifo(home / "trust.yaml", 0o600)
    with pytest.raises(StoreError, match="is no file"):
        read_trust(home, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(home):
    (home / "trust.yaml").write_text("version: 1\n")
    (home / "trust.yaml").chmod(0o600)
    os.chown(home / "trust.yaml", 12345, -1)

    with pytest.raises(StoreError, match="belongs to user 12345"):
        read_trust(home, None)


def test_the_documented_file_is_one_and_every_key_of_it_is_documented(home):
    import re

    page = (Path(__file__).parents[2] / "docs/decisions.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    table = page.split("## trust.yaml", 1)[1].split("\n## ", 1)[0]
    documented = {name.partition(".")[0] for cell in re.findall(r"^\| (`[^|]+`) \|", table, re.MULTILINE)
                  for name in re.findall(r"`([a-z_.]+)`", cell)}  # fmt: skip

    assert trust_of(home, example).second_person
    assert documented == set(TrustFields.model_fields)


# --- policies --------------------------------------------------------------------------------


def test_a_door_uses_the_policies_that_are_named_by_digest_or_by_name_and_path_and_no_other(home, tmp_path):
    one, other = policy_of(tmp_path), policy_of(tmp_path, POLICY + "limits: {spawns: 5}\n", "q.yaml")
    by_digest = trust_of(home, f"version: 1\npolicies: {{cli: [{{digest: {one.digest}}}]}}\n")
    by_path = trust_of(home, f"version: 1\npolicies: {{cli: [{{name: q, path: {tmp_path}/q.yaml}}]}}\n")
    wrong_name = trust_of(home, f"version: 1\npolicies: {{cli: [{{name: p, path: {tmp_path}/q.yaml}}]}}\n")

    assert [by_digest.permits(Door.CLI, one), by_digest.permits(Door.CLI, other)] == [True, False]
    assert [by_path.permits(Door.CLI, one), by_path.permits(Door.CLI, other)] == [False, True]
    assert not wrong_name.permits(Door.CLI, other)
    assert by_digest.permits(Door.LIBRARY, other)


def test_a_policy_without_a_file_is_none_that_a_path_names(home, tmp_path):
    from runner.policy import load_policy_text

    trust = trust_of(home, f"version: 1\npolicies: {{cli: [{{name: p, path: {tmp_path}/p.yaml}}]}}\n")

    assert not trust.permits(Door.CLI, load_policy_text(POLICY, folder=tmp_path, name="p"))


def test_over_mcp_a_policy_is_named_and_leads_to_its_file(home, tmp_path):
    trust = trust_of(home, f"version: 1\npolicies: {{mcp: {{research: {tmp_path}/p.yaml}}}}\n")

    assert trust.mcp_policy("research") == tmp_path / "p.yaml"
    assert trust.permits(Door.MCP, policy_of(tmp_path))
    assert not trust.permits(Door.MCP, policy_of(tmp_path, POLICY, "q.yaml"))
    for name in (f"{tmp_path}/p.yaml", "../p.yaml", "", "other"):
        with pytest.raises(UsageError, match="no policy is called"):
            trust.mcp_policy(name)


def test_a_signed_policy_may_be_used_until_it_changes(home, key, tmp_path):
    trust = trust_of(home, f"version: 1\npolicies: {{cli: [{{signer: {key.fingerprint}}}]}}\n")
    policy = policy_of(tmp_path)
    unsigned = trust.permits(Door.CLI, policy, signers(policy))
    (tmp_path / "p.yaml.signature").write_text(sign_policy(policy, key))
    changed = policy_of(tmp_path, POLICY + "limits: {spawns: 5}\n")

    assert not unsigned
    assert trust.asks_signers(Door.CLI) and not trust.asks_signers(Door.LIBRARY)
    assert trust.permits(Door.CLI, policy, signers(policy))
    assert signers(changed) == frozenset()


@pytest.mark.parametrize("text", ["", "{}", "{", "[]"])
def test_a_broken_signature_of_a_policy_is_none(key, tmp_path, text):
    policy = policy_of(tmp_path)
    (tmp_path / "p.yaml.signature").write_text(text)

    assert signers(policy) == frozenset()


def test_a_decision_is_no_signature_of_a_policy(key, tmp_path):
    from tests.unit.test_review_decisions import DECISION

    policy = policy_of(tmp_path)
    statement = DECISION.statement().replace("b" * 64, policy.digest)
    (tmp_path / "p.yaml.signature").write_text(key.key.seal(statement))

    assert signers(policy) == frozenset()
