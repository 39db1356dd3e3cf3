"""Every kind of event, what its body says, and what a journal means: the run-state table and the folds.

    kinds        the one enum, and what each event's body and value hold
    views        what a journal says of one spawn, then and wait; which state may follow which
    tokens       what became of each token and each request through the gateway
    folds        events → RunView, the only truth about a run's state
    comparable   a journal reduced to what a script can observe and cause
    differences  where two JSON values differ, path by path

No I/O here.
"""

from runner.events.comparable import comparable
from runner.events.folds import RunView, fold
from runner.events.kinds import Event, EventKind
from runner.events.tokens import TOKEN_KINDS, TokensView, TokenView, UseView
from runner.events.views import STATE_TABLE, SpawnView, ThenView, WaitsView, WaitView

__all__ = [
    "STATE_TABLE", "TOKEN_KINDS", "Event", "EventKind", "RunView", "SpawnView", "ThenView", "TokenView", "TokensView",
    "UseView", "WaitView", "WaitsView", "comparable", "fold",
]  # fmt: skip
