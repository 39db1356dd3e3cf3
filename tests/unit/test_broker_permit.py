"""Whether a spawn may be: a pure function of policy and request. Refused whole, never trimmed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.broker.permit import Permit, Refusal, permit
from runner.guest.wire import NextAgent, RetryRule
from runner.models import Limits, Spawn
from runner.policy.model import AgentEntry, Policy, SandboxRule

MAIL = AgentEntry(
    "mail", "Reads and sends mail", "python", {"call": "m:f"}, {}, {}, frozenset({"mail:read", "mail:send"}), ("mail:read",),
    10.0, 30.0, max_retries=3,
)  # fmt: skip
PLAIN = AgentEntry(
    "plain", "No scopes", "python", {"call": "m:f"}, {}, {}, timeout_seconds=5.0, max_timeout_seconds=5.0, idempotent=True,
)  # fmt: skip
ONCE = AgentEntry("once", "Once only", "python", {"call": "m:f"}, {}, {}, frozenset({"mail:read"}), max_retries=0)
RISKY = AgentEntry(
    "risky", "May be repeated", "python", {"call": "m:f"}, {}, {}, unsafe_retry_unknown=True, max_retries=1
)
AGENTS = {"mail": MAIL, "plain": PLAIN, "once": ONCE, "risky": RISKY}
POLICY = Policy("p", AGENTS, Limits(fallbacks=2, backoff_seconds=60.0), SandboxRule(), None, Path("."), "{}", "d")


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
    assert permit(POLICY, spawn) == (Permit(POLICY.agents[spawn.agent], scopes, timeout),)


@pytest.mark.parametrize(
    ("spawn", "rule", "message"),
    [
        (Spawn(1, "mial", {}), "agent-not-in-policy", 'agent "mial" is not in the policy; did you mean "mail"?'),
        (Spawn(1, "zzz", {}), "agent-not-in-policy", 'agent "zzz" is not in the policy; it lists "mail", "plain", "once", "risky"'),
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


def asks(agent="mail", *others, attempts=None, max_backoff=30.0, on=("failed",), **options):
    rule = None if attempts is None else RetryRule(attempts, 1.0, max_backoff, on)
    fallback = tuple(other if isinstance(other, NextAgent) else NextAgent(other) for other in others)
    return Spawn(1, agent, {}, retry=rule, fallback=fallback, **options)


@pytest.mark.parametrize(
    ("spawn", "chain"),
    [
        (asks("mail", "plain"), [("mail", ("mail:read",), 10.0), ("plain", (), 5.0)]),
        (asks("mail", "once", scopes=("mail:read",)), [("mail", ("mail:read",), 10.0), ("once", ("mail:read",), 60.0)]),
        (asks("mail", NextAgent("plain", ()), scopes=("mail:send",)), [("mail", ("mail:send",), 10.0), ("plain", (), 5.0)]),
        (asks("mail", NextAgent("mail", ("mail:send",)), timeout=20.0),
         [("mail", ("mail:read",), 20.0), ("mail", ("mail:send",), 20.0)]),
        (asks("mail", "plain", "plain", attempts=3), [("mail", ("mail:read",), 10.0), ("plain", (), 5.0), ("plain", (), 5.0)]),
        (asks("once", attempts=0, max_backoff=999.0), [("once", (), 60.0)]),
        (asks("mail", attempts=1, max_backoff=60.0), [("mail", ("mail:read",), 10.0)]),
        (asks("plain", "risky", attempts=1, on=("failed", "outcome_unknown")), [("plain", (), 5.0), ("risky", (), 60.0)]),
    ],
)  # fmt: skip
def test_each_agent_of_a_chain_is_permitted_as_itself(spawn, chain):
    expected = tuple(Permit(AGENTS[name], scopes, timeout) for name, scopes, timeout in chain)

    assert permit(POLICY, spawn) == expected


@pytest.mark.parametrize(
    ("spawn", "rule", "message"),
    [
        (asks("mail", "plian"), "agent-not-in-policy", 'agent "plian" is not in the policy; did you mean "plain"?'),
        (asks("mail", "plain", scopes=("mail:read",)), "scopes-not-granted",
         'agent "plain" was asked with scope "mail:read"; the policy grants none'),
        (asks("mail", NextAgent("once", ("mail:send",))), "scopes-not-granted",
         'agent "once" was asked with scope "mail:send"; the policy grants "mail:read"'),
        (asks("mail", "plain", timeout=20.0), "timeout-beyond-cap", 'agent "plain" may take 5 s at most; asked 20 s'),
        (asks("mail", "plain", "plain", "plain"), "fallbacks-beyond-cap", "a spawn may name 2 fallbacks at most; this one names 3"),
        (asks("mail", attempts=4), "retries-beyond-cap",
         'agent "mail" may be asked for 3 further attempts at most; retry asks for 4'),
        (asks("mail", "once", attempts=1), "retries-beyond-cap",
         'agent "once" may be asked for 0 further attempts at most; retry asks for 1'),
        (asks("mail", "risky", attempts=2), "retries-beyond-cap",
         'agent "risky" may be asked for 1 further attempt at most; retry asks for 2'),
        (asks("mail", attempts=1, max_backoff=61.0), "backoff-beyond-cap",
         "two attempts may be 60 s apart at most; retry asks for max_backoff 61 s; write Retry(attempts=1, max_backoff=60)"),
        (asks("mail", attempts=1, on=("outcome_unknown",)), "retry-of-unknown-not-allowed",
         'agent "mail" is not idempotent, and the policy lets nothing follow an attempt of it whose outcome is unknown; '
         'leave "outcome_unknown" out of retry\'s on'),
        (asks("risky", "mail", attempts=0, on=("outcome_unknown",)), "retry-of-unknown-not-allowed",
         'agent "mail" is not idempotent, and the policy lets nothing follow an attempt of it whose outcome is unknown; '
         'leave "outcome_unknown" out of retry\'s on'),
    ],
)  # fmt: skip
def test_one_refusal_refuses_the_whole_chain(spawn, rule, message):
    assert permit(POLICY, spawn) == Refusal(rule, message)


def test_a_policy_may_allow_no_fallback_at_all():
    policy = replace(POLICY, limits=Limits(fallbacks=0))

    assert permit(policy, asks("mail", "plain")) == Refusal(
        "fallbacks-beyond-cap", "a spawn may name no fallback; this one names 1"
    )
