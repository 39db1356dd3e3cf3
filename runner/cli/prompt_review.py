"""What a person at the terminal is asked before a script runs: run, show script, show report, or no.

Only the whole word "run" lets it run; what was typed before the question is thrown away. Nobody there, the end of the
input and anything else again and again mean no.

Not here: whether the answer counts (review.gate).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

from runner.models import Script, Verdict
from runner.policy.model import Policy
from runner.review.flags import Flags

QUESTION = "run it? [run / script / report / no] "
MOST_QUESTIONS = 20


def can_ask() -> bool:
    """Say whether a person sits at the terminal: what is read and what is shown are both one."""
    try:
        return os.isatty(0) and os.isatty(2)
    except OSError:
        return False


def answers(question: str = QUESTION) -> Iterator[str]:
    """Yield what the person at the terminal answers, a line at a time."""
    while True:
        with suppress(Exception):  # Not each thing that can be asked has a line discipline.
            import termios

            termios.tcflush(0, termios.TCIFLUSH)
        sys.stderr.write(question)
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            return
        yield line


def lets_run(
    script: Script, policy: Policy, verdict: Verdict, flags: Flags, *, say: Callable[[str], object],
    answered: Iterator[str],
) -> bool:  # fmt: skip
    """Show the short report and ask until there is an answer. True for "run" alone."""
    from runner.cli.short_report import long_report, script_lines, short_report

    for line in short_report(script, policy, verdict, flags):
        say(line)
    for _, answer in zip(range(MOST_QUESTIONS), answered, strict=False):
        word = answer.strip().lower().removeprefix("show ")
        if word == "run":
            return True
        if word in ("script", "report"):
            for line in script_lines(script) if word == "script" else long_report(script, policy, verdict):
                say(line)
        elif word in ("no", "n", ""):
            return False
        else:
            say('one of "run", "script", "report", "no"')
    return False
