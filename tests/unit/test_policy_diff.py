"""What a changed policy means for authority: widened, narrowed, changed, or the same in other words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.guest.wire import canonical
from runner.models import digest_of
from runner.policy import diff as tables
from runner.policy import load_policy_text
from runner.policy.comparing import Kind
from runner.policy.diff import PolicyDiff, policy_diff
from runner.policy.model import Policy
from runner.review.policy_changes import policy_changes
from runner.review.report import Change

WHOLE: dict[str, Any] = yaml.safe_load("""
version: 1
description: For comparisons.
limits: {wall: 5m, cpu: 10s, memory: 128MB, spawns: 10, parallel: 5, fallbacks: 1, backoff: 10s, bytes_in: 8MB, bytes_out: 8MB, logged: 64KB, frame: 1MB, token: 5m, cost_usd: 5, model_tokens: 100000}
sandbox: {demand: docker, runtime: runsc}
imports: [json, re]
providers: {acme: {rate: {requests: 50, tokens: 40000}}}
risk: {no-lock: warning, raw-token: error, dynamic-agents: "off"}
issuers:
  corp: {url: https://as.example, client_id: me, credential: "env:AS", max_lifetime: 10m, per_second: 5, private: [10.1.0.0/16]}
resources:
  crm:
    url: https://crm.example/api
    issuer: corp
    details: [{type: customer, identifier: "{inputs.id}"}]
    private: [10.20.0.0/16]
    record: [query]
    scopes:
      crm:read: ["GET,HEAD /customers/{inputs.id}/**", "GET /kinds"]
      crm:note: POST /customers/{inputs.id}/notes
  weather:
    url: https://weather.example
    credential: {header: X-Api-Key, value: "env:WEATHER"}
    scopes: {"weather:read": "GET /forecast"}
agents:
  profile:
    description: Tells who a customer is.
    python: agents:profile
    input: {type: object, properties: {id: {type: integer}, depth: {enum: [quick, thorough]}}, required: [id]}
    output: {type: object, properties: {name: {type: string}, age: {type: integer}}}
    scopes: [crm:read, crm:note]
    default_scopes: [crm:read]
    timeout: 10s
    max_timeout: 20s
    parallel: 3
    effects: write
    retries: 2
    isolation: process
    cost: 0.02
    price: {input: 3, output: 15}
    model_tokens: 500
    rate: {requests: 10}
    provider: acme
    trusted: false
  send:
    description: Sends a mail.
    command: [./send, --now]
    env: {LANG: C.UTF-8, KEY: "env:MAIL"}
    input: {type: object, properties: {to: {type: string}}, required: [to]}
    unsafe_any_output: true
    effects: irreversible
    unsafe_same_uid: true
""")
GONE = object()


def policy_of(value: dict[str, Any]) -> Policy:
    return load_policy_text(yaml.safe_dump(value), folder=Path("/nowhere"), name="p")


def with_changes(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the whole policy, with the parts at these places ("agents.send.timeout") other or gone."""
    value = json.loads(json.dumps(WHOLE))
    for place, part in changes.items():
        *above, last = place.split(".")
        at = value
        for name in above:
            at = at.setdefault(name, {})
        if part is GONE:
            del at[last]
        else:
            at[last] = part
    return value


def told(diff: PolicyDiff) -> list[tuple[str, str]]:
    return [(str(entry.kind), entry.message) for entry in diff.entries]


BASE = policy_of(WHOLE)
SEARCH = {"description": "Searches.", "python": "agents:search", "input": True, "output": {}, "effects": "read", "scopes": ["weather:read"]}
# What is changed, what that is, and what the change back is.
CHANGES: list[tuple[dict[str, Any], list[tuple[str, str]], list[tuple[str, str]]]] = [
    ({"description": "Else."}, [("equal", "description has other words")], [("equal", "description has other words")]),
    ({"limits.wall": "6m"}, [("widened", "limits: wall is 360s, was 300s")], [("narrowed", "limits: wall is 300s, was 360s")]),
    ({"limits.cpu": "9s"}, [("narrowed", "limits: cpu is 9s, was 10s")], [("widened", "limits: cpu is 10s, was 9s")]),
    ({"limits.memory": "256MB"}, [("widened", "limits: memory is 268,435,456 bytes, was 134,217,728")], [("narrowed", "limits: memory is 134,217,728 bytes, was 268,435,456")]),
    ({"limits.spawns": 11}, [("widened", "limits: spawns is 11, was 10")], [("narrowed", "limits: spawns is 10, was 11")]),
    ({"limits.parallel": 6}, [("widened", "limits: parallel is 6, was 5"), ("widened", 'agent "send": parallel is 6, was 5')], [("narrowed", "limits: parallel is 5, was 6"), ("narrowed", 'agent "send": parallel is 5, was 6')]),
    ({"limits.token": "6m"}, [("widened", "limits: token is 360s, was 300s")], [("narrowed", "limits: token is 300s, was 360s")]),
    ({"limits.cost_usd": 6}, [("widened", "limits: cost_usd is 6.0, was 5.0")], [("narrowed", "limits: cost_usd is 5.0, was 6.0")]),
    ({"limits.model_tokens": GONE}, [("widened", "limits: model_tokens is not said, was 100,000")], [("narrowed", "limits: model_tokens is 100,000, was not said")]),
    ({"providers": GONE}, [("widened", 'rate of provider "acme" (requests a minute) is not said, was 50.0'), ("widened", 'rate of provider "acme" (tokens a minute) is not said, was 40000.0')], [("narrowed", 'rate of provider "acme" (requests a minute) is 50.0, was not said'), ("narrowed", 'rate of provider "acme" (tokens a minute) is 40000.0, was not said')]),
    ({"agents.profile.rate": {"requests": 20}}, [("widened", 'agent "profile": rate (requests a minute) is 20.0, was 10.0')], [("narrowed", 'agent "profile": rate (requests a minute) is 10.0, was 20.0')]),
    ({"agents.profile.model_tokens": 400}, [("narrowed", 'agent "profile": model_tokens is 400, was 500')], [("widened", 'agent "profile": model_tokens is 500, was 400')]),
    ({"agents.profile.provider": GONE}, [("widened", 'agent "profile": provider is not said, was acme')], [("widened", 'agent "profile": provider is acme, was not said')]),
    ({"sandbox.runtime": GONE}, [("changed", "sandbox: runtime is not said, was runsc")], [("changed", "sandbox: runtime is runsc, was not said")]),
    ({"sandbox": "process"}, [("widened", "sandbox: demand is process, was docker"), ("changed", "sandbox: runtime is not said, was runsc")], [("narrowed", "sandbox: demand is docker, was process"), ("changed", "sandbox: runtime is runsc, was not said")]),
    ({"sandbox.unsafe_unverified_lock": True}, [("widened", "sandbox: unsafe_unverified_lock is true, was false")], [("narrowed", "sandbox: unsafe_unverified_lock is false, was true")]),
    ({"imports": ["json", "re", "math"]}, [("widened", '"math" is new in imports')], [("narrowed", '"math" is gone from imports')]),
    ({"imports": GONE}, [("widened", "imports is all of the dialect, was json, re")], [("narrowed", "imports is json, re, was all of the dialect")]),
    ({"risk.no-lock": "off"}, [("widened", "risk rule no-lock is off, was warning")], [("narrowed", "risk rule no-lock is warning, was off")]),
    ({"risk.raw-token": GONE}, [("widened", "risk rule raw-token is as the review has it, was error")], [("narrowed", "risk rule raw-token is error, was as the review has it")]),
    ({"risk.dynamic-agents": GONE}, [("narrowed", "risk rule dynamic-agents is as the review has it, was off")], [("widened", "risk rule dynamic-agents is off, was as the review has it")]),
    ({"risk.no-lock": GONE}, [("changed", "risk rule no-lock is as the review has it, was warning")], [("changed", "risk rule no-lock is warning, was as the review has it")]),
    ({"agents.search": SEARCH}, [("widened", 'agent "search" is new: effects read, scopes "weather:read"')], [("narrowed", 'agent "search" is gone')]),
    ({"agents.profile.description": "Tells."}, [("equal", 'agent "profile": description has other words')], [("equal", 'agent "profile": description has other words')]),
    ({"agents.profile.scopes": ["crm:read"]}, [("narrowed", 'agent "profile": "crm:note" is gone from scopes')], [("widened", 'agent "profile": "crm:note" is new in scopes')]),
    ({"agents.profile.default_scopes": ["crm:note", "crm:read"]}, [("widened", 'agent "profile": "crm:note" is new in default_scopes')], [("narrowed", 'agent "profile": "crm:note" is gone from default_scopes')]),
    ({"agents.profile.timeout": "11s"}, [("widened", 'agent "profile": timeout is 11s, was 10s')], [("narrowed", 'agent "profile": timeout is 10s, was 11s')]),
    ({"agents.profile.max_timeout": "15s"}, [("narrowed", 'agent "profile": max_timeout is 15s, was 20s')], [("widened", 'agent "profile": max_timeout is 20s, was 15s')]),
    ({"agents.profile.parallel": 4}, [("widened", 'agent "profile": parallel is 4, was 3')], [("narrowed", 'agent "profile": parallel is 3, was 4')]),
    ({"agents.profile.retries": 0}, [("narrowed", 'agent "profile": retries is 0, was 2')], [("widened", 'agent "profile": retries is 2, was 0')]),
    ({"agents.profile.idempotent": True}, [("widened", 'agent "profile": idempotent is true, was false')], [("narrowed", 'agent "profile": idempotent is false, was true')]),
    ({"agents.profile.unsafe_retry_unknown": True}, [("widened", 'agent "profile": unsafe_retry_unknown is true, was false')], [("narrowed", 'agent "profile": unsafe_retry_unknown is false, was true')]),
    ({"agents.profile.isolation": "none"}, [("widened", 'agent "profile": isolation is none, was process')], [("narrowed", 'agent "profile": isolation is process, was none')]),
    ({"agents.send.unsafe_same_uid": False}, [("narrowed", 'agent "send": unsafe_same_uid is false, was true')], [("widened", 'agent "send": unsafe_same_uid is true, was false')]),
    ({"agents.profile.unsafe_raw_token": True}, [("widened", 'agent "profile": unsafe_raw_token is true, was false')], [("narrowed", 'agent "profile": unsafe_raw_token is false, was true')]),
    ({"agents.profile.cost": 0.05}, [("widened", 'agent "profile": cost is $0.05 a call, was $0.02')], [("narrowed", 'agent "profile": cost is $0.02 a call, was $0.05')]),
    ({"agents.profile.cost": GONE}, [("widened", 'agent "profile": cost is not said a call, was $0.02')], [("narrowed", 'agent "profile": cost is $0.02 a call, was not said')]),
    ({"agents.profile.trusted": True}, [("widened", 'agent "profile": trusted is true, was false')], [("narrowed", 'agent "profile": trusted is false, was true')]),
    ({"agents.profile.effects": "irreversible"}, [("narrowed", 'agent "profile": effects irreversible are declared, were write: more is feared of the same code')], [("widened", 'agent "profile": effects write are declared, were irreversible: less is feared of the same code')]),
    ({"agents.profile.effects": "irreversible", "agents.profile.python": "agents:other"}, [("changed", 'agent "profile": other code: python is agents:other, was agents:profile'), ("widened", 'agent "profile": effects irreversible are declared, were write: other code does more')], [("changed", 'agent "profile": other code: python is agents:profile, was agents:other'), ("widened", 'agent "profile": effects write are declared, were irreversible: less is feared of other code')]),
    ({"agents.send.command": ["./send"]}, [("changed", 'agent "send": other code: command is ["./send"], was ["./send", "--now"]')], [("changed", 'agent "send": other code: command is ["./send", "--now"], was ["./send"]')]),
    ({"agents.send.env": {"LANG": "C", "KEY": "env:MAIL", "NEW": "x"}}, [("changed", 'agent "send": variable "LANG" has another value'), ("changed", 'agent "send": variable "NEW" is new')], [("changed", 'agent "send": variable "LANG" has another value'), ("changed", 'agent "send": variable "NEW" is gone')]),
    ({"agents.send.input.properties.cc": {"type": "string"}}, [("widened", 'agent "send": input schema takes more')], [("narrowed", 'agent "send": input schema takes less')]),
    ({"agents.send.input.properties.to": {"type": "integer"}}, [("changed", 'agent "send": input schema takes something else, and not less as far as is shown')], [("changed", 'agent "send": input schema takes something else, and not less as far as is shown')]),
    ({"agents.send.input.title": "To"}, [("equal", 'agent "send": input schema takes what it did, in other words')], [("equal", 'agent "send": input schema takes what it did, in other words')]),
    ({"agents.profile.output.properties.mail": {"type": "string"}}, [("widened", 'agent "profile": output schema lets through more')], [("narrowed", 'agent "profile": output schema lets through less')]),
    ({"agents.send.unsafe_any_output": False, "agents.send.output": {}}, [("narrowed", 'agent "send": output schema lets through less')], [("widened", 'agent "send": output schema lets through more')]),
    ({"resources.crm.url": "https://crm2.example", "resources.crm.audience": "https://crm.example/api"}, [("widened", 'resource "crm": url is https://crm2.example, was https://crm.example/api')], [("widened", 'resource "crm": url is https://crm.example/api, was https://crm2.example')]),
    ({"resources.crm.audience": "https://all.example"}, [("widened", 'resource "crm": audience is https://all.example, was https://crm.example/api')], [("widened", 'resource "crm": audience is https://crm.example/api, was https://all.example')]),
    ({"resources.crm.issuer": GONE}, [("widened", 'resource "crm": issuer is not said, was corp')], [("widened", 'resource "crm": issuer is corp, was not said')]),
    ({"resources.crm.ca": "ca.pem"}, [("widened", 'resource "crm": ca is ca.pem, was not said')], [("widened", 'resource "crm": ca is not said, was ca.pem')]),
    ({"resources.crm.details": GONE}, [("changed", 'resource "crm": details is not said, was [{"identifier": "{inputs.id}", "type": "customer"}]')], [("changed", 'resource "crm": details is [{"identifier": "{inputs.id}", "type": "customer"}], was not said')]),
    ({"resources.crm.private": ["10.20.0.0/16", "10.30.0.0/16"]}, [("widened", 'resource "crm": 10.30.0.0/16 is new in private')], [("narrowed", 'resource "crm": 10.30.0.0/16 is gone from private')]),
    ({"resources.crm.private": ["10.20.5.0/24"]}, [("equal", 'resource "crm": 10.20.5.0/24 is new in private'), ("narrowed", 'resource "crm": 10.20.0.0/16 is gone from private')], [("widened", 'resource "crm": 10.20.0.0/16 is new in private'), ("equal", 'resource "crm": 10.20.5.0/24 is gone from private')]),
    ({"resources.crm.record": ["query", "body"]}, [("narrowed", 'resource "crm": "body" is new in record')], [("widened", 'resource "crm": "body" is gone from record')]),
    ({"resources.weather.credential": GONE}, [("widened", 'resource "weather": requests carry the attempt\'s token, carried its own X-Api-Key: other authority')], [("widened", 'resource "weather": requests carry its own X-Api-Key, carried the attempt\'s token: other authority')]),
    ({"resources.crm.scopes.crm:note": GONE}, [("narrowed", 'resource "crm": scope "crm:note" is gone')], [("widened", 'resource "crm": scope "crm:note" is new, and opens POST /customers/{inputs.id}/notes')]),
    ({"resources.crm.scopes.crm:read": ["GET /customers/{inputs.id}/name", "GET /kinds"]}, [("equal", 'resource "crm": scope "crm:read" has GET /customers/{inputs.id}/name now, which was open before'), ("narrowed", 'resource "crm": scope "crm:read" opens no more all of GET,HEAD /customers/{inputs.id}/**')], [("widened", 'resource "crm": scope "crm:read" opens GET,HEAD /customers/{inputs.id}/**'), ("equal", 'resource "crm": scope "crm:read" has GET /customers/{inputs.id}/name no more, which is open all the same')]),
    ({"resources.crm.scopes.crm:read": ["GET /kinds", "GET,HEAD /customers/{inputs.id}/**"]}, [("equal", 'resource "crm": scopes has another order')], [("equal", 'resource "crm": scopes has another order')]),
    ({"resources.extra": {"url": "https://x.example", "scopes": {}}}, [("widened", 'resource "extra" is new: https://x.example')], [("narrowed", 'resource "extra" is gone')]),
    ({"issuers.extra": {"url": "https://x.example", "client_id": "a", "credential": "env:A"}}, [("widened", 'issuer "extra" is new: https://x.example')], [("narrowed", 'issuer "extra" is gone')]),
    ({"issuers.corp.url": "https://as2.example"}, [("widened", 'issuer "corp": url is https://as2.example, was https://as.example')], [("widened", 'issuer "corp": url is https://as.example, was https://as2.example')]),
    ({"issuers.corp.credential": "file:key"}, [("widened", 'issuer "corp": credential is {"file": ["key"]}, was {"env": ["AS"]}')], [("widened", 'issuer "corp": credential is {"env": ["AS"]}, was {"file": ["key"]}')]),
    ({"issuers.corp.grant": "token_exchange"}, [("widened", 'issuer "corp": grant is token_exchange, was client_credentials')], [("widened", 'issuer "corp": grant is client_credentials, was token_exchange')]),
    ({"issuers.corp.max_lifetime": "20m"}, [("widened", 'issuer "corp": max_lifetime is 1200s, was 600s')], [("narrowed", 'issuer "corp": max_lifetime is 600s, was 1200s')]),
    ({"issuers.corp.unsafe_no_revocation": True}, [("widened", 'issuer "corp": revoke is false, was true')], [("narrowed", 'issuer "corp": revoke is true, was false')]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "forth", "back"), CHANGES, ids=[", ".join(row[0]) for row in CHANGES])
def test_each_change_is_told_by_what_it_means_for_authority(changes, forth, back):
    other = policy_of(with_changes(changes))

    assert told(policy_diff(BASE, other)) == forth
    assert told(policy_diff(other, BASE)) == back
    assert policy_diff(BASE, other).widens is any(kind in ("widened", "changed") for kind, _ in forth)


def test_a_policy_is_equal_to_itself():
    assert policy_diff(BASE, policy_of(WHOLE)) == PolicyDiff(())
    assert not policy_diff(BASE, BASE).widens


def test_a_difference_has_its_place_and_what_was_and_is():
    (entry,) = policy_diff(BASE, policy_of(with_changes({"agents.profile.timeout": "11s"}))).entries

    assert (entry.path, entry.before, entry.after) == (("agents", "profile", "timeout_seconds"), 10.0, 11.0)


def test_every_field_of_the_resolved_form_has_a_comparison():
    form = json.loads(BASE.resolved)
    entries = [("agents", tables._AGENT), ("resources", tables._RESOURCE), ("issuers", tables._ISSUER)]

    assert set(form) - {"version", "description"} <= set(tables._TOP)
    assert (set(form["limits"]), set(form["sandbox"])) == (set(tables._LIMITS), set(tables._SANDBOX))
    for name, table in entries:
        assert {key for part in form[name].values() for key in part} - {"options", "effects"} == set(table)


@pytest.mark.parametrize("place", [(), ("limits",), ("agents", "send"), ("agents", "send", "options"), ("resources", "crm")])
def test_a_field_that_is_not_known_counts_as_widened(place):
    form = json.loads(BASE.resolved)
    at = form
    for name in place:
        at = at[name]
    at["new"] = True
    resolved = canonical(form)

    assert policy_diff(BASE, replace(BASE, resolved=resolved, digest=digest_of(resolved))).widens


def test_what_only_the_digest_tells_counts_as_widened():
    assert policy_diff(BASE, replace(BASE, digest="0" * 64)).widens


def test_no_message_holds_the_value_of_a_variable():
    other = policy_of(with_changes({"agents.send.env": {"LANG": "confidential-1", "KEY": "confidential-2"}}))

    assert not any("confidential" in entry.message for entry in policy_diff(BASE, other).entries)


# --- random policies -----------------------------------------------------------------------------

RULES = ["GET /a", "GET /a/*", "GET,HEAD /a/**", "POST /a/{inputs.id}", "GET /**", "HEAD /b/"]
small_agents = st.fixed_dictionaries(
    {
        "scopes": st.lists(st.sampled_from(["s1", "s2", "s3"]), unique=True), "timeout": st.integers(1, 5), "retries": st.integers(0, 3),
        "effects": st.sampled_from(["none", "read", "write", "irreversible"]), "parallel": st.integers(1, 3),
        "names": st.lists(st.sampled_from(["x", "y", "z"]), unique=True), "raw": st.booleans(),
    }
)  # fmt: skip
small = st.fixed_dictionaries(
    {
        "agents": st.dictionaries(st.sampled_from(["one", "two", "three"]), small_agents, max_size=3),
        "rules": st.dictionaries(st.sampled_from(["s1", "s2"]), st.lists(st.sampled_from(RULES), max_size=3, unique=True)),
        "networks": st.lists(st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/24"]), unique=True),
        "imports": st.lists(st.sampled_from(["json", "re", "math"]), unique=True), "spawns": st.integers(1, 9), "wall": st.integers(5, 9),
    }
)  # fmt: skip


def small_policy(value: dict[str, Any]) -> Policy:
    agents = {
        name: {
            "description": "x", "python": "m:f", "input": {"type": "object", "properties": {key: {"type": "string"} for key in found["names"]}},
            "output": {"type": "object", "properties": {key: {"type": "string"} for key in found["names"]}}, "scopes": found["scopes"],
            "timeout": found["timeout"], "retries": found["retries"], "effects": found["effects"], "parallel": found["parallel"],
            "unsafe_raw_token": found["raw"], "idempotent": False,
        }
        for name, found in value["agents"].items()
    }  # fmt: skip
    return policy_of({
        "version": 1, "agents": agents, "imports": value["imports"], "limits": {"spawns": value["spawns"], "wall": value["wall"]},
        "resources": {"r": {"url": "https://r.example", "scopes": value["rules"], "private": value["networks"]}},
    })  # fmt: skip


WEAKEST_FIRST = ["none", "read", "write", "irreversible"]


@st.composite
def narrowings(draw: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a policy and one in which some of it is gone or lower, and nothing is more."""
    value = draw(small)
    fewer = lambda found: [one for one in found if draw(st.booleans())]  # noqa: E731
    lower = lambda number, least: draw(st.integers(least, number))  # noqa: E731
    less = {
        "agents": {
            name: {
                "scopes": fewer(found["scopes"]), "timeout": lower(found["timeout"], 1), "retries": lower(found["retries"], 0),
                "parallel": lower(found["parallel"], 1), "names": fewer(found["names"]), "raw": found["raw"] and draw(st.booleans()),
                "effects": draw(st.sampled_from(WEAKEST_FIRST[WEAKEST_FIRST.index(found["effects"]):])),
            }
            for name, found in value["agents"].items() if draw(st.booleans())
        },
        "rules": {scope: fewer(rules) for scope, rules in value["rules"].items() if draw(st.booleans())},
        "networks": fewer(value["networks"]), "imports": fewer(value["imports"]), "spawns": lower(value["spawns"], 1),
        "wall": lower(value["wall"], 5),
    }  # fmt: skip
    return value, less


@settings(max_examples=60, deadline=None)
@given(narrowings())
def test_removing_or_lowering_anything_never_widens_and_the_way_back_does(pair):
    much, less = map(small_policy, pair)
    forth, back = policy_diff(much, less), policy_diff(less, much)

    assert not forth.widens, told(forth)
    assert bool(forth.of(Kind.NARROWED)) is bool(back.of(Kind.WIDENED))
    # Rules and networks that others hold anyway are told, and are equal.
    assert (forth.entries == ()) is (much.digest == less.digest)
    assert back.widens is bool(forth.of(Kind.NARROWED))


@settings(max_examples=60, deadline=None)
@given(small, small)
def test_two_policies_are_told_alike_both_ways(one, other):
    first, second = small_policy(one), small_policy(other)
    forth, back = policy_diff(first, second), policy_diff(second, first)

    assert len(forth.of(Kind.WIDENED)) == len(back.of(Kind.NARROWED))
    assert len(forth.of(Kind.CHANGED)) == len(back.of(Kind.CHANGED))
    assert policy_diff(first, first).entries == ()


def test_in_a_report_what_widens_stands_first_and_says_so():
    other = policy_of(with_changes({"limits.wall": "4m", "agents.profile.retries": 3, "agents.send.command": ["./other"]}))

    assert policy_changes(policy_diff(BASE, other)) == (
        Change("policy", 'widened: agent "profile": retries is 3, was 2', widens=True),
        Change("policy", 'changed: agent "send": other code: command is ["./other"], was ["./send", "--now"]', widens=True),
        Change("policy", "narrowed: limits: wall is 240s, was 300s"),
    )
