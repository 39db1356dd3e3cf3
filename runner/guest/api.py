"""The functions that a script calls: spawn, gather, as_completed, first_ok, sleep, log, and the names beside them.

`spawn` never blocks. `gather`, `as_completed`, `first_ok`, `sleep` and a handle's outcome block in one place,
`waiting`. Options are keyword-only; a mistake is refused at its line with what to write.

The stub text of all this is `stub.pyi`. Not here: the numbers and the pipe (conversation), handles (handles), which
builtins and modules a script has (dialect).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from runner.guest import options
from runner.guest.completing import as_completed
from runner.guest.conversation import current
from runner.guest.errors import ERRORS, InvalidInput
from runner.guest.gathering import first_ok, gather
from runner.guest.handles import Handle, make_handle
from runner.guest.options import Fallback, Retry
from runner.guest.values import NotJson, exact, plain_text, taken_apart
from runner.guest.waiting import pause
from runner.guest.wire import Json, Spawn

_MAX_LOG_CHARS = 16 * 1024 * 1024


def spawn(
    agent: str,
    inputs: Json = None,
    *more: object,
    scopes: Iterable[str] | None = None,
    timeout: float | None = None,
    retry: int | Retry = 0,
    fallback: str | Fallback | Iterable[str | Fallback] | None = None,
    accept: Json = None,
    label: str | None = None,
    **others: object,
) -> Handle:
    if more or others:
        raise TypeError(_misplaced(more, others))
    conversation = current()
    # Most spawns have none of these: nothing is called for them.
    asked = Spawn(
        0,
        agent if type(agent) is str and 0 < len(agent) <= 256 else options.agent_name(agent, "spawn()"),
        None,
        None if scopes is None else options.scope_list(scopes),
        None if timeout is None else options.seconds(timeout, "timeout", above_zero=True),
        None if label is None else options.label_text(label),
    )
    if retry != 0 or type(retry) is not int:
        asked.retry = options.retry_rule(retry)
    if fallback is not None:
        asked.fallback = options.fallbacks(fallback)
    if accept is not None:
        asked.accept = options.schema(accept, conversation.frame_bytes // 2)
    try:
        # Agents take objects: a spawn without inputs means one without fields.
        given = {} if inputs is None else inputs
        asked.inputs, asked.fills = taken_apart(given, "inputs", conversation.frame_bytes // 2)
        return make_handle(conversation.spawn(asked))
    except NotJson as refused:
        reason = refused.reason
    except OverflowError:
        reason = f"the inputs are larger than a frame of {conversation.frame_bytes} bytes: pass less on"
    except ValueError as error:
        reason = _unencodable(error)
    raise InvalidInput(f"spawn({asked.agent!r}): {reason}", agent=asked.agent, label=asked.label)


_MEANT = {
    "retries": "retry", "attempts": "retry", "max_retries": "retry", "fallbacks": "fallback",
    "timeout_seconds": "timeout", "scope": "scopes",
    "schema": "accept", "output_schema": "accept", "name": "label", "id": "label", "tag": "label",
    "input": "inputs", "args": "inputs", "params": "inputs", "payload": "inputs", "data": "inputs",
}  # fmt: skip
"""Options as other libraries name them."""


def _misplaced(more: tuple[object, ...], others: dict[str, object]) -> str:
    """Say what to write instead of an argument that spawn does not have."""
    if more:
        third = more[0]
        if isinstance(third, str):
            example = f"label={third[:60]!r}"
        elif isinstance(third, (int, float)) and not isinstance(third, bool):
            example = f"timeout={third!r}"
        else:
            example = "scopes=[...]"
        return f"spawn() takes an agent and its inputs; what follows is named: write {example}"
    name = next(iter(others))
    meant = _MEANT.get(name)
    if meant:
        return f"spawn() has no option {name}=: write {meant}=..."
    fields = ", ".join(f'"{other[:60]}": ...' for other in others)
    return f"spawn() has no option {name[:60]}=; the inputs are one dict: write spawn(agent, {{{fields}}})"


def sleep(seconds: float) -> None:
    pause(options.seconds(seconds, "sleep()"))


def log(message: object, /, **fields: Json) -> None:
    emit(plain_text(message, _MAX_LOG_CHARS), fields)


def emit(text: str, fields: dict[str, Json] | None = None) -> None:
    """Print a text, with fields that are made plain where they are no JSON."""
    conversation = current()
    plain: dict[str, Json] = {}
    for name, value in (fields or {}).items():
        try:
            plain[name] = exact(value, name, conversation.frame_bytes // 2)
        except NotJson:
            plain[name] = plain_text(value if type(value) is Handle else repr(value), _MAX_LOG_CHARS)
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
    "spawn": spawn, "gather": gather, "as_completed": as_completed, "first_ok": first_ok, "sleep": sleep, "log": log,
    "Handle": Handle, "Retry": Retry, "Fallback": Fallback, **{error.__name__: error for error in ERRORS},
}  # fmt: skip


def names(inputs: Json) -> dict[str, object]:
    """Return the API's names for one script."""
    return {**FUNCTIONS, "limits": RunLimits(), "inputs": inputs}


def _unencodable(error: ValueError) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "a text has a lone surrogate, which is no Unicode text"
    return "a number has more than 4300 digits: write str(...) around it"
