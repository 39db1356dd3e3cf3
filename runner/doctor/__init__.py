"""What this machine can run, and whether what a policy names could be used.

    machine    the interpreter, the kernel, the engine, each sandbox proved by a guest in it
    policy     each agent, issuer and resource of a policy, without doing work

Not here: printing (cli.machine).
"""

from __future__ import annotations

from runner.doctor.diagnosis import Diagnosis, Level
from runner.doctor.machine import can_run, examine

__all__ = ["Diagnosis", "Level", "can_run", "examine"]
