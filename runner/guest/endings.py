"""How a script's run becomes the guest's last word: its result, its error, or a limit that it reached.

What is told of an error is its type, message and places in the script: no path, no frame of the guest, no address.
Running out of memory or stack ends the run at once; a script never sees either.

Not here: who calls this when (__main__, dialect).
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import NoReturn

from runner.guest.conversation import SCRIPT_FILENAME, Conversation, script_line
from runner.guest.exits import EXIT_DONE, EXIT_MEMORY
from runner.guest.pipe import leave
from runner.guest.values import NotJson, TooLarge, exact, plain_text
from runner.guest.wire import MAX_TRACE, Finished, Json, ScriptError, encode_guest, payload_bytes

# A message is shown to a model: more than this hides what matters.
_MESSAGE_CHARS = 4_000
_FUNCTION_CHARS = 100

_HINT = ": a handle is not its output yet: write h.result()"

# Freed when memory runs out, so that the last frame can be made: CPython takes memory in arenas of 1 MiB.
# Address space only: `bytes` takes it by calloc, so that no page is touched (bytearray writes 1,024 of them: 4 ms).
_RESERVE_BYTES = 4 * 1024 * 1024
_reserve: list[bytes] = []


def keep_reserve() -> None:
    """Put memory aside for the last word."""
    _reserve.append(bytes(_RESERVE_BYTES))


def fatal(conversation: Conversation, error: BaseException) -> NoReturn:
    """End the run now, as the limit that this exception means, or as its error. Never returns."""
    try:
        _reserve.clear()
        if isinstance(error, MemoryError):
            finish(conversation, limited("memory", error))
        if isinstance(error, RecursionError):
            finish(conversation, limited("recursion", error))
        finish(conversation, failed(conversation, error))
    except BaseException:
        leave(EXIT_MEMORY)


def finish(conversation: Conversation, ending: Finished) -> NoReturn:
    """Say the last word and end the process."""
    conversation.pipe.say(encode_guest(ending))
    conversation.pipe.flush()
    leave(EXIT_DONE)


def limited(limit: str, error: BaseException | None = None) -> Finished:
    """Return the end by a limit, at the innermost line of the script that the error passed."""
    places = _places(error.__traceback__) if error is not None else []
    return Finished(ok=False, limit=limit, line=places[-1][0] if places else script_line())


def failed(conversation: Conversation, error: BaseException) -> Finished:
    """Return the end by an exception that the script did not catch."""
    if any(error is limit for limit in conversation.limit_errors.values()):
        return limited("spawns", error)
    places = _places(error.__traceback__)
    # A character of the message takes at most six bytes, a place of the trace at most 420: all fits the frame.
    told = ScriptError(
        plain_text(type(error).__name__, _FUNCTION_CHARS),
        _message(error, min(_MESSAGE_CHARS, conversation.frame_bytes // 16)),
        places[-1][0] if places else 0,
        tuple(places[-min(MAX_TRACE, conversation.frame_bytes // 800) :]),
    )
    return Finished(ok=False, error=told, line=told.line)


def _message(error: BaseException, max_chars: int) -> str:
    """Return the error's text, with what to write where a function of Python was handed a handle."""
    text = plain_text(error, max_chars)
    if isinstance(error, TypeError) and "Handle" in text:
        text = f"{text[: max_chars - len(_HINT)]}{_HINT}"
    return text


def done(conversation: Conversation, result: Json) -> Finished:
    """Return the end by a result; by an error where it is no JSON, by a limit where it is too large."""
    try:
        result = exact(result, "result", conversation.frame_bytes // 2)
        ending = Finished(ok=True, result=result)
        if payload_bytes(encode_guest(ending)) > conversation.frame_bytes:
            return limited("result")
        return ending
    except TooLarge:
        return limited("result")
    except NotJson as refused:
        reason = refused.reason
    except UnicodeEncodeError:
        reason = "result has a lone surrogate in a text, which is no Unicode text"
    except ValueError:
        reason = "result has a number of more than 4300 digits: write str(...) around it"
    return Finished(ok=False, error=ScriptError("ResultError", reason, 0))


def _places(trace: TracebackType | None) -> list[tuple[int, str]]:
    """Return (line, function) of each frame of the script, from the outermost to the innermost."""
    places: list[tuple[int, str]] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename == SCRIPT_FILENAME:
            places.append((trace.tb_lineno or 0, code.co_name[:_FUNCTION_CHARS]))
        trace = trace.tb_next
    return places


def more_frames(count: int = 200) -> None:
    """Raise the recursion limit, so that an ending that began in the deepest frame can be told."""
    sys.setrecursionlimit(sys.getrecursionlimit() + count)
