"""A script and a policy within a policy: read, completed, and held to giving nothing that the outer one does not give.

A policy with a `script` agent is whole: the script's text and the inner policy's resolved form stand in the agent's
options. So the outer digest, and the decision that is bound to it, cover both, and nothing is read a second time.

What the inner policy does not say of limits, sandbox, imports, review, risk and providers is as in the outer one. Of
limits that are used up, its share is what the outer one has, divided by the runs that there can be at once: all that
its script agents may run in parallel, and itself. What the inner policy does say must not be wider (`policy_diff`).

Not here: what a run gets of what is left when it starts (engine.slices), the check of the inner script (agents.script).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

from runner.errors import PolicyError
from runner.guest.wire import canonical
from runner.models import Limits, Script, digest_of
from runner.policy.archived import archived_policy
from runner.policy.comparing import Kind
from runner.policy.diff import policy_diff
from runner.policy.files import read_script_text
from runner.policy.forms import limits_form
from runner.policy.model import AgentEntry, Effects, Policy
from runner.policy.source import Place

MAX_DEPTH = 4
"""Policies within policies, the outermost not counted: each has a guest of its own while it waits for the next."""
MAX_NESTED = 32
"""Inner policies that one policy is made of, at any depth."""
MAX_SCRIPT_BYTES = 256 * 1024
"""Of one inner script: its text stands in the outer policy."""
SHARED = ("spawns", "parallel_spawns", "bytes_in", "bytes_out", "log_bytes")
"""Limits of which runs within a run get a share; the others hold for each guest and each attempt."""

Loads = Callable[[FilePath, Place, Policy], Policy]
"""(file, where it is asked for, the policy whose limits hold where it says none) → the inner policy, resolved."""


@dataclass(frozen=True, slots=True)
class Nested:
    """What a script agent runs, as it stands in its policy."""

    script: Script
    policy: Policy


# --- when a policy is loaded -----------------------------------------------------------------


def with_scripts(policy: Policy, place: Callable[[tuple[str | int, ...]], Place], load: Loads) -> Policy:
    """Return the policy with the scripts and policies of its script agents in it.

    Raises PolicyError: one cannot be read, or gives more than this policy does.
    """
    share = _share(policy)
    agents: dict[str, AgentEntry] = {}
    warnings = list(policy.warnings)
    for entry in policy.scripts:
        at_file, at_policy = (place(("agents", entry.name, "script", key)) for key in ("file", "policy"))
        agents[entry.name], told = _with_script(entry, policy, share, at_file, at_policy, load)
        warnings += told
    form = json.loads(policy.resolved)
    for name, entry in agents.items():
        form["agents"][name] |= {"options": entry.options}
        bounds = {"cost_usd": entry.cost_usd, "call_tokens": entry.call_tokens}
        form["agents"][name] |= {key: value for key, value in bounds.items() if value is not None}
    resolved = canonical(form)
    whole = replace(
        policy, agents=policy.agents | agents, resolved=resolved, digest=digest_of(resolved),
        warnings=tuple(dict.fromkeys(warnings)),
    )  # fmt: skip
    for name in agents:
        require_narrower(whole, whole.agents[name], place(("agents", name, "script", "policy")))
    return whole


def _with_script(
    entry: AgentEntry, policy: Policy, share: Limits, at_file: Place, at_policy: Place, load: Loads
) -> tuple[AgentEntry, tuple[str, ...]]:
    """Return a script agent with what it runs, and the warnings of its policy."""
    written = entry.options
    source = read_script_text(
        policy.folder / written["file"], shown=written["file"], asked_by=(at_file.file, at_file.line),
        most_bytes=MAX_SCRIPT_BYTES,
    )  # fmt: skip
    within = replace(policy, limits=_bounded(share, entry))
    inner = load(policy.folder / written["policy"], at_policy, within)
    # What a call may cost and use is what its run may: a budget reserves it before the run begins.
    cost, tokens = entry.cost_usd, entry.call_tokens
    if policy.limits.cost_usd is not None and cost is None:
        cost = inner.limits.cost_usd
    if policy.limits.model_tokens is not None and tokens is None:
        tokens = inner.limits.model_tokens
    options = {
        **written, "source": source, "script_digest": digest_of(source), "policy_digest": inner.digest,
        "within": json.loads(inner.resolved),
    }  # fmt: skip
    return replace(entry, options=options, cost_usd=cost, call_tokens=tokens), inner.warnings


def _share(policy: Policy) -> Limits:
    """Return what one run within a run of this policy may use, where its own policy does not say."""
    limits = policy.limits
    runs = 1 + sum(entry.parallel for entry in policy.scripts)
    shares = {name: max(1, getattr(limits, name) // runs) for name in SHARED}
    return replace(
        limits,
        **shares,
        frame_bytes=min(limits.frame_bytes, shares["bytes_in"], shares["bytes_out"]),
        cost_usd=None if limits.cost_usd is None else limits.cost_usd / runs,
        model_tokens=None if limits.model_tokens is None else max(1, limits.model_tokens // runs),
    )


def _bounded(share: Limits, entry: AgentEntry) -> Limits:
    """Return a share, and what the entry itself says of its calls instead of it."""
    return replace(
        share,
        cost_usd=share.cost_usd if entry.cost_usd is None else entry.cost_usd,
        model_tokens=share.model_tokens if entry.call_tokens is None else entry.call_tokens,
    )


def require_narrower(policy: Policy, entry: AgentEntry, place: Place) -> None:
    """Raise PolicyError if what a script agent runs under gives anything that this policy, or the agent, does not."""
    inner = _written(policy, entry).policy
    told = [found.message for found in policy_diff(policy, inner).entries if found.kind in (Kind.WIDENED, Kind.CHANGED)]
    beyond = {scope: name for name, other in inner.agents.items() for scope in sorted(other.scopes - entry.scopes)}
    told += [f'agent "{name}" has scope "{scope}"; "{entry.name}" has not' for scope, name in beyond.items()]
    if entry.cost_usd is not None and (inner.limits.cost_usd or 0) > entry.cost_usd:
        told.append(f'limits: cost_usd is {inner.limits.cost_usd:g}; a call of "{entry.name}" costs {entry.cost_usd:g}')
    if entry.call_tokens is not None and (inner.limits.model_tokens or 0) > entry.call_tokens:
        used = f'a call of "{entry.name}" uses {entry.call_tokens:,}'
        told.append(f"limits: model_tokens is {inner.limits.model_tokens:,}; {used}")
    told += _hidden(entry, inner)
    if inner.review is not policy.review:
        told.append(f"review is {inner.review}, was {policy.review}: the decision on this policy covers the inner one")
    if not told:
        return
    file = entry.options["policy"]
    raise PolicyError(
        "\n".join([f'agent "{entry.name}" runs under "{file}", which is not within this policy', *dict.fromkeys(told)]),
        file=place.file, line=place.line,
        hint="an inner policy has agents of the outer one, with the same code, and nothing wider",
    )  # fmt: skip


def _hidden(entry: AgentEntry, inner: Policy) -> Iterable[str]:
    """Yield what a script agent says less of than its agents do: a review goes by what it says."""
    order = list(Effects)
    for name, other in inner.agents.items():
        if order.index(other.effects) > order.index(entry.effects):
            yield f'agent "{name}" has effects "{other.effects}"; "{entry.name}" says "{entry.effects}"'
        if entry.trusted and not other.trusted:
            yield f'agent "{name}" is not trusted; "{entry.name}" is, and may return what it returned'


# --- when a run needs one --------------------------------------------------------------------


def nested_of(policy: Policy, entry: AgentEntry) -> Nested:
    """Return the script and the policy of a script agent. What its agents use is as in the outer policy.

    Raises PolicyError: it does not hold them, or others than its digests say.
    """
    found = _written(policy, entry)
    agents = {name: _as_outside(policy, one) for name, one in found.policy.agents.items()}
    return Nested(found.script, replace(found.policy, agents=agents))


def _written(policy: Policy, entry: AgentEntry) -> Nested:
    options = entry.options
    try:
        source, resolved = str(options["source"]), canonical(options["within"])
    except KeyError:
        raise PolicyError(f'agent "{entry.name}" has no script in it', line=entry.line) from None
    if digest_of(source) != options.get("script_digest") or digest_of(resolved) != options.get("policy_digest"):
        raise PolicyError(f'agent "{entry.name}" has another script or policy than its digests say', line=entry.line)
    inner = archived_policy(resolved, name=FilePath(options["policy"]).stem, folder=str(policy.folder))
    return Nested(Script(FilePath(options["file"]).stem, source.encode()), inner)


def _as_outside(policy: Policy, entry: AgentEntry) -> AgentEntry:
    """Return an inner entry with the options of the outer one: a resolved form hides variables that look like keys."""
    outer = policy.agents.get(entry.name)
    if outer is None or outer.backend != entry.backend:
        raise PolicyError(f'agent "{entry.name}" of the inner policy is none of the outer one')
    return entry if entry.backend == "script" else replace(entry, options=outer.options)


def narrowed(outer: Policy, inner: Policy, *, scopes: Iterable[str], limits: Limits) -> Policy:
    """Return the policy that one run within a run of `outer` gets: what a spawn asked for, and what limits are left.

    Default scopes stay as they are: a spawn that relies on one which was not asked for outside is refused, not
    trimmed. The outer policy's lock holds for its agents inside as well.
    """
    asked = frozenset(scopes)
    agents = {name: replace(entry, scopes=entry.scopes & asked) for name, entry in inner.agents.items()}
    form: dict[str, Any] = json.loads(inner.resolved)
    for name, entry in agents.items():
        form["agents"][name]["scopes"] = sorted(entry.scopes)
    form["limits"] = limits_form(limits)
    lock = json.loads(outer.resolved).get("lock")
    if lock is not None:
        form["lock"] = lock
    resolved = canonical(form)
    return replace(
        inner, agents=agents, limits=limits, lock=outer.lock, resolved=resolved, digest=digest_of(resolved), file=""
    )
