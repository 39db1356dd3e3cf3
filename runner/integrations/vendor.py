"""What the models' APIs have in common: definitions as plain dicts, answers by SDK objects or dicts.

No SDK is needed, and none is imported.

Not here: one vendor's form (anthropic, openai).
"""

from __future__ import annotations

import inspect
from typing import Any

from runner.errors import UsageError
from runner.guest import wire
from runner.models import MIB, Json
from runner.printable import clean

# A script has at most 1 MiB, its inputs may have more; nothing is parsed beyond that.
MAX_ARGUMENTS = 32 * MIB


def part(block: Any, name: str, default: Any = None) -> Any:
    """Return a field of what an SDK gives, an object or a dict."""
    return block.get(name, default) if isinstance(block, dict) else getattr(block, name, default)


def text_part(block: Any, name: str) -> str:
    """Return a field that is a text. Raises UsageError."""
    found = part(block, name)
    if not isinstance(found, str):
        raise UsageError(f'what the model asked for has no "{name}" that is a text')
    return found


def parsed(arguments: Any) -> Any:
    """Return arguments that came as a text; None for what is no JSON, which a call refuses."""
    if not isinstance(arguments, str):
        return arguments
    if len(arguments) > MAX_ARGUMENTS:
        return None
    try:
        return wire.loads(arguments)
    except wire.WireError:
        return None


def told(envelope: dict[str, Json]) -> str:
    """Return an envelope as the text that a model reads."""
    return wire.compact(envelope)


def failed(envelope: dict[str, Json]) -> bool:
    """Say whether what was asked for did not come about."""
    return envelope.get("state") != "done" if "state" in envelope else not envelope.get("accepted")


async def answered(said: Any) -> Any:
    """Return what a client said, one that is async or one that is not."""
    return await said if inspect.isawaitable(said) else said


def whole_text(text: str | None, *, model: str, why: object, cut: tuple[str, ...]) -> str:
    """Return a model's text. Raises UsageError: it was cut off, or there is none."""
    if why in cut:
        message = f'the answer of model "{model}" was cut off ({clean(str(why), limit=40)})'
        raise UsageError(message, hint="raise max_tokens")
    if not text:
        raise UsageError(f'the answer of model "{model}" has no text ({clean(str(why), limit=40)})')
    return text
