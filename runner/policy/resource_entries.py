"""From what a policy says of resources and issuers to entries: defaults, and what does not fit together.

Not here: what may be written where (resource_fields), agents and limits (resolve).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from runner.loopback import is_this_machine
from runner.models import Json
from runner.policy.fields import AgentFields, PolicyFields
from runner.policy.model import Attached, IssuerEntry, Policy, Reference, Resource
from runner.policy.paths import inputs_named
from runner.policy.problems import Problem, meant
from runner.policy.resource_fields import IssuerFields, ResourceFields
from runner.policy.source import Source


def resources_of(fields: PolicyFields) -> dict[str, Resource]:
    """Return the resources, complete."""
    return {name: _resource(name, written) for name, written in fields.resources.items()}


def _resource(name: str, written: ResourceFields) -> Resource:
    attached = written.credential
    return Resource(
        name=name,
        url=written.url,
        audience=written.audience or written.url,
        scopes={scope: tuple(rules) for scope, rules in written.scopes.items()},
        issuer=written.issuer or "",
        attached=None if attached is None else Attached(attached.header, attached.value, attached.prefix),
        details=written.details,
        private=_networks(written),
        ca=written.ca,
        record=frozenset(written.record),
    )


def issuers_of(fields: PolicyFields) -> dict[str, IssuerEntry]:
    """Return the external issuers, complete."""
    return {
        name: IssuerEntry(
            name=name, url=written.url, client_id=written.client_id, auth=written.auth, credential=written.credential,
            grant=written.grant, subject=written.subject, max_seconds=written.max_lifetime,
            per_second=written.per_second, revoke=not written.unsafe_no_revocation, private=_networks(written),
            ca=written.ca,
        )
        for name, written in fields.issuers.items()
    }  # fmt: skip


def _networks(written: ResourceFields | IssuerFields) -> tuple[str, ...]:
    """Return the private networks that are listed, and the address that the URL itself names."""
    host = urlsplit(written.url).hostname or ""
    try:
        own = [str(ipaddress.ip_network(host))]
    except ValueError:
        own = []
    return tuple(dict.fromkeys([*written.private, *own]))


def contradictions(fields: PolicyFields, source: Source) -> Iterator[Problem]:
    """Yield what does not fit together in resources, issuers and the scopes of agents."""
    owners: dict[str, str] = {}
    for name, written in fields.resources.items():
        yield from _plain_http(f'resource "{name}"', ("resources", name), written, source)
        yield from _issuer(name, written, fields, source)
        for scope in written.scopes:
            if scope in owners:
                message = f'scope "{scope}" is of resource "{owners[scope]}" and of "{name}"'
                place = source.place(("resources", name, "scopes", scope))
                yield Problem(message, place, "one token is for one resource: give the scopes different names")
            owners.setdefault(scope, name)
    for name, server in fields.issuers.items():
        yield from _plain_http(f'issuer "{name}"', ("issuers", name), server, source)
        if server.subject is not None and server.grant != "token_exchange":
            message = f'issuer "{name}" has a subject, which only a token exchange has'
            yield Problem(message, source.place(("issuers", name, "subject")), "write `grant: token_exchange`")
    for name, agent in fields.agents.items():
        yield from _isolation(name, agent, source)


def _plain_http(
    called: str, path: tuple[str, ...], written: ResourceFields | IssuerFields, source: Source
) -> Iterator[Problem]:
    host = urlsplit(written.url).hostname or ""
    if written.url.startswith("https:") or written.unsafe_plain_http or is_this_machine(host):
        return
    hint = "write https, or `unsafe_plain_http: true` if nobody is on the way"
    yield Problem(f"{called} would send credentials unencrypted to {host}", source.place((*path, "url")), hint)


def _issuer(name: str, written: ResourceFields, fields: PolicyFields, source: Source) -> Iterator[Problem]:
    if written.issuer is not None and written.issuer not in fields.issuers:
        message = f'resource "{name}" names the issuer "{written.issuer}", which is not in `issuers`'
        hint = meant(written.issuer, fields.issuers) or "leave it out for the embedded issuer"
        yield Problem(message, source.place(("resources", name, "issuer")), hint)
    if written.issuer is not None and written.credential is not None:
        message = f'resource "{name}" has an issuer and a credential; only one of them can go on a request'
        yield Problem(message, source.place(("resources", name, "credential")), "leave the issuer out")


def _isolation(name: str, agent: AgentFields, source: Source) -> Iterator[Problem]:
    if agent.command is not None and agent.isolation == "none":
        message = f'agent "{name}" is a command, which runs in a process of its own'
        yield Problem(message, source.place(("agents", name, "isolation")), "leave `isolation` out")
    graph, apart = agent.langgraph, agent.isolation == "process"
    if graph is not None and graph.env is not None and not apart:
        message = f'agent "{name}" has "env" for a process, and its graph runs in the host\'s'
        yield Problem(message, source.place(("agents", name, "langgraph", "env")), "add `isolation: process`")
    if graph is not None and graph.unsafe_threads and apart:
        message = f'agent "{name}" has isolation "process", where nothing runs in threads of the host'
        yield Problem(message, source.place(("agents", name, "langgraph", "unsafe_threads")), "remove it")


def warnings(policy: Policy, agents: Mapping[str, AgentFields]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield (path, message) for what works and is not what somebody would want."""
    for name, server in policy.issuers.items():
        if not server.revoke:
            told = f'issuer "{name}": unsafe_no_revocation leaves its tokens open until they expire'
            yield ("issuers", name, "unsafe_no_revocation"), told
    owners = {scope: resource for resource in policy.resources.values() for scope in resource.scopes}
    for name, entry in policy.agents.items():
        for n, scope in enumerate(agents[name].scopes):
            if policy.resources and scope not in owners:
                asked = meant(scope, owners)
                yield ("agents", name, "scopes", n), (
                    f'agent "{name}": scope "{scope}" is of no resource: no token is minted for it'
                    + (f"; {asked}" if asked else "")
                )
            elif scope in owners:
                yield from _unbindable(name, n, scope, owners[scope], entry.input_schema)
        if entry.unsafe_raw_token:
            yield ("agents", name, "unsafe_raw_token"), (
                f'agent "{name}": unsafe_raw_token hands it tokens whose uses nobody sees'
            )
        if entry.unsafe_same_uid:
            yield ("agents", name, "unsafe_same_uid"), (
                f'agent "{name}": unsafe_same_uid lets its code read what the user that runs runner can read'
            )
        if entry.options.get("unsafe_threads"):
            yield ("agents", name, entry.backend, "unsafe_threads"), (
                f'agent "{name}": unsafe_threads lets its sync nodes run on after their deadline'
            )


def _unbindable(
    name: str, n: int, scope: str, resource: Resource, schema: Json
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield a warning where a scope's paths name an input that the agent's schema does not require."""
    needed = {names[0] for rule in resource.scopes[scope] for names in rule.inputs}
    needed |= {names[0] for names in inputs_named(resource.details)}
    required = schema.get("required", []) if isinstance(schema, dict) else []
    for missing in sorted(needed - set(required)):
        yield ("agents", name, "scopes", n), (
            f'agent "{name}": scope "{scope}" is bound to the input "{missing}", which its input schema does not '
            "require: a spawn without it is denied"
        )


def resource_form(resource: Resource) -> Json:
    """Return a resource as it is archived: references by name."""
    attached = resource.attached
    return {
        "url": resource.url,
        "audience": resource.audience,
        "issuer": resource.issuer,
        "credential": None if attached is None else {
            "header": attached.header, "prefix": attached.prefix, "value": reference_form(attached.value),
        },
        "scopes": {scope: [rule.text for rule in rules] for scope, rules in resource.scopes.items()},
        "details": resource.details,
        "private": list(resource.private),
        "ca": resource.ca,
        "record": sorted(resource.record),
    }  # fmt: skip


def issuer_form(entry: IssuerEntry) -> Json:
    """Return an issuer as it is archived: references by name."""
    return {
        "url": entry.url,
        "client_id": entry.client_id,
        "auth": entry.auth,
        "credential": reference_form(entry.credential),
        "grant": entry.grant,
        "subject": None if entry.subject is None else reference_form(entry.subject),
        "max_seconds": entry.max_seconds,
        "per_second": entry.per_second,
        "revoke": entry.revoke,
        "private": list(entry.private),
        "ca": entry.ca,
    }


def reference_form(value: Reference) -> dict[str, Any]:
    return {value.kind: list(value.target)}
