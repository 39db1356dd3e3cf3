"""What is told of an attempt that failed: to the script little, to the journal the rest.

A fault's message names the agent, an exception's type or an exit status. What an agent wrote (tracebacks,
stderr) goes into the detail: the last 4 KiB, without control characters, with guarded values cut out. Guarded is what
an attempt was handed and must not come back: referenced values, the key of its door, tokens. Values are cut out once
the control characters are gone (`redacted`): they could be hidden between those.
"""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime

from runner.agents import AgentError
from runner.errors import AgentFault
from runner.models import OutcomeKind
from runner.policy.references import REDACTED, forms, redact

# The end of a traceback names the cause; 4 KiB hold some 40 lines of it.
DETAIL_BYTES = 4096
MESSAGE_CHARS = 1_000
# A service that wants more is down for this run.
MOST_SLOWED_SECONDS = 3600.0
# A shorter value is found in outputs by chance.
SHORTEST_GUARDED_CHARS = 8

# All but tab and line feed: C0, DEL, C1, the bidi controls, and surrogates, which cannot be written.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def redacted(text: str, guarded: Sequence[str]) -> str:
    """Return the text without control characters and without guarded values, also those that they stood within."""
    return redact(plain(redact(text, guarded)), map(plain, guarded))


def plain(text: str) -> str:
    """Return the text without control characters, but for tabs and line feeds."""
    return _CONTROLS.sub("", text)


def detail(text: str) -> str:
    """Return the end of a text as a detail may hold it."""
    return plain(text)[-DETAIL_BYTES:].strip()


def errors_of(written: bytes, values: Sequence[str], *, cut: bool) -> str:
    """Return what a program wrote to stderr, as a detail may hold it, without these values.

    `cut` says that the beginning of what it wrote is missing: a value of which only the end is left goes too.
    """
    text = plain(written.decode("utf-8", "replace"))
    if cut:
        # The bound may have cut a character too.
        text = text.lstrip("\ufffd")
        for value in map(plain, values):
            most = min(len(value) - 1, len(text))
            text = text[next((n for n in range(most, 0, -1) if text.startswith(value[-n:])), 0) :]
    return detail(redacted(text, values))


def raised(agent: str, error: BaseException, guarded: Sequence[str] = ()) -> AgentFault:
    """Return the fault of an agent that raised: an `AgentError`'s text, of all others the type."""
    return told(
        agent,
        type(error).__name__,
        _text_of(error) if isinstance(error, AgentError) else None,
        "".join(traceback.format_exception(error)),
        guarded,
    )


def told(agent: str, type_name: str, text: str | None, trace: str, guarded: Sequence[str] = ()) -> AgentFault:
    """Return the fault of an agent that raised this type, and said this to the script if not None."""
    if text is None:
        message = f'agent "{agent}" raised {redacted(type_name, guarded)[:100]}'
    else:
        message = redacted(text, guarded)[:MESSAGE_CHARS] or f'agent "{agent}" failed'
    return AgentFault(OutcomeKind.FAILED, message, detail=detail(redacted(trace, guarded)))


def not_started(agent: str, why: str) -> AgentFault:
    """Return the fault of an agent whose process could not be started. `why` and the fix go into the detail."""
    return AgentFault(OutcomeKind.FAILED, f'agent "{agent}" could not be started', detail=detail(why))


def lost(agent: str, how: str, why: str) -> AgentFault:
    """Return the fault of an agent that was called and broke off: nobody can tell how far it came."""
    return AgentFault(OutcomeKind.FAILED, f'agent "{agent}" {how}', detail=detail(why), lost=True)


def no_json(agent: str, why: str) -> AgentFault:
    """Return the fault of an agent whose output is no exact JSON. `why` goes into the detail."""
    return AgentFault(OutcomeKind.INVALID_OUTPUT, f'agent "{agent}" returned what is no JSON', detail=detail(why))


def no_object(agent: str) -> AgentFault:
    """Return the fault of an agent that takes its inputs by name, and was handed something else. It was not called."""
    return AgentFault(OutcomeKind.INVALID_INPUT, f'agent "{agent}" takes an object: names and their values')


def repeats(text: str, guarded: Sequence[str]) -> bool:
    """True when a text holds a guarded value, plain or encoded in a usual way."""
    values = [value for value in guarded if len(value) >= SHORTEST_GUARDED_CHARS]
    return bool(values) and redact(text, values) != text


def repeated(agent: str, what: str) -> AgentFault:
    """Return the fault of an agent whose output repeats a guarded value."""
    return AgentFault(
        OutcomeKind.INVALID_OUTPUT,
        f'agent "{agent}" returned {what}',
        detail="its output repeats a value that it was handed, and was not kept",
    )


def too_large(agent: str, limit: int) -> AgentFault:
    """Return the fault of an agent whose output was longer than this many bytes. None of it was kept."""
    return AgentFault(OutcomeKind.INVALID_OUTPUT, f'agent "{agent}" returned more than {limit} bytes')


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an author's own __str__ may be broken; the fault must still be told
        return ""


# --- of a model ------------------------------------------------------------------------------


def cut_off(agent: str, tokens: int) -> AgentFault:
    """Return the fault of a model whose answer had no room. What there was of it is no output."""
    message = f'agent "{agent}" had no room for its answer: its max_tokens is {tokens}'
    return AgentFault(OutcomeKind.INVALID_OUTPUT, message)


def declined(agent: str) -> AgentFault:
    """Return the fault of a model that does not want to answer, or is kept from it by its vendor."""
    return AgentFault(OutcomeKind.FAILED, f'agent "{agent}" declined to answer')


def over_budget(agent: str, usd: float) -> AgentFault:
    """Return the fault of a model that was stopped by the budget of one call."""
    return AgentFault(OutcomeKind.FAILED, f'agent "{agent}" was not done within its budget_usd of {usd:g}')


def out_of_turns(agent: str, turns: int, why: str = "") -> AgentFault:
    """Return the fault of a model that went on asking for functions. `why` is what the last failure of one left."""
    answers = "one answer" if turns == 1 else f"{turns} answers"
    return AgentFault(OutcomeKind.FAILED, f'agent "{agent}" was not done after {answers}', detail=detail(why))


# --- of a service that is reached over a network ---------------------------------------------


def unreachable(agent: str, why: str) -> AgentFault:
    """Return the fault of an agent that could not be connected to: it was asked nothing."""
    return AgentFault(OutcomeKind.FAILED, f'agent "{agent}" could not be reached', detail=detail(why))


def over_budget_of(agent: str) -> AgentFault:
    """Return the fault of a model that would use more than was reserved for it. Its functions may have done much."""
    message = f'agent "{agent}" would use more than is reserved for one call of it, and is not done'
    return AgentFault(OutcomeKind.LIMIT_REACHED, message, lost=True)


def of_status(agent: str, status: int, headers: Mapping[str, str], why: str = "") -> AgentFault:
    """Return the fault of an agent that answered with a status of HTTP which is no success.

    `headers` in lower case. 401 and 403 are `unauthorised`; 429, 529, and 503 with Retry-After ask to slow down (RFC
    6585 section 4, RFC 9110 section 10.2.3); 408 and any other of the server's own errors may have done something.
    """
    message, told = f'agent "{agent}" answered with status {status}', detail(why)
    if status in (401, 403):
        return AgentFault(OutcomeKind.UNAUTHORISED, f"{message}: it does not accept its credential", detail=told)
    if status in (429, 529) or (status == 503 and "retry-after" in headers):
        return AgentFault(OutcomeKind.FAILED, message, detail=told, slow_down=retry_after(headers))
    return AgentFault(OutcomeKind.FAILED, message, detail=told, lost=status >= 500 or status == 408)


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float:
    """Return the seconds for which a service asks to be left alone, at most an hour; 0.0 where it says nothing.

    `headers` in lower case. Retry-After is seconds or a date (RFC 9110 section 10.2.3); vendors have retry-after-ms.
    """
    with suppress(ValueError):
        return _bounded(float(headers.get("retry-after-ms", "")) / 1000)
    written = headers.get("retry-after", "").strip()
    with suppress(ValueError):
        return _bounded(float(written))
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        date = parsedate_to_datetime(written)
        # The oldest form has no zone, and means UTC as the others do.
        at = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return _bounded(at.timestamp() - (time.time() if now is None else now))
    return 0.0


def _bounded(seconds: float) -> float:
    """Return a wait that a service may ask for: a number that is none, or for ever, is nothing."""
    return min(seconds, MOST_SLOWED_SECONDS) if 0 < seconds < float("inf") else 0.0


def redirected(agent: str, status: int, location: str) -> AgentFault:
    """Return the fault of an agent that sent the request elsewhere. 303 is told of what was done (RFC 9110 section
    15.4.4); of the others nothing is known to have been done.
    """
    message = f'agent "{agent}" answered with status {status}: it is not followed elsewhere'
    return AgentFault(OutcomeKind.FAILED, message, detail=detail(f"location: {location}"), lost=status == 303)


def not_called(agent: str, why: str) -> AgentFault:
    """Return the fault of an agent to which no request could be sent. `why` goes into the detail."""
    return AgentFault(OutcomeKind.FAILED, f'agent "{agent}" could not be called', detail=detail(why))


def unfit(agent: str, why: str) -> AgentFault:
    """Return the fault of inputs that do not fit into a request. `why` names them, not their values."""
    return AgentFault(OutcomeKind.INVALID_INPUT, f'agent "{agent}" cannot be sent these inputs: {why}')


def of_type(agent: str, media_type: str, guarded: Sequence[str]) -> AgentFault:
    """Return the fault of an agent that answered with something else than JSON. `media_type` in lower case."""
    # What a server calls its answer may be anything: a script hears of the usual ones.
    named = media_type if media_type in _USUAL_TYPES else "another type"
    message = f'agent "{agent}" answered with {named}, not with JSON'
    why = f"content-type: {_without_case(media_type, guarded)}"
    return AgentFault(OutcomeKind.INVALID_OUTPUT, message, detail=detail(why))


def _without_case(text: str, guarded: Sequence[str]) -> str:
    """Return a text whose case is not as it came without guarded values in whatever case."""
    found = {form for value in guarded for form in forms(plain(value)) if form}
    text = plain(text)
    for form in sorted(found, key=len, reverse=True):
        text = re.sub(re.escape(form), REDACTED, text, flags=re.IGNORECASE)
    return text


_USUAL_TYPES = (
    "text/html", "text/plain", "text/xml", "application/xml", "application/octet-stream", "text/event-stream",
)  # fmt: skip

# What the gateway says of a request that did not leave, or may have done something (credentials.gateway).
_GATEWAY_NOT_REACHED = ("unreachable", "address", "authorities")
_GATEWAY_NOT_SENT = ("credential", "record", "expired", "closed")
_GATEWAY_BROKE_OFF = ("broken", "encoding", "too-large", "redirect", "failed")


def of_gateway(agent: str, reason: str, why: str) -> AgentFault:
    """Return the fault of an agent whose request the gateway itself answered. `reason` is the gateway's word."""
    if reason in _GATEWAY_NOT_REACHED:
        return unreachable(agent, why)
    if reason in _GATEWAY_BROKE_OFF:
        return lost(agent, "broke off", why)
    if reason in _GATEWAY_NOT_SENT:
        return not_called(agent, why)
    message = f'agent "{agent}" may not send this request under the scopes that were asked'
    return AgentFault(OutcomeKind.UNAUTHORISED, message, detail=detail(why))


def nothing_at(agent: str, pointer: str) -> AgentFault:
    """Return the fault of an agent whose answer has no part where its policy says that the output is."""
    message = f'agent "{agent}" returned nothing at "{pointer}", where its output should be'
    return AgentFault(OutcomeKind.INVALID_OUTPUT, message)


# --- of a server that speaks MCP -------------------------------------------------------------


def no_answer(agent: str, why: str) -> AgentFault:
    """Return the fault of an agent whose server said what is no message or no result. `why` goes into the detail."""
    message = f'agent "{agent}" returned what its protocol does not know'
    return AgentFault(OutcomeKind.INVALID_OUTPUT, message, detail=detail(why))


def told_nothing(agent: str, seconds: float) -> AgentFault:
    """Return the fault of an agent whose server was asked for its tools and did not answer."""
    return AgentFault(OutcomeKind.FAILED, f'agent "{agent}" told no tools within {seconds:g} s')


def too_many_tools(agent: str, most: int) -> AgentFault:
    """Return the fault of an agent whose server has more tools than are listed, or pages of them without an end."""
    return AgentFault(OutcomeKind.FAILED, f'agent "{agent}" has more than {most:,} tools, or pages of them without end')


def of_code(agent: str, code: int, why: str, *, lost: bool) -> AgentFault:
    """Return the fault of an agent whose server answered with an error of JSON-RPC."""
    message = f'agent "{agent}" answered with error {code}'
    return AgentFault(OutcomeKind.FAILED, message, detail=detail(why), lost=lost)


def said_failed(agent: str, why: str, guarded: Sequence[str]) -> AgentFault:
    """Return the fault of an agent that says itself that it failed. `why` goes into the detail."""
    return AgentFault(OutcomeKind.FAILED, f'agent "{agent}" failed', detail=detail(redacted(why, guarded)))


def shows_credential(agent: str, where: str) -> AgentFault:
    """Return the fault of an agent whose server repeats, in what it says of itself, a value that it was handed."""
    message = f'agent "{agent}" has a server that repeats a credential that it was handed in {where}'
    return AgentFault(OutcomeKind.FAILED, message, detail="it was not called, and what it said was not kept")


def not_as_locked(agent: str, changed: Sequence[str], why: str) -> AgentFault:
    """Return the fault of an agent that turned out, before it was called, to be another than the policy's lock says."""
    message = f'agent "{agent}" is not what the lock of its policy says: it has another {" and other ".join(changed)}'
    return AgentFault(OutcomeKind.FAILED, message, detail=detail(why))
