"""What is told of an attempt that failed: to the script little, to the journal the rest.

A fault's message names the agent, an exception's type or an exit status. What an agent wrote (tracebacks,
stderr) goes into the detail: the last 4 KiB, without control characters, with guarded values cut out. Guarded is what
an attempt was handed and must not come back: referenced values, the key of its door, tokens.
"""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime

from runner.agents import AgentError
from runner.errors import AgentFault
from runner.models import OutcomeKind
from runner.policy.references import redact

# The end of a traceback names the cause; 4 KiB hold some 40 lines of it.
DETAIL_BYTES = 4096
MESSAGE_CHARS = 1_000
# A service that wants more is down for this run.
MOST_SLOWED_SECONDS = 3600.0
# A shorter value is found in outputs by chance.
_SHORTEST_GUARDED_CHARS = 8

# All but tab and line feed: C0, DEL, C1, the bidi controls, and surrogates, which cannot be written.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


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
    if cut:
        for value in map(str.encode, values):
            left = next((n for n in range(len(value) - 1, 0, -1) if written.startswith(value[-n:])), 0)
            written = written[left:]
    return detail(redact(written.decode("utf-8", "replace"), values))


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
        message = f'agent "{agent}" raised {plain(redact(type_name, guarded))[:100]}'
    else:
        message = plain(redact(text, guarded))[:MESSAGE_CHARS] or f'agent "{agent}" failed'
    return AgentFault(OutcomeKind.FAILED, message, detail=detail(redact(trace, guarded)))


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
    values = [value for value in guarded if len(value) >= _SHORTEST_GUARDED_CHARS]
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


# --- of a service that is reached over a network ---------------------------------------------


def unreachable(agent: str, why: str) -> AgentFault:
    """Return the fault of an agent that could not be connected to: it was asked nothing."""
    return AgentFault(OutcomeKind.FAILED, f'agent "{agent}" could not be reached', detail=detail(why))


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
    with suppress(ValueError, TypeError, IndexError):
        return _bounded(parsedate_to_datetime(written).timestamp() - (time.time() if now is None else now))
    return 0.0


def _bounded(seconds: float) -> float:
    """Return a wait that a service may ask for: a number that is none, or for ever, is nothing."""
    return min(seconds, MOST_SLOWED_SECONDS) if 0 < seconds < float("inf") else 0.0
