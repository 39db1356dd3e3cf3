"""What a handle stands for, and its outcome as far as the answers so far tell it.

A spawn or a then has a number, and its outcome is told. A part and a text are made of such handles: they are worth
what those are, worked out here as the host does it (filling), once, and kept.

A part of what failed has that failure. A part that is not there is DependencyFailed.

Not here: waiting (waiting), the class that a script holds (handles).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.guest.conversation import Conversation, Delivered
from runner.guest.errors import SpawnError, outcome_error
from runner.guest.filling import Missing, part_of, referred
from runner.guest.wire import Json, Part, Text

if TYPE_CHECKING:
    from runner.guest.handles import Handle


class Unsendable(TypeError):
    """A text with a list of handles in it can be printed, and nothing else."""


def reference(handle: Handle) -> Part | Text:
    """Return what stands for the handle on the wire. Raises Unsendable."""
    made = handle._made
    if made is None:
        return Part(handle._n)
    if isinstance(made, Text) and not all(isinstance(piece, (str, Part)) for piece in made.parts):
        raise Unsendable(
            "this text has a list or dict with handles in it, which can only be printed: "
            "write gather(...) around the list, or \", \".join(handles)"
        )
    return made


def bases(handle: Handle) -> tuple[int, ...]:
    """Return the numbers that the handle is made of, each once; of a spawn or a then its own. Raises Unsendable."""
    made = reference(handle)
    if isinstance(made, Part):
        return (made.handle,)
    return tuple(dict.fromkeys(part.handle for part in made.parts if isinstance(part, Part)))


def known(conversation: Conversation, handle: Handle) -> Delivered | None:
    """Return the handle's outcome, or None while it is not told."""
    made = handle._made
    if made is None:
        return conversation.delivered.get(handle._n)
    if handle._known is None:
        parts = (made,) if isinstance(made, Part) else made.parts
        handle._known = _worked_out(conversation, made, {p.handle for p in parts if isinstance(p, Part)})
    return handle._known


def _worked_out(conversation: Conversation, made: Part | Text, numbers: set[int]) -> Delivered | None:
    """Return the outcome of a part or text: its first failure, or its value once all is there."""
    found = {n: told for n in numbers if (told := conversation.delivered.get(n)) is not None}
    failures = [told for told in found.values() if told.error is not None]
    if failures:
        first = min(failures, key=lambda told: told.order)
        return Delivered(first.order, first.error)
    if len(found) < len(numbers) or not found:
        return None
    order = max(told.order for told in found.values())
    try:
        return Delivered(order, None, _value(made, found))
    except Missing as missing:
        return Delivered(order, missing_part(conversation, missing))


def _value(made: Part | Text, found: dict[int, Delivered]) -> Json:
    if isinstance(made, Part):
        return part_of(made, found[made.handle].value)
    return referred(made, lambda n: found[n].value)


def missing_part(conversation: Conversation, missing: Missing) -> SpawnError:
    """Return the failure of a part that the output does not have."""
    agent, label = conversation.name_of(missing.handle)
    message = f'agent "{agent}": {missing.message}'
    return outcome_error("dependency_failed", message, agent=agent, label=label, attempts=0)
