"""Agents that are reached by a URL, and the resources under which these URLs lie.

Where a URL lies under a resource, runner sends the agent's requests through the gateway, which puts the token on and
holds the scopes' rules. So scopes of any other resource would be of no use to such an agent, and are refused when the
policy is read, unless it gets the token itself (`unsafe_raw_token`).

Not here: sending (agents), the gateway's own look at each request (credentials.gateway).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from runner.loopback import is_this_machine
from runner.policy.backends.http import HttpFields
from runner.policy.backends.mcp import McpFields
from runner.policy.covering import covered
from runner.policy.fields import AgentFields, PolicyFields
from runner.policy.grants import path_below, resource_of
from runner.policy.model import AgentEntry, Policy, Reference
from runner.policy.paths import parse_rule
from runner.policy.problems import Problem, listed
from runner.policy.source import Path, Source
from runner.policy.templates import parse_url


def _reached(agent: AgentFields) -> tuple[HttpFields | McpFields, str] | None:
    """Return the keys of an agent that is reached by a URL, and the URL."""
    keys = agent.http or agent.mcp
    return None if keys is None or keys.url is None else (keys, keys.url)


def contradictions(fields: PolicyFields, source: Source) -> Iterator[Problem]:
    """Yield what does not fit together in the URLs of agents and their scopes."""
    for name, agent in fields.agents.items():
        found = _reached(agent)
        if found is None:
            continue
        (keys, url), backend = found, "http" if agent.http is not None else "mcp"
        owners = [key for key, written in fields.resources.items() if set(agent.scopes) & set(written.scopes)]
        place = source.place(("agents", name, "scopes"))
        for key in owners:
            if path_below(fields.resources[key].url, url) is None and not agent.unsafe_raw_token:
                message = (
                    f'agent "{name}" has scopes of resource "{key}", whose url {fields.resources[key].url} does not '
                    f"cover the agent's own: the gateway would put its token on none of the agent's requests"
                )
                hint = "remove the scopes, or correct one of the urls"
                yield Problem(message, place, f"{hint}; `unsafe_raw_token: true` sends it the token itself")
        if owners and any(header.lower() == "authorization" for header in keys.headers or {}):
            message = f'agent "{name}" has scopes of a resource and a header Authorization; a request has one of them'
            yield Problem(message, source.place(("agents", name, backend, "headers")), "remove the header")


def warnings(policy: Policy, agents: Mapping[str, AgentFields]) -> Iterator[tuple[Path, str]]:
    """Yield (path, message) for what works and is not what somebody would want."""
    for name, agent in agents.items():
        found = _reached(agent)
        if found is None:
            continue
        keys, url = found
        path: Path = ("agents", name, "http" if agent.http is not None else "mcp")
        kept = any(isinstance(value, Reference) for value in (keys.headers or {}).values())
        host = urlsplit(url).hostname or ""
        if (kept or agent.unsafe_raw_token) and not url.startswith("https:") and not is_this_machine(host):
            yield path, f'agent "{name}" sends a credential unencrypted to {host}'
        yield from ((path, told) for told in _unopened(policy, policy.agents[name], keys, url))
        yield from ((path, told) for told in _unrequired(policy.agents[name], keys))


def _unopened(policy: Policy, entry: AgentEntry, keys: HttpFields | McpFields, url: str) -> Iterator[str]:
    """Yield a warning where no scope of the agent is shown to open what it is asked by."""
    resource = resource_of(policy.resources.values(), url)
    if resource is None or not entry.scopes & resource.scopes.keys():
        return
    method = keys.method if isinstance(keys, HttpFields) else "POST"
    asked = f"{method} {path_below(resource.url, url)}"
    rules = [rule for scope in entry.scopes & resource.scopes.keys() for rule in resource.scopes[scope]]
    try:
        opened = covered(parse_rule(asked), rules)
    except ValueError:
        opened = False
    if not opened:
        scopes = listed(sorted(entry.scopes & resource.scopes.keys()))
        yield f'agent "{entry.name}" is asked by {asked} of resource "{resource.name}", which {scopes} may not open'


def _unrequired(entry: AgentEntry, keys: HttpFields | McpFields) -> Iterator[str]:
    """Yield a warning for each input in the URL that the agent's schema does not require."""
    rule = parse_url(keys.url).rule if isinstance(keys, HttpFields) else None
    schema = entry.input_schema
    required = schema.get("required", []) if isinstance(schema, dict) else []
    for missing in sorted({names[0] for names in (rule.inputs if rule is not None else ())} - set(required)):
        yield (
            f'agent "{entry.name}": its url has the input "{missing}", which its input schema does not require: '
            "a spawn without it fails"
        )
