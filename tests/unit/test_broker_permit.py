"""Whether a spawn may be: a pure function of policy and request. Refused whole, never trimmed."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.broker.permit import Permit, Refusal, permit
from runner.models import Limits, Spawn
from runner.policy.model import AgentEntry, Policy, SandboxRule

MAIL = AgentEntry(
    "mail", "Reads and sends mail", "python", {"call": "m:f"}, {}, {}, frozenset({"mail:read", "mail:send"}), ("mail:read",),
    10.0, 30.0,
)  # fmt: skip
PLAIN = AgentEntry("plain", "No scopes", "python", {"call": "m:f"}, {}, {}, timeout_seconds=5.0, max_timeout_seconds=5.0)
POLICY = Policy("p", {"mail": MAIL, "plain": PLAIN}, Limits(), SandboxRule(), None, Path("."), "{}", "d")


@pytest.mark.parametrize(
    ("spawn", "scopes", "timeout"),
    [
        (Spawn(1, "mail", {}), ("mail:read",), 10.0),
        (Spawn(1, "mail", {}, ()), (), 10.0),
        (Spawn(1, "mail", {}, ("mail:send",)), ("mail:send",), 10.0),
        (Spawn(1, "mail", {}, ("mail:send", "mail:read"), 30.0), ("mail:send", "mail:read"), 30.0),
        (Spawn(1, "plain", {}), (), 5.0),
    ],
)
def test_a_spawn_gets_what_it_asked_or_the_default(spawn, scopes, timeout):
    answer = permit(POLICY, spawn)

    assert isinstance(answer, Permit)
    assert (answer.scopes, answer.timeout) == (scopes, timeout)


@pytest.mark.parametrize(
    ("spawn", "rule", "message"),
    [
        (Spawn(1, "mial", {}), "agent-not-in-policy", 'agent "mial" is not in the policy; did you mean "mail"?'),
        (Spawn(1, "zzz", {}), "agent-not-in-policy", 'agent "zzz" is not in the policy; it lists "mail", "plain"'),
        (Spawn(1, "mail", {}, ("mail",)), "scopes-not-granted",
         'agent "mail" was asked with scope "mail"; the policy grants "mail:read", "mail:send"'),
        (Spawn(1, "mail", {}, ("mail:read", "*")), "scopes-not-granted",
         'agent "mail" was asked with scope "*"; the policy grants "mail:read", "mail:send"'),
        (Spawn(1, "mail", {}, ("mail:read ",)), "scopes-not-granted",
         'agent "mail" was asked with scope "mail:read "; the policy grants "mail:read", "mail:send"'),
        (Spawn(1, "plain", {}, ("x",)), "scopes-not-granted", 'agent "plain" was asked with scope "x"; the policy grants none'),
        (Spawn(1, "mail", {}, None, 31.0), "timeout-beyond-cap", 'agent "mail" may take 30 s at most; asked 31 s'),
    ],
)  # fmt: skip
def test_a_spawn_beyond_its_grant_is_refused_and_told_what_is_allowed(spawn, rule, message):
    assert permit(POLICY, spawn) == Refusal(rule, message)
