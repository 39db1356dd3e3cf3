"""All rules of the check: those that know the policy and the API as functions, and each id with what it means.

A rule yields findings and never raises. An error is what the dialect, the guest or the policy would refuse for
certain, or what would make the check read something else than what runs; anything less is a warning.

Not here: how a rule finds what it says (permitted, called, inputs, misuse, waiting, sequential,
endless, guest.dialect).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runner.check import called, endless, misuse, permitted, sequential, waiting
from runner.check.inputs import inputs_break_schema
from runner.check.subject import Subject
from runner.guest.dialect.remarks import ADVICE
from runner.models import Finding, Severity

Rule = Callable[[Subject], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    permitted.agent_not_in_policy,
    permitted.scopes_not_granted,
    permitted.timeout_beyond_cap,
    permitted.retries_beyond_cap,
    permitted.backoff_beyond_cap,
    permitted.fallbacks_beyond_cap,
    called.unknown_keyword,
    called.wrong_arguments,
    misuse.method_arguments,
    called.wrong_option,
    called.unknown_kind,
    called.options_exclude,
    called.accept_no_schema,
    inputs_break_schema,
    misuse.handle_as_text,
    misuse.handle_not_waited,
    misuse.handle_in_result,
    called.result_never_assigned,
    waiting.spawn_never_used,
    permitted.dynamic_agent,
    permitted.dynamic_scopes,
    sequential.sequential_result,
    waiting.needless_wait,
    endless.endless_spawn,
    endless.loop_on_time,
    called.api_rebound,
)

_ERROR, _WARNING = (Severity.ERROR,), (Severity.WARNING,)

OWN_RULES: dict[str, tuple[tuple[Severity, ...], str]] = {
    "agent-not-in-policy": (_ERROR, "an agent, or one of `fallback=`, that the policy does not list"),
    "scopes-not-granted": (_ERROR, "a scope beyond the grant of its agent or of a fallback"),
    "timeout-beyond-cap": (_ERROR, "more seconds than the agent, or a fallback, may take"),
    "retries-beyond-cap": (_ERROR, "more further attempts than the policy allows"),
    "backoff-beyond-cap": (_ERROR, "a longer wait between attempts than the policy allows"),
    "fallbacks-beyond-cap": (_ERROR, "more fallbacks of one spawn than the policy allows"),
    "unknown-keyword": (_ERROR, "a keyword that a function of the API does not take"),
    "wrong-arguments": (_ERROR, "too many arguments without a keyword, or one that is missing"),
    "wrong-option": (_ERROR, "an option whose value the function refuses"),
    "unknown-kind": (_ERROR, "`on=` with what is no kind of failure, or one that is never tried again"),
    "options-exclude": (_ERROR, "`min_ok=` together with `enough=`"),
    "accept-no-schema": (_ERROR, "`accept=` with what is no JSON Schema"),
    "inputs-not-json": (_ERROR, "inputs that no frame can carry, such as a set"),
    "inputs-break-schema": (_ERROR, "literal inputs that the agent's schema, or a fallback's, refuses"),
    "handle-as-text": (_ERROR, "a format, `!r`, `%` or `str()` of a handle"),
    "handle-not-waited": (_ERROR, "what only an output has: truth, items, length, order, arithmetic, its own methods"),
    "handle-in-result": (_ERROR, "a handle inside `result`"),
    "result-never-assigned": (_WARNING, "no assignment of `result` and no top-level `return`"),
    "spawn-never-used": (_WARNING, "a handle that nobody waits for or passes on: it is cancelled"),
    "dynamic-agent": (_WARNING, "an agent's name that shows only when the script runs"),
    "dynamic-scopes": (_WARNING, "scopes that show only when the script runs"),
    "sequential-result": (_WARNING, "a loop that waits for each spawn before it makes the next"),
    "needless-wait": (_WARNING, "a wait for outputs that only go into other spawns"),
    "endless-spawn": (_WARNING, "a spawn in a loop that nothing in the text ends"),
    "loop-on-time": (_WARNING, "a loop that asks for the time and never waits"),
    "api-rebound": ((Severity.ERROR, Severity.WARNING), "a name of the API bound anew; an error for those of calls"),
}
"""Each rule of the check's own: how severe its findings are, and what it finds."""

ALL_RULES: dict[str, tuple[tuple[Severity, ...], str]] = {
    **{rule: (_ERROR, message.partition("{")[0].strip(" :`;") or fix) for rule, (message, fix) in ADVICE.items()},
    **OWN_RULES,
}
"""Each id that a finding can have, those of the dialect included."""
