"""Every kind of event, and what its body and value say.

An event has a `body` of small facts (names, numbers, digests) that the chain covers, and at most one
`value`, a JSON object as text, which stands beside it: the chain covers the value's digest, so the
value can be erased and the chain still verifies. What a script or an agent wrote goes into the value,
never into the body, but for the agents' names, scopes and outcome kinds.

attempt_failed is of an attempt that another one follows; the last is told by spawn_settled, whose agent is the one
that was called last. cause is [handle, kind, message, attempts]: the failure that came first. then_returned is what
the guest made of its handles; then_settled follows where there were fills, or where the host settled the handle.

A token is named by an id of ours, never by its bytes. token_intent is durable before a server is asked; the embedded
issuer's tokens have none: they are made here, and token_issued is durable before the agent is called. gateway_used
is durable before the request leaves; what came of it follows in gateway_answered, whose absence says that nobody knows.
token_revoked and token_unrevoked are of external tokens; what becomes of one after its run ended is in the register.

"slowed": the agent asked to be called later, and the attempt counts as none. model_usage is what an attempt used as it
counts against the budget (tokens, cost_usd), and what its backend told (input_tokens, output_tokens), if it told it.

agent_reached is what an agent was when this run first made it, and again whenever that turned out to be something
else: `facts` are names and texts (code digest, package version, model as answered), `fingerprint` the digest of them.
spawn_reused says that no attempt is made: another run's outcome of the same key settles it. run_resumed is of a host
that goes on where a dead one stopped; `epoch` counts them, from 2. An attempt_started with `again` is the same attempt
as before, made once more after that. spawn_settled with `by` was settled by a person, not by its agent.

run_nested is durable before that run begins; a run that nobody has is one whose host died in between. What it names is
the inner policy as it stands in the outer one; the nested run's own is that, narrowed to its slice, and its
run_submitted names this attempt (parent, parent_spawn, parent_attempt) and that digest (parent_policy).

review_decided stands where the policy or the host asks for a review. source is "register", "file" or "prompt", or
"not required" where the review flagged nothing. What was approved at a terminal without a key has an id and no key.

    kind                body                                                       value
    run_submitted       script, script_digest, policy, policy_digest,              script, policy, inputs,
                        inputs_digest, runner, python, trace, span, sandbox,       folder, policy_file
                        submitter, door [, client (what it calls itself)]
                        [, origin (the run that it reuses), not_before]
                        [, parent (the run that it is nested in),
                        parent_spawn, parent_attempt, parent_policy]
    script_checked      accepted, errors, warnings, dialect, python                findings, reach
    review_decided      decision (id, or ""), rule, source, submitter,             decision (its signed file)
                        reviewer, key, flagged, risk, report (digest, or "")
    sandbox_started     the fields of models.SandboxFacts, lock ("verified")       -
    run_started         seed, now, dialect                                         -
    run_resumed         epoch, by, runner, python, retry_unknown,                  -
                        used (seconds of wall time that the dead host had spent)
    agent_reached       agent, backend, fingerprint, facts                         -
    spawn_requested     spawn, agent, scopes, timeout, retry, fallback, line,     inputs, label [, fills] [, accept]
                        span
    spawn_denied        spawn, agent, rule                                         message
    spawn_reused        spawn, agent, key, inputs_digest, origin, origin_spawn     -
    attempt_started     spawn, attempt, agent, inputs_digest, timeout, span        -
                        [, again (true)]
    attempt_failed      spawn, attempt, agent, outcome, seconds,                   message [, detail]
                        next ("retry", "fallback", "slowed"),
                        backoff [, model_usage]
    agent_lingered      spawn, attempt, agent                                      -
    run_nested          spawn, attempt, run, script, script_digest, policy,        -
                        policy_digest
    token_intent        token, spawn, attempt, agent, resource, audience,          rules [, details]
                        issuer, scopes, seconds, raw (where true)
    token_issued        token, issued_at, expires_at, fingerprint; external:       - (embedded: as token_intent)
                        jti, stated, subject, enforced ("issuer", "host");
                        embedded: what token_intent says
    token_refused       token, may_be_out; embedded: what token_intent says        message
    token_closed        token, why, used (true, false, null), uses, refused,       -
                        observed
    token_revoked       token, how ("confirmed", "told")                           -
    token_unrevoked     token, tries                                               message
    gateway_used        use, token, spawn, attempt, agent, resource, scope,        path [, query] [, body]
                        method, host, rule
    gateway_answered    use, token, spawn, status, bytes, seconds, redacted,       -
                        failure, left (false: not a byte of it was sent)
    gateway_refused     token, spawn, attempt, agent, resource, method, host,      path, message
                        reason
    spawn_cancelled     spawn (of a then: its handle), by ("script", "wait",       -
                        "end") [, outcome ("timed_out": a wait's time was over)]
    spawn_settled       spawn, agent, outcome, attempts, seconds, bytes            output | message [, cause, detail,
                        [, dropped_bytes (where above 0)] [, by]                   dropped]
                        [, model_usage]
    then_requested      handle, of, line                                           -
    then_returned       handle, outcome                                            value [, fills] | message [, cause]
    then_settled        handle, outcome, bytes                                     output | message [, cause]
    wait_opened         wait, group, handles, need, of, until, rest, line          -
    answered            wait, handles (in order of delivery), ended, now           -
    output_written      line, bytes                                                text, fields
    stop_requested      by                                                         -
    run_finished        state, kind, line, spawns, usage,                          result | message, hint, trace
                        by ("script": its last word; "host": it was ended)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from runner.models import Json


class EventKind(StrEnum):
    RUN_SUBMITTED = "run_submitted"
    SCRIPT_CHECKED = "script_checked"
    REVIEW_DECIDED = "review_decided"
    SANDBOX_STARTED = "sandbox_started"
    RUN_STARTED = "run_started"
    RUN_RESUMED = "run_resumed"
    AGENT_REACHED = "agent_reached"
    SPAWN_REQUESTED = "spawn_requested"
    SPAWN_DENIED = "spawn_denied"
    SPAWN_REUSED = "spawn_reused"
    ATTEMPT_STARTED = "attempt_started"
    ATTEMPT_FAILED = "attempt_failed"
    AGENT_LINGERED = "agent_lingered"
    RUN_NESTED = "run_nested"
    TOKEN_INTENT = "token_intent"
    TOKEN_ISSUED = "token_issued"
    TOKEN_REFUSED = "token_refused"
    TOKEN_CLOSED = "token_closed"
    TOKEN_REVOKED = "token_revoked"
    TOKEN_UNREVOKED = "token_unrevoked"
    GATEWAY_USED = "gateway_used"
    GATEWAY_ANSWERED = "gateway_answered"
    GATEWAY_REFUSED = "gateway_refused"
    SPAWN_CANCELLED = "spawn_cancelled"
    SPAWN_SETTLED = "spawn_settled"
    THEN_REQUESTED = "then_requested"
    THEN_RETURNED = "then_returned"
    THEN_SETTLED = "then_settled"
    WAIT_OPENED = "wait_opened"
    ANSWERED = "answered"
    OUTPUT_WRITTEN = "output_written"
    STOP_REQUESTED = "stop_requested"
    RUN_FINISHED = "run_finished"


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a run's journal, as read back."""

    run: str
    seq: int
    """1, 2, 3 ... within the run."""
    kind: EventKind
    at_us: int
    """Wall time in microseconds since the epoch."""
    body: dict[str, Any]
    value: str | None
    """JSON object as text; None when there is none or it was erased (`value_digest` tells which)."""
    value_digest: str
    """sha256 of the value's text, or "" where there never was one."""
    digest: str
    """This event's link of the chain."""

    def content(self) -> dict[str, Json]:
        """The value, parsed; an empty dict when there is none."""
        found: dict[str, Json] = json.loads(self.value) if self.value is not None else {}
        return found
