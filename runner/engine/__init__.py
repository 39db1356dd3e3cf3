"""One script from submission to archive. The only room that knows all the others, and joins them."""

from runner.engine.runner import Runner
from runner.engine.submission import parse_inputs, read_script

__all__ = ["Runner", "parse_inputs", "read_script"]
