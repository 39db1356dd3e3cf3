"""The exceptions that a script can catch. Global names in a script; `kind` is the outcome's.

    SpawnError
    ├── SpawnDenied        denied             the policy does not allow it
    ├── SpawnFailed        failed             the agent failed
    ├── SpawnTimedOut      timed_out          it took longer than its timeout
    ├── InvalidInput       invalid_input      its inputs are no JSON, or not what the agent takes
    ├── InvalidOutput      invalid_output     the agent's output is not what it promised
    ├── Unauthorised       unauthorised       no credential could be had for it
    ├── DependencyFailed   dependency_failed  a handle among its inputs failed; `cause` is that failure
    ├── Cancelled          cancelled          it was cancelled, by the script or by a gather that gave up
    ├── OutcomeUnknown     outcome_unknown    it may or may not have happened
    ├── LimitReached       limit_reached      a limit of the run
    └── TooFewResults      (None)             fewer succeeded than were asked for

They hold plain values only: nothing that leads to the pipe or to a path.
"""

from __future__ import annotations

from typing import Final


class SpawnError(Exception):
    """A spawn did not end well. `str()` of it is the message, fit to be shown to a model."""

    kind: str | None = "failed"

    def __init__(
        self,
        message: str = "",
        *,
        agent: str | None = None,
        label: str | None = None,
        attempts: int = 0,
        cause: SpawnError | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.agent = agent
        self.label = label
        self.attempts = attempts
        self.cause = cause


class SpawnDenied(SpawnError):
    kind = "denied"


class SpawnFailed(SpawnError):
    kind = "failed"


class SpawnTimedOut(SpawnError):
    kind = "timed_out"


class InvalidInput(SpawnError):
    kind = "invalid_input"


class InvalidOutput(SpawnError):
    kind = "invalid_output"


class Unauthorised(SpawnError):
    kind = "unauthorised"


class DependencyFailed(SpawnError):
    kind = "dependency_failed"


class Cancelled(SpawnError):
    kind = "cancelled"


class OutcomeUnknown(SpawnError):
    kind = "outcome_unknown"


class LimitReached(SpawnError):
    kind = "limit_reached"


class TooFewResults(SpawnError):
    kind = None

    def __init__(self, message: str = "", *, results: object = None, cause: SpawnError | None = None) -> None:
        super().__init__(message, cause=cause)
        self.attempts = None  # type: ignore[assignment]
        self.results = results


ERRORS: Final = (
    SpawnError, SpawnDenied, SpawnFailed, SpawnTimedOut, InvalidInput, InvalidOutput, Unauthorised, DependencyFailed,
    Cancelled, OutcomeUnknown, LimitReached, TooFewResults,
)  # fmt: skip

_BY_KIND: Final[dict[str, type[SpawnError]]] = {
    error.kind: error for error in ERRORS if error.kind is not None and error is not SpawnError
}


# More of a label would hide the message.
_LABEL_CHARS = 60


def outcome_error(
    kind: str,
    message: str,
    *,
    agent: str | None,
    label: str | None,
    attempts: int,
    cause: SpawnError | None = None,
) -> SpawnError:
    """Return the exception for an outcome of this kind. The label of the spawn stands in its message."""
    if label:
        shown = label if len(label) <= _LABEL_CHARS else label[: _LABEL_CHARS - 3] + "..."
        message = f'{message} (label "{shown}")'
    found = _BY_KIND.get(kind, SpawnFailed)
    return found(message, agent=agent, label=label, attempts=attempts, cause=cause)
