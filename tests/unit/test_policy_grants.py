"""A grant is what policy and request come to, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import PolicyError
from runner.policy import load_policy_text
from runner.policy.grants import Unbound, lifetime, narrow
from runner.policy.model import Policy, Reference

ANY = {"type": "object", "additionalProperties": True}
RESOURCES: dict[str, Any] = {
    "crm": {
        "url": "https://crm.example/api/",
        "scopes": {
            "crm:read": ["GET /customers/{inputs.customer_id}/**"],
            "crm:write": ["POST /customers/{inputs.customer_id}/notes"],
        },
    },
    "billing": {"url": "https://billing.example", "audience": "urn:billing", "scopes": {"bill:read": "GET /bills/**"}},
}


def policy_of(resources: Any = RESOURCES, *, agent: dict[str, Any] | None = None, **more: Any) -> Policy:
    entry = {"description": "x", "python": "a:b", "input": ANY, "output": ANY, **(agent or {})}
    entry.setdefault("scopes", ["crm:read", "crm:write", "bill:read"])
    text = yaml.safe_dump({"version": 1, "sandbox": "process", "resources": resources, "agents": {"a": entry}, **more}, sort_keys=False)
    return load_policy_text(text, folder=Path("/"), name="test")


def narrowed(*scopes: str, inputs: Any, timeout: float = 10.0, policy: Policy | None = None) -> Any:
    chosen = policy or policy_of()
    return narrow(chosen, chosen.agents["a"], scopes, timeout, inputs)


def test_no_scope_of_a_resource_is_no_grant():
    loose = policy_of(agent={"scopes": ["mail:send", "crm:read"]})

    assert narrowed(inputs={"customer_id": 1}) is None
    assert narrowed("mail:send", inputs={}, policy=loose) is None


def test_each_resource_has_a_part_with_exactly_what_was_asked():
    grant = narrowed("bill:read", "crm:read", inputs={"customer_id": 42})

    assert [(part.resource.name, part.resource.audience, part.scopes) for part in grant.parts] == [
        ("crm", "https://crm.example/api", ("crm:read",)),
        ("billing", "urn:billing", ("bill:read",)),
    ]
    assert [str(rule) for part in grant.parts for _, rule in part.rules] == ["GET /customers/42/**", "GET /bills/**"]


def test_scopes_are_whole_words():
    assert narrowed("crm", "CRM:READ", "crm:read ", inputs={"customer_id": 1}) is None


@pytest.mark.parametrize("inputs", [{}, {"customer_id": ""}, {"customer_id": "4/2"}, {"customer_id": ".."}, {"customer_id": "4%2F2"}, [], None])
def test_inputs_that_do_not_fit_into_the_paths_are_refused(inputs):
    with pytest.raises(Unbound) as refused:
        narrowed("crm:read", inputs=inputs)

    assert str(refused.value).startswith('scope "crm:read" of resource "crm" is bound to the inputs: input "customer_id" ')


@pytest.mark.parametrize(
    ("timeout", "most", "seconds"),
    [(0.2, 900, 2), (10, 900, 12), (60, 900, 66), (600, 900, 630), (100, 50, 50), (1e6, 900, 900), (29.97, 900, 32)],
)
def test_a_token_lives_as_long_as_its_attempt_and_some_grace(timeout, most, seconds):
    assert lifetime(timeout, most) == seconds


@given(st.floats(min_value=0.001, max_value=31_622_400), st.floats(min_value=1, max_value=31_622_400))
def test_a_lifetime_is_whole_seconds_below_both_bounds(timeout, most):
    seconds = lifetime(timeout, most)

    assert seconds == int(seconds) and seconds <= most and seconds <= timeout + 30


def test_the_policy_caps_a_lifetime():
    assert narrowed("bill:read", inputs={}, timeout=600, policy=policy_of(limits={"token": "20s"})).seconds == 20


def test_details_are_bound_to_the_inputs():
    resources = {**RESOURCES, "billing": {**RESOURCES["billing"], "details": [{"type": "bill", "identifier": "{inputs.n}"}]}}
    grant = narrowed("bill:read", inputs={"n": 7}, policy=policy_of(resources))

    assert grant.parts[0].details == [{"type": "bill", "identifier": "7"}]


# --- what a policy may say -------------------------------------------------------------------------


def test_a_resource_is_complete_and_archived_by_reference():
    resources = {
        "crm": {
            "url": "https://crm.example/api/", "scopes": {"crm:read": "GET /**"}, "private": ["10.0.0.0/8"],
            "credential": {"header": "X-Api-Key", "value": "env:CRM_KEY"}, "record": ["query"],
        }
    }  # fmt: skip
    policy = policy_of(resources, agent={"scopes": ["crm:read"]})
    crm = policy.resources["crm"]

    assert (crm.url, crm.audience, crm.private) == ("https://crm.example/api", "https://crm.example/api", ("10.0.0.0/8",))
    assert crm.attached is not None and crm.attached.value == Reference("env", ("CRM_KEY",))
    assert '"value":{"env":["CRM_KEY"]}' in policy.resolved


def test_an_address_that_the_url_names_is_listed():
    policy = policy_of({"crm": {"url": "http://127.0.0.1:8000", "scopes": {}}}, agent={"scopes": []})

    assert policy.resources["crm"].private == ("127.0.0.1/32",)


@pytest.mark.parametrize(
    ("resources", "more", "message", "hint"),
    [
        ({"crm": {"url": "http://crm.example", "scopes": {}}}, {}, 'resource "crm" would send credentials unencrypted to crm.example', "unsafe_plain_http"),
        ({"crm": {"url": "https://u:p@crm.example", "scopes": {}}}, {}, "without a user", "credential"),
        ({"crm": {"url": "https://crm.example/?a=1", "scopes": {}}}, {}, "without query", ""),
        ({"crm": {"url": "ftp://crm.example", "scopes": {}}}, {}, 'a URL such as "https://crm.example/api"', ""),
        ({"crm": {"url": "https://CRM.example", "scopes": {}}}, {}, "the host in lower case", ""),
        ({"crm": {"url": "https://crm.example/../x", "scopes": {}}}, {}, "its path has a dot segment", ""),
        ({"Crm": {"url": "https://crm.example", "scopes": {}}}, {}, "lower-case letters", ""),
        ({"crm": {"url": "https://crm.example", "scopes": {"a b": "GET /"}}}, {}, "a scope token of RFC 6749", ""),
        ({"crm": {"url": "https://crm.example", "scopes": {"a": "get /"}}}, {}, "methods are GET", ""),
        ({"crm": {"url": "https://crm.example", "scopes": {"a": "GET /"}, "issuer": "corp"}}, {}, 'names the issuer "corp", which is not in `issuers`', "leave it out"),
        ({"crm": {"url": "https://crm.example", "scopes": {}, "private": ["10.0.0.1/8"]}}, {}, 'a network such as "10.20.0.0/16"', ""),
        ({"crm": {"url": "https://crm.example", "scopes": {}, "audience": "crm"}}, {}, "an absolute URI without fragment", ""),
        ({"crm": {"url": "https://crm.example", "scopes": {}, "details": [{"a": 1}]}}, {}, 'mappings with a "type"', ""),
        ({"crm": {"url": "https://crm.example", "scopes": {}, "credential": {"header": "Host", "value": "env:X"}}}, {}, "the name of a header that carries a credential", ""),
        ({"crm": {"url": "https://crm.example", "scopes": {}, "credential": {"header": "X-Key", "value": "hunter2-hunter2"}}}, {}, '"env:NAME", "file:PATH"', "keep the value out"),
        ({"a": {"url": "https://a.example", "scopes": {"s": "GET /"}}, "b": {"url": "https://b.example", "scopes": {"s": "GET /"}}}, {}, 'scope "s" is of resource "a" and of "b"', "different names"),
        ({}, {"issuers": {"corp": {"url": "http://as.example", "client_id": "r", "credential": "env:X"}}}, 'issuer "corp" would send credentials unencrypted', "https"),
        ({}, {"issuers": {"corp": {"url": "https://as.example", "client_id": "r", "credential": "env:X", "subject": "env:S"}}}, 'issuer "corp" has a subject', "token_exchange"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_told_with_its_fix(resources, more, message, hint):
    with pytest.raises(PolicyError) as refused:
        policy_of(resources, agent={"scopes": []}, **more)

    assert message in refused.value.message
    assert hint in refused.value.hint


def test_a_rule_with_braces_in_a_flow_list_is_told_to_be_quoted():
    text = "version: 1\nresources:\n  crm:\n    url: https://crm.example\n    scopes: {crm:read: [GET /c/{inputs.id}]}\nagents: {}\n"
    with pytest.raises(PolicyError) as refused:
        load_policy_text(text, folder=Path("/"), name="test")

    assert refused.value.line == 5
    assert refused.value.hint.startswith("within [ ] a rule with { } stands in quotes")


@pytest.mark.parametrize(
    ("agent", "warning"),
    [
        ({"scopes": ["crm:raed"]}, 'scope "crm:raed" is of no resource: no token is minted for it; did you mean "crm:read"?'),
        ({"scopes": ["crm:read"]}, 'scope "crm:read" is bound to the input "customer_id", which its input schema does not require'),
        ({"scopes": [], "unsafe_raw_token": True}, "unsafe_raw_token hands it tokens whose uses nobody sees"),
        ({"scopes": [], "unsafe_same_uid": True}, "unsafe_same_uid lets its code read"),
    ],
)
def test_what_works_and_is_not_what_somebody_would_want_is_a_warning(agent, warning):
    assert [told for told in policy_of(agent=agent).warnings if warning in told] != []


def test_a_policy_whose_scopes_are_bound_to_required_inputs_has_no_warning():
    schema = {"type": "object", "properties": {"customer_id": {"type": "integer"}}, "required": ["customer_id"]}

    assert policy_of(agent={"input": schema, "scopes": ["crm:read"]}).warnings == ()
