"""Run an archived script against its journal: no agent, no issuer, and the first point that differs.

    record       what a run's journal says of its beginning and its end
    past         the journal as a conversation: what the guest said, what it was answered
    replayer     the responder that holds a guest to it
    divergence   the first point that differs, and how it is told
    keys         recorded outcomes by what was asked, for what-if and reuse

Not here: starting the guest, and what follows from a divergence (engine).
"""

from runner.replay.divergence import Diverged, Divergence
from runner.replay.past import Past
from runner.replay.record import Record, read_record
from runner.replay.replayer import Replayer

__all__ = ["Diverged", "Divergence", "Past", "Record", "Replayer", "read_record"]
