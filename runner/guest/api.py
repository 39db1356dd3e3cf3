"""The functions that a script calls: spawn, gather, as_completed, sleep, log, and the names beside them.

`spawn` never blocks. `gather`, `as_completed`, `sleep` and a handle's outcome block in one place,
`Conversation.wait`. Options are keyword-only; a mistake is refused at its line with what to write.

The stub text of all this is `stub.pyi`. Not here: the numbers and the pipe (conversation), handles (handles), which
builtins and modules a script has (dialect).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from runner.guest.conversation import Conversation, current
from runner.guest.errors import ERRORS, InvalidInput, SpawnError
from runner.guest.handles import Handle, make_handle, number
from runner.guest.shapes import leaves, listed, rebuilt
from runner.guest.values import NotJson, plain_text, require_exact
from runner.guest.wire import MAX_LABEL_CHARS, MAX_NAME_CHARS, MAX_SCOPES, Json

# About 31 years: more than any clock of the host has to hold.
_MAX_SECONDS = 1e9
_MAX_LOG_CHARS = 16 * 1024 * 1024


def spawn(
    agent: str,
    inputs: Json = None,
    *,
    scopes: Iterable[str] | None = None,
    timeout: float | None = None,
    label: str | None = None,
) -> Handle:
    conversation = current()
    if type(agent) is not str:
        raise TypeError(f"spawn() takes the name of an agent first, not {_a(agent)}")
    if not 0 < len(agent) <= MAX_NAME_CHARS:
        raise ValueError(f"an agent's name has 1 to {MAX_NAME_CHARS} characters")
    if label is not None and (type(label) is not str or len(label) > MAX_LABEL_CHARS):
        raise TypeError(f"label= takes a text of at most {MAX_LABEL_CHARS} characters, not {_a(label)}")
    # Agents take objects: a spawn without inputs means one without fields.
    inputs = {} if inputs is None else inputs
    asked = None if scopes is None else _scopes(scopes)
    seconds = None if timeout is None else _seconds(timeout, "timeout", above_zero=True)
    try:
        require_exact(inputs, "inputs", conversation.frame_bytes // 2)
        n = conversation.spawn(agent, inputs, asked, seconds, label)
    except NotJson as refused:
        raise InvalidInput(f"spawn({agent!r}): {refused.reason}", agent=agent, label=label) from None
    except OverflowError:
        reason = f"the inputs are larger than a frame of {conversation.frame_bytes} bytes: pass less on"
        raise InvalidInput(f"spawn({agent!r}): {reason}", agent=agent, label=label) from None
    except ValueError as error:
        raise InvalidInput(f"spawn({agent!r}): {_unencodable(error)}", agent=agent, label=label) from None
    return make_handle(n, agent, label)


def gather(
    *things: Any, on_error: str = "raise", return_exceptions: bool = False, timeout: float | None = None
) -> Any:
    if return_exceptions:
        on_error = "return"
    if on_error not in ("raise", "none", "return"):
        raise ValueError(f'on_error= is "raise", "none" or "return", not {on_error!r}')
    conversation = current()
    seconds = None if timeout is None else _seconds(timeout, "timeout")
    shape = listed(things)
    handles = list(dict.fromkeys(leaves(shape)))
    fail_fast = on_error == "raise"
    if fail_fast:
        _raise_first_failure(conversation, handles)
    waiting = [number(handle) for handle in handles if number(handle) not in conversation.delivered]
    if waiting:
        until = None if seconds is None else conversation.now + seconds
        conversation.wait(waiting, len(waiting), fail_fast=fail_fast, until=until, rest="stop")
        if fail_fast:
            _raise_first_failure(conversation, handles)
    return rebuilt(shape, lambda handle: _value(conversation, handle, on_error))


def _raise_first_failure(conversation: Conversation, handles: list[Handle]) -> None:
    """Raise the failure that was delivered first, if there is one, and cancel what is still open."""
    known = [found for handle in handles if (found := conversation.delivered.get(number(handle))) and found.error]
    if not known:
        return
    for handle in handles:
        conversation.cancel(number(handle))
    error = min(known, key=lambda found: found.order).error
    assert error is not None
    # Without this the trace would begin with that of the last time it was raised.
    raise error.with_traceback(None)


def _value(conversation: Conversation, handle: Handle, on_error: str) -> Json:
    found = conversation.delivered[number(handle)]
    if found.error is None:
        return found.value
    return found.error if on_error == "return" else None


def as_completed(handles: Iterable[Handle]) -> Iterator[Handle]:
    if isinstance(handles, Handle) or not isinstance(handles, Iterable):
        raise TypeError(f"as_completed() takes a list or another iterable of handles, not {_a(handles)}")
    source = handles if isinstance(handles, (list, dict, set, tuple)) else list(handles)
    by_number: dict[int, Handle] = {}
    _take(source, by_number)
    return _completed(current(), source, by_number)


def _take(source: Iterable[Handle], by_number: dict[int, Handle]) -> list[int]:
    """Add the handles that are new in the source; return their numbers."""
    new: list[int] = []
    for handle in source:
        if type(handle) is not Handle:
            raise TypeError(f"as_completed() takes handles, and found {_a(handle)}")
        if number(handle) not in by_number:
            by_number[number(handle)] = handle
            new.append(number(handle))
    return new


def _completed(conversation: Conversation, source: Any, by_number: dict[int, Handle]) -> Iterator[Handle]:
    """Yield each handle once. A list, dict or set that grows meanwhile is followed; what it loses is not."""
    pending = dict.fromkeys(by_number)
    scanned = (conversation.spawns, len(source))
    known = -1
    while True:
        delivered = conversation.delivered
        # The script may have waited for, or cancelled, some of them while the loop's body ran.
        if len(delivered) != known:
            known = len(delivered)
            ready = sorted((n for n in pending if n in delivered), key=lambda n: delivered[n].order)
            for n in ready:
                del pending[n]
            for n in ready:
                yield by_number[n]
        # What grows grows by a spawn or in length; a look at each element before each wait would be quadratic.
        elif not pending or (conversation.spawns, len(source)) != scanned:
            scanned = (conversation.spawns, len(source))
            new = _take(source, by_number)
            if not new and not pending:
                return
            pending.update(dict.fromkeys(new))
            known = -1 if new else known
        else:
            ready = conversation.wait(pending, 1)
            known = len(delivered)
            for n in ready:
                del pending[n]
            for n in ready:
                yield by_number[n]


def sleep(seconds: float) -> None:
    conversation = current()
    conversation.wait((), 0, until=conversation.now + _seconds(seconds, "sleep()"))


def log(message: object, /, **fields: Json) -> None:
    text = repr(message) if type(message) is Handle else message
    emit(plain_text(text, _MAX_LOG_CHARS), fields)


def emit(text: str, fields: dict[str, Json] | None = None) -> None:
    """Print a text, with fields that are made plain where they are no JSON."""
    conversation = current()
    plain: dict[str, Json] = {}
    for name, value in (fields or {}).items():
        try:
            require_exact(value, name, conversation.frame_bytes // 2)
            plain[name] = value
        except NotJson:
            plain[name] = plain_text(repr(value), _MAX_LOG_CHARS)
    try:
        conversation.print(text.encode("utf-8", "replace").decode(), plain)
    except OverflowError:
        raise ValueError(f"the fields are larger than a frame of {conversation.frame_bytes} bytes: log less") from None
    except ValueError as error:
        raise ValueError(f"log(): {_unencodable(error)}") from None


class RunLimits:
    """The global `limits`: what is left of the run's, as of the last answer."""

    __slots__ = ()

    @property
    def spawns_left(self) -> int:
        conversation = current()
        return conversation.spawn_limit - conversation.spawns

    @property
    def seconds_left(self) -> float:
        conversation = current()
        return max(0.0, conversation.wall_seconds - (conversation.now - conversation.started_at))

    def __repr__(self) -> str:
        return f"<limits: {self.spawns_left} spawns, {self.seconds_left:g} s left>"


FUNCTIONS: Final = {
    "spawn": spawn, "gather": gather, "as_completed": as_completed, "sleep": sleep, "log": log, "Handle": Handle,
    **{error.__name__: error for error in ERRORS},
}  # fmt: skip


def names(inputs: Json) -> dict[str, object]:
    """Return the API's names for one script."""
    return {**FUNCTIONS, "limits": RunLimits(), "inputs": inputs}


# --- options ---------------------------------------------------------------------------------


def _scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    if isinstance(scopes, str) or not isinstance(scopes, Iterable):
        raise TypeError(f"scopes= takes a list of texts: write scopes=[{scopes!r}]")
    found = sorted(scopes) if isinstance(scopes, (set, frozenset)) else list(scopes)
    for scope in found:
        if type(scope) is not str or not 0 < len(scope) <= MAX_NAME_CHARS:
            raise TypeError(f"a scope is a text of 1 to {MAX_NAME_CHARS} characters, not {_a(scope)}")
    if len(found) > MAX_SCOPES:
        raise ValueError(f"scopes= takes at most {MAX_SCOPES} scopes")
    return tuple(found)


def _seconds(value: object, name: str, *, above_zero: bool = False) -> float:
    # A bool is an int to Python, but nobody means one second by True.
    if type(value) is not int and type(value) is not float:
        raise TypeError(f"{name} takes seconds as a number, not {_a(value)}")
    if not 0 <= value <= _MAX_SECONDS or (above_zero and value == 0):
        raise ValueError(f"{name} takes seconds {'above' if above_zero else 'from'} 0, not {value!r}")
    return float(value)


def _unencodable(error: ValueError) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "a text has a lone surrogate, which is no Unicode text"
    return "a number has more than 4300 digits: write str(...) around it"


def _a(value: object) -> str:
    return "a handle" if type(value) is Handle else f"a {type(value).__name__}"


__all__ = ["FUNCTIONS", "RunLimits", "SpawnError", "as_completed", "emit", "gather", "log", "names", "sleep", "spawn"]
