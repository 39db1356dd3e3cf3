"""The resolved form of a policy: JSON in which nothing is left to be read elsewhere, and no credential stands.

What came later than version 1 of the form stands in it only where it is written: a policy that says nothing of it keeps
its digest.

Not here: the way back (archived), how two forms are compared (diff).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from runner.models import Json, Limits, digest_of
from runner.policy.backends import HOLD_VARIABLES
from runner.policy.fields import PolicyFields
from runner.policy.leaks import looks_like_key
from runner.policy.model import AgentEntry, Policy, Reference, ReviewRule
from runner.policy.resource_entries import issuer_form, reference_form, resource_form


def resolved_form(fields: PolicyFields, policy: Policy) -> Json:
    """Return all of a policy that a run depends on, as it is digested and archived."""
    # The default is left out: policies that say nothing of review keep the digests they had before there was one.
    review = {} if policy.review is ReviewRule.NONE else {"review": str(policy.review)}
    return {
        "version": fields.version,
        "description": fields.description,
        **review,
        "limits": limits_form(policy.limits),
        "sandbox": asdict(policy.sandbox),
        "imports": None if policy.imports is None else sorted(policy.imports),
        "resources": {name: resource_form(resource) for name, resource in policy.resources.items()},
        "issuers": {name: issuer_form(entry) for name, entry in policy.issuers.items()},
        "agents": {name: _entry_form(entry) for name, entry in policy.agents.items()},
        # What came later stands here only where it is written: a policy that says nothing of it keeps its digest.
        **({"risk": policy.risk} if policy.risk else {}),
        **({"providers": {name: asdict(rate) for name, rate in policy.providers.items()}} if policy.providers else {}),
    }


def limits_form(limits: Limits) -> Json:
    """Return limits as they stand in a resolved form."""
    later = ("cost_usd", "model_tokens")
    return {name: value for name, value in asdict(limits).items() if name not in later or value is not None}


def _entry_form(entry: AgentEntry) -> Json:
    return {
        "description": entry.description,
        "backend": entry.backend,
        "options": {key: _option_form(key, value) for key, value in entry.options.items()},
        "input_schema": entry.input_schema,
        "output_schema": entry.output_schema,
        "scopes": sorted(entry.scopes),
        "default_scopes": list(entry.default_scopes),
        "timeout_seconds": entry.timeout_seconds,
        "max_timeout_seconds": entry.max_timeout_seconds,
        "parallel": entry.parallel,
        "effects": str(entry.effects),
        "idempotent": entry.idempotent,
        "max_retries": entry.max_retries,
        "unsafe_retry_unknown": entry.unsafe_retry_unknown,
        "isolation": entry.isolation,
        "unsafe_same_uid": entry.unsafe_same_uid,
        "unsafe_raw_token": entry.unsafe_raw_token,
        **({} if entry.cost_usd is None else {"cost_usd": entry.cost_usd}),
        **({} if entry.price is None else {"price": asdict(entry.price)}),
        **({} if entry.call_tokens is None else {"call_tokens": entry.call_tokens}),
        **({} if entry.rate is None else {"rate": asdict(entry.rate)}),
        **({} if not entry.provider else {"provider": entry.provider}),
        **({} if entry.trusted else {"trusted": False}),
    }


def _option_form(name: str, value: Any) -> Any:
    """Return an option as it is archived: references by name, and no variable that looks like a key."""
    if isinstance(value, Reference):
        return reference_form(value)
    if isinstance(value, dict):
        form = _variable_form if name in HOLD_VARIABLES else _option_form
        return {key: form(key, part) for key, part in value.items()}
    if isinstance(value, list):
        return [_option_form("", part) for part in value]
    return value


def _variable_form(name: str, value: str | Reference) -> Json:
    """Return how a variable stands in the archive: what looks like a key, by its digest alone."""
    if isinstance(value, str) and looks_like_key(value):
        return {"sha256": digest_of(value)}
    return _option_form(name, value)
