"""Every exception that crosses a room's border, and the exit code of each.

    RunnerError                      70  (never raised itself)
    ├── UsageError                    2  the call was wrong; nothing was started
    │   ├── PolicyError               2  a policy file is missing, broken or contradictory
    │   │   ├── LockStale             2  the policy was changed after it was locked
    │   │   └── NotAsLocked           2  an agent is not what the lock of its policy says
    │   ├── InputsError               2  the run's inputs are not exact JSON
    │   ├── LibraryMissing            2  an optional library is not installed, or at a version that was not tested
    │   └── ScriptUnreadable          2  the script could not be read as bytes
    ├── NotAccepted                   3  no script that a model wrote was accepted; nothing was started
    ├── NotDone                       1  a run that a caller relied on ended otherwise than as done
    ├── ReviewNeeded                  4  no decision lets it run, or one forbids it; nothing was started
    ├── SandboxError                  6  nothing of the script ran on after this
    │   ├── SandboxUnavailable        6  it could not be started; the hint says what mends it
    │   ├── LockNotVerified           6  a guest was there, but not locked: killed before it got a script
    │   ├── GuestMisbehaved           6  it broke the conversation (guest.wire)
    │   └── GuestDied                 6  it ended without a last word
    ├── StoreError                    8  the journal could not be written or read
    │   ├── RunNotFound               2  no run has that id, or several begin with it
    │   └── RecordBroken              8  a chain does not verify
    ├── AgentFault                    -  an attempt failed: becomes the outcome of a spawn, never an exit code
    └── Defect                       70  runner broke a rule of its own

A message says who asked what and what is allowed: values in quotes, lower case, no full stop. What
to do goes into `hint`. Neither ever holds a credential's bytes.

Not here: how a *run* ended. A script that raised, a limit, a stop are states of a `RunResult`
(`models.RunState`), not exceptions; `EXIT_CODES` maps both.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Self


class ExitCode(IntEnum):
    """What the process says when it ends. One table, in the docs word for word."""

    DONE = 0
    SCRIPT_RAISED = 1
    USAGE = 2
    REJECTED = 3
    REVIEW_NEEDED = 4
    LIMIT = 5
    SANDBOX = 6
    DIVERGED = 7
    STORE = 8
    EXPECTATION = 9
    DEFECT = 70
    STOPPED = 130


class RunnerError(Exception):
    """Base of all. `hint` is the fix, one line, or empty."""

    exit_code: ExitCode = ExitCode.DEFECT

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(RunnerError):
    """The call was wrong. Nothing was started and nothing was journalled."""

    exit_code = ExitCode.USAGE


class PolicyError(UsageError):
    """A policy cannot be used. `file` and `line` (1-based, 0 when unknown) point at the cause."""

    def __init__(self, message: str, *, file: str = "", line: int = 0, hint: str = "") -> None:
        place = f"{file}:{line}: " if line else f"{file}: " if file else ""
        super().__init__(f"{place}{message}", hint=hint)
        self.file = file
        self.line = line
        self._said = message

    def within(self, file: str) -> Self:
        """Return this error with the file that its line is of; itself where it names one, or has no line."""
        if self.file or not self.line:
            return self
        return type(self)(self._said, file=file, line=self.line, hint=self.hint)


class LockStale(PolicyError):
    """The lock beside a policy was made for another one. Whoever looks at the change locks it again."""


class NotAsLocked(PolicyError):
    """An agent is not what the lock of its policy says. It was not called."""


class InputsError(UsageError):
    """The run's inputs are not exact JSON, or could not be read."""


class LibraryMissing(UsageError, ImportError):
    """An optional library is not here, does not import, or is at an untested version. The hint names its extra."""


class ScriptUnreadable(UsageError):
    """The script file could not be read. What it says was not looked at."""


class NotAccepted(RunnerError):
    """The check refused every script that a model wrote in the tries it had. Nothing was started.

    `drafts` are these scripts with their verdicts, as `runner.integrations.Draft`.
    """

    exit_code = ExitCode.REJECTED

    def __init__(self, message: str, *, drafts: tuple[Any, ...], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.drafts = drafts


class NotDone(RunnerError):
    """A run ended otherwise than as done where a caller needs its value. `result` is its `RunResult`.

    What its agents did is done, and recorded: another run can reuse their good outcomes.
    """

    exit_code = ExitCode.SCRIPT_RAISED

    def __init__(self, message: str, *, result: Any, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.result = result


class ReviewNeeded(RunnerError):
    """No decision that holds lets this script run, or one refuses it. Nothing was started; it may run once approved.

    `may_ask`: whoever sits at the terminal may decide it there.
    """

    exit_code = ExitCode.REVIEW_NEEDED

    def __init__(self, message: str, *, hint: str = "", may_ask: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.may_ask = may_ask


class SandboxError(RunnerError):
    """The sandbox cannot be trusted or is gone. The guest, if there was one, is dead."""

    exit_code = ExitCode.SANDBOX


class SandboxUnavailable(SandboxError):
    """No guest could be started. Nothing of the script ran."""


class LockNotVerified(SandboxError):
    """The guest's lock could not be seen from outside. It was killed before it got the script."""


class GuestMisbehaved(SandboxError):
    """The guest sent what `guest.wire` forbids. It was killed; agents it had started are stopped."""


class GuestDied(SandboxError):
    """The guest ended without `Finished`. `reason` is one of "lock", "memory", "cpu", "killed", "exit"."""

    def __init__(self, message: str, *, reason: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class StoreError(RunnerError):
    """The store cannot be used. Everything that was reported durable before is still there."""

    exit_code = ExitCode.STORE


class RunNotFound(StoreError):
    """No run has this id, or more than one begins with it."""

    exit_code = ExitCode.USAGE


class RecordBroken(StoreError):
    """A chain does not verify: the record was altered, or the disk was."""


class AgentFault(RunnerError):
    """An attempt failed. Raised by backends, answered by the broker, seen by the script as an outcome.

    `kind` is one of `models.OutcomeKind`. `message` reaches the script: it holds no path, no
    traceback, no environment and no dropped value. `detail` stays in the journal. `lost` says that it
    broke off in the middle: the agent may have done what it was asked, and nobody can tell. `slow_down`
    says that it did nothing and wants to be called less often: seconds until it may be called again, 0.0
    where it did not say; None for every other fault.
    """

    def __init__(
        self, kind: str, message: str, *, detail: str = "", lost: bool = False, slow_down: float | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.detail = detail
        self.lost = lost
        self.slow_down = slow_down


class Defect(RunnerError):
    """runner broke a rule of its own. Worth a bug report; the run is stopped."""
