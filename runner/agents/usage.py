"""What a worker tells of the models that a call used: bytes that an agent's code may have written.

Not here: what is done with it (broker), how a worker tells it (worker, facts).
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.agents import faults
from runner.guest.wire import WireError, loads
from runner.models import Json
from runner.seams import Call

# More than any attempt can use; what is beyond was made up.
_MOST_TOKENS = 10**12
_MOST_USD = 1e6


def take_usage(call: Call, told: bytes, guarded: Sequence[str] = ()) -> None:
    """Add what a worker told of its call's usage. The agent's code may have written it: what is none is left out."""
    if not told:
        return
    try:
        found = loads(told.decode())
    except (UnicodeDecodeError, WireError):
        return
    if not isinstance(found, dict):
        return
    model, cost = found.get("model"), found.get("cost_usd")
    call.used(
        model=faults.redacted(model, guarded)[:200] if isinstance(model, str) else "",
        input_tokens=_count(found.get("input_tokens")),
        output_tokens=_count(found.get("output_tokens")),
        cost_usd=cost if isinstance(cost, float) and 0 <= cost <= _MOST_USD else None,
    )


def _count(told: Json) -> int:
    return told if type(told) is int and 0 <= told <= _MOST_TOKENS else 0
