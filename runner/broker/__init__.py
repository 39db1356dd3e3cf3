"""Answer the spawns and waits of a live run, or of a rehearsal: the same code for both."""

from runner.broker.broker import Broker

__all__ = ["Broker"]
