"""What a policy may say of http and mcp agents, and what it is told where that does not fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.errors import PolicyError
from runner.policy import load_policy_text, policy_schema
from runner.policy.archived import archived_policy
from runner.policy.model import AgentEntry, Policy, Reference
from runner.policy.schemas import validator
from runner.policy.templates import BadInput, fill, parse_url, query_of

RESOURCES = {
    "crm": {"url": "https://crm.example/api", "scopes": {"crm:read": "GET /customers/**", "crm:write": "POST /mcp"}},
    "docs": {"url": "https://docs.example", "scopes": {"docs:read": "GET /**"}},
}


def policy(resources: Any = None, **agent: Any) -> Policy:
    entry = {"description": "d", "input": {"type": "object"}, "output": {"type": "object"}, **agent}
    text = yaml.safe_dump({"version": 1, "resources": resources or {}, "agents": {"a": entry}})
    return load_policy_text(text, folder=Path("/"), name="p")


def entry(**agent: Any) -> AgentEntry:
    return policy(**agent).agents["a"]


def refusal(**agent: Any) -> tuple[str, str]:
    with pytest.raises(PolicyError) as raised:
        policy(**agent)
    return raised.value.message.partition(": ")[2], raised.value.hint


def test_a_url_alone_is_the_short_form() -> None:
    assert entry(http="https://x.example/a").options == entry(http={"url": "https://x.example/a"}).options == {"url": "https://x.example/a"}
    for http in ("https://x.example/a", {"url": "https://x.example/a"}):
        assert validator(policy_schema()).is_valid({"version": 1, "agents": {"a": {"description": "d", "http": http}}})


def test_a_server_that_is_a_program_is_a_process_of_its_own() -> None:
    assert entry(mcp={"tool": "t", "command": ["serve"]}).isolation == "process"
    assert entry(mcp={"tool": "t", "url": "https://x.example/mcp"}).isolation == "none"


@pytest.mark.parametrize(
    ("agent", "message", "hint"),
    [
        ({"http": {"url": "https://x.example/c{inputs.id}"}}, 'agent "a": http.url cannot be "https://x.example/c{inputs.id}"; allowed: a URL in which an input is a whole segment of the path; an input is a whole segment, {inputs.name}', None),
        ({"http": "https://{inputs.host}/c"}, 'agent "a": http.url cannot be "https://{inputs.host}/c"; allowed: a URL with inputs in its path alone, such as "https://crm.example/customers/{inputs.id}"', None),
        ({"http": "https://x.example/c?q={inputs.q}"}, 'agent "a": http.url cannot be "https://x.example/c?q={inputs.q}"; allowed: a URL with inputs in its path alone', 'write `query: {name: "{inputs.name}"}`'),
        ({"http": "https://x.example/{inputs.q}/**"}, 'agent "a": http.url cannot be "https://x.example/{inputs.q}/**"; allowed: a URL with inputs in its path, which has no wildcards', None),
        ({"http": {"url": "https://x.example", "method": "GET", "body": {}}}, 'agent "a": http has a body, which a GET has not', "write it under `query:`"),
        ({"http": {"url": "https://x.example?a=1", "query": {"b": 1}}}, 'agent "a": http has a query in its url and one under query', "move all of it to `query:`"),
        ({"http": {"url": "https://x.example", "body": {"q": "about {inputs.q}"}}}, 'agent "a": http.body.q cannot be "about {inputs.q}"; allowed: texts, and "{inputs.name}" as a whole text', "have the service put texts together"),
        ({"http": {"url": "https://x.example", "output_at": "data"}}, 'agent "a": http.output_at cannot be "data"; allowed: a JSON pointer (RFC 6901) such as "/data/items"', None),
        ({"http": {"url": "https://x.example", "headers": {"Traceparent": "x"}}}, 'agent "a": http has the header Traceparent, which runner or the protocol sets', "remove it"),
        ({"http": {"url": "https://x.example", "headers": {"X-A": "1", "x-a": "2"}}}, 'agent "a": http has the header x-a twice', "remove one of them"),
        ({"http": {"url": "https://x.example", "headers": {"X-A": "1\r\nB: 2"}}}, 'agent "a": http has a header X-A that is not printable ASCII', "correct it"),
        ({"mcp": {"tool": "t"}}, 'agent "a": mcp has no url and no command: by one of them its server is reached', "add `url: https://...`, or `command: [program, argument]`"),
        ({"mcp": {"tool": "t", "url": "https://x.example", "command": ["c"]}}, 'agent "a": mcp has a url and a command', "keep one; make two agents of it"),
        ({"mcp": {"tool": "t", "command": ["c"], "headers": {"A": "b"}}}, 'agent "a": mcp has headers, which only a url has', "write `env:`"),
        ({"mcp": {"tool": "t", "url": "https://x.example", "env": {"A": "b"}}}, 'agent "a": mcp has env, which only a command has', "write `headers:`"),
        ({"mcp": {"tool": "t", "url": "https://x.example", "headers": {"Mcp-Name": "b"}}}, 'agent "a": mcp has the header Mcp-Name, which runner or the protocol sets', "remove it"),
        ({"mcp": {"tool": "t", "command": ["c"]}, "isolation": "none"}, 'agent "a" has isolation "none"; the backend mcp has "process"', "leave it out"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_told_with_its_fix(agent: dict[str, Any], message: str, hint: str | None) -> None:
    told = refusal(**agent)

    assert told[0] == message
    assert hint is None or told[1] == hint


def test_what_is_archived_of_an_agent_is_what_was_written() -> None:
    http = {"url": "https://x.example/{inputs.id}", "body": {"env": {"a": "{inputs}"}}, "headers": {"X": "env:K", "Y": "1"}}
    written = policy(http=http)

    assert archived_policy(written.resolved, name="p", folder="/").agents["a"].options == written.agents["a"].options
    assert written.agents["a"].options == {**http, "headers": {"X": Reference("env", ("K",)), "Y": "1"}}


# --- scopes ----------------------------------------------------------------------------------

OF_ANOTHER = (
    'agent "a" has scopes of resource "docs", whose url https://docs.example does not cover the agent\'s own: '
    "the gateway would put its token on none of the agent's requests"
)


@pytest.mark.parametrize(
    "url", ["https://crm.example/api/x", "https://crm.example/", "https://docs.example.evil/", "http://docs.example/", "https://docs.example:8443/"]
)
@pytest.mark.parametrize("backend", ["http", "mcp"])
def test_scopes_of_a_resource_that_does_not_cover_the_url_are_refused(url: str, backend: str) -> None:
    keys = {"url": url, **({"tool": "t"} if backend == "mcp" else {})}
    message, hint = refusal(resources=RESOURCES, scopes=["docs:read"], **{backend: keys})

    assert message == OF_ANOTHER
    assert hint == "remove the scopes, or correct one of the urls; `unsafe_raw_token: true` sends it the token itself"
    assert policy(RESOURCES, scopes=["docs:read"], unsafe_raw_token=True, **{backend: keys})


@pytest.mark.parametrize("url", ["https://crm.example/api", "https://crm.example:443/api/customers/7", "https://CRM.example/api/customers/{inputs.id}"])
def test_scopes_of_the_resource_under_which_a_url_lies_are_its_own(url: str) -> None:
    assert policy(RESOURCES, scopes=["crm:read"], http={"url": url, "method": "GET"})


def test_a_program_reaches_any_resource_by_its_door() -> None:
    assert policy(RESOURCES, scopes=["crm:read", "docs:read"], mcp={"tool": "t", "command": ["c"]}).warnings == ()


def test_a_header_and_a_token_are_not_both_sent() -> None:
    headers = {"authorization": "env:KEY"}
    message, hint = refusal(resources=RESOURCES, scopes=["docs:read"], http={"url": "https://docs.example/x", "headers": headers})

    assert message == 'agent "a" has scopes of a resource and a header Authorization; a request has one of them'
    assert hint == "remove the header"


@pytest.mark.parametrize(
    ("agent", "warning"),
    [
        ({"http": "https://crm.example/api/x", "scopes": ["crm:read"]}, 'agent "a" is asked by POST /x of resource "crm", which "crm:read" may not open'),
        ({"mcp": {"url": "https://crm.example/api/other", "tool": "t"}, "scopes": ["crm:write"]}, 'agent "a" is asked by POST /other of resource "crm", which "crm:write" may not open'),
        ({"http": {"url": "http://x.example", "headers": {"X-Key": "env:KEY"}}}, 'agent "a" sends a credential unencrypted to x.example'),
        ({"http": "https://x.example/{inputs.id}"}, 'agent "a": its url has the input "id", which its input schema does not require: a spawn without it fails'),
    ],
)  # fmt: skip
def test_what_works_and_nobody_would_want_is_warned_of(agent: dict[str, Any], warning: str) -> None:
    (told,) = policy(RESOURCES, **agent).warnings

    assert told.endswith(warning)


@pytest.mark.parametrize(
    "agent",
    [
        {"http": {"url": "https://crm.example/api/customers/{inputs.id}", "method": "GET"}, "scopes": ["crm:read"]},
        {"mcp": {"url": "https://crm.example/api/mcp", "tool": "t"}, "scopes": ["crm:write"]},
        {"http": {"url": "http://127.0.0.1:8000", "headers": {"X-Key": "env:KEY"}}},
    ],
)
def test_what_fits_is_not_warned_of(agent: dict[str, Any]) -> None:
    required = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}

    assert policy(RESOURCES, **{**agent, "input": required}).warnings == ()


# --- templates -------------------------------------------------------------------------------


def test_a_template_takes_values_as_they_are_and_leaves_out_what_is_not_there() -> None:
    template = {"a": "{inputs.x.y}", "b": ["{inputs.none}", "{inputs.n}"], "c": {"d": "{inputs.none.more}"}, "e": "{inputs.n.m}", "f": "inputs.x"}

    assert fill(template, {"x": {"y": [1, None]}, "n": None}) == {"a": [1, None], "b": [None], "c": {}, "f": "inputs.x"}
    assert fill("{inputs}", {"x": "{inputs.y}"}) == {"x": "{inputs.y}"}
    assert fill("{inputs.none}", {}) is None


def test_a_url_without_inputs_is_sent_as_it_is_written() -> None:
    for url in ("https://x.example//a;b?c=%2F", "https://x.example"):
        assert parse_url(url).fill({"id": 1}) == url


def test_a_query_has_its_bound() -> None:
    with pytest.raises(BadInput, match="the query is longer than 8192 characters"):
        query_of({"q": "{inputs.q}"}, {"q": "x" * 9000})
