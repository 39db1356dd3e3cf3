"""`h.then(fn)`: call the script's function while it waits, and tell the host what it made.

Functions run one after another inside a call that waits, in the order in which their handles were delivered, at most
once, and only when all of those succeeded. An exception in one fails its handle and nothing else; what a script must
never observe (dialect.fatal) passes on and ends the run.

Not here: which function is next (callbacks), the call that waits (waiting).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from runner.guest.callbacks import Pending
from runner.guest.conversation import Conversation, current
from runner.guest.dialect.fatal import is_unseen
from runner.guest.errors import DependencyFailed, SpawnError, outcome_error
from runner.guest.filling import Missing, part_of
from runner.guest.options import a
from runner.guest.outcomes import bases, known, reference
from runner.guest.values import NotJson, plain_text, taken_apart
from runner.guest.wire import Json, Part

if TYPE_CHECKING:
    from runner.guest.handles import Handle

# A message is shown to a model: more than this hides what matters.
_MESSAGE_CHARS = 4_000


def ask_then(source: Handle, fn: Callable[[Any], Any]) -> int:
    """Ask for the handle of `fn` of the source's output; return its number. Raises LimitReached."""
    if not callable(fn):
        raise TypeError(f"then() takes a function of the output, not {a(fn)}: write h.then(lambda output: ...)")
    conversation = current()
    of = bases(source)
    n = conversation.then(of, conversation.name_of(of[0]))
    told = [conversation.delivered[one] for one in of if one in conversation.delivered]
    # Of what has failed nothing comes: the host settles the then.
    if not any(one.error for one in told):
        waits_for = [one for one in of if one not in conversation.delivered]
        conversation.callbacks.add(n, source, fn, waits_for, max((one.order for one in told), default=0))
    return n


def run_ready(conversation: Conversation) -> None:
    """Call every function whose handles are there, and those that become ready by that."""
    while (pending := conversation.callbacks.next_ready()) is not None:
        conversation.inside_then = True
        try:
            _run(conversation, pending)
        finally:
            conversation.inside_then = False


def _run(conversation: Conversation, pending: Pending) -> None:
    source = known(conversation, pending.source)
    assert source is not None
    if source.error is not None:
        _missing(conversation, pending, source.error)
        return
    raised: BaseException | None = None
    value: Any = None
    try:
        value = pending.fn(source.value)
    except BaseException as error:
        if is_unseen(error):
            raise
        # The frames of the script would stay alive with it.
        raised = BaseException.with_traceback(error, None)
    # The function may have cancelled its own handle.
    if pending.n in conversation.delivered:
        return
    if raised is not None:
        _raised(conversation, pending.n, raised)
    else:
        _made(conversation, pending.n, value)


def _missing(conversation: Conversation, pending: Pending, error: SpawnError) -> None:
    """Its handles succeeded, but one has no such part."""
    agent, label = conversation.name_of(pending.n)
    made = reference(pending.source)
    parts = [part for part in ((made,) if isinstance(made, Part) else made.parts) if isinstance(part, Part)]
    cause = next(part.handle for part in parts if _is_missing(part, conversation.delivered[part.handle].value))
    # The script may have put anything there.
    message = plain_text(error.message, _MESSAGE_CHARS)
    conversation.settle_failed(
        pending.n, DependencyFailed(message, agent=agent, label=label, cause=error), message, cause
    )


def _is_missing(part: Part, output: Json) -> bool:
    try:
        part_of(part, output)
    except Missing:
        return True
    return False


def _raised(conversation: Conversation, n: int, error: BaseException) -> None:
    # The very exception of a limit, so that it ends the run as that limit when nobody catches it.
    if isinstance(error, SpawnError) and any(error is limit for limit in conversation.limit_errors.values()):
        conversation.settle_failed(n, error, plain_text(error.message, _MESSAGE_CHARS))
        return
    name = plain_text(type(error).__name__, 100)
    _fail(conversation, n, "failed", f"then: {name}: {plain_text(error, _MESSAGE_CHARS)}")


def _made(conversation: Conversation, n: int, value: Any) -> None:
    try:
        plain, fills = taken_apart(value, "the value", conversation.frame_bytes // 2)
        conversation.settle(n, plain, fills)
    except NotJson as refused:
        _fail(conversation, n, "invalid_output", f"then: {refused.reason}")
    except OverflowError:
        reason = f"then: the value is larger than a frame of {conversation.frame_bytes} bytes: return less"
        _fail(conversation, n, "invalid_output", reason)
    except UnicodeEncodeError:
        _fail(conversation, n, "invalid_output", "then: a text has a lone surrogate, which is no Unicode text")
    except ValueError:
        _fail(conversation, n, "invalid_output", "then: a number has more than 4300 digits: write str(...) around it")


def _fail(conversation: Conversation, n: int, kind: str, message: str) -> None:
    agent, label = conversation.name_of(n)
    conversation.settle_failed(n, outcome_error(kind, message, agent=agent, label=label, attempts=0), message)
