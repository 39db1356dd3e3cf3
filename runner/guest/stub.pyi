"""What a script can call. Everything is synchronous; assign the answer, a JSON value, to `result`.

    findings = gather([spawn("research", {"vendor": v}) for v in inputs["vendors"]])
    result = {"findings": findings}
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

Json = Any
"""None, bool, int, float, str, list and dict with str keys. A tuple is sent as a list."""

inputs: Any
"""The run's inputs: a JSON value, yours to change."""

def spawn(
    agent: str,
    inputs: Json = None,
    *,
    scopes: Iterable[str] | None = None,
    timeout: float | None = None,
    label: str | None = None,
) -> Handle:
    """Ask for one call of an agent and return at once. Spawns run in parallel.

    `inputs` are copied here: later changes have no effect. Left out, they are {}. What is no JSON raises InvalidInput at this line.
    `scopes`: the authority it needs; left out, the agent's default. `timeout`: seconds for the call, from when it starts.
    What the policy refuses is on the handle, as SpawnDenied. Beyond the run's limit of spawns it raises LimitReached.
    """

def gather(
    *things: Any,
    on_error: Literal["raise", "none", "return"] = "raise",
    return_exceptions: bool = False,
    timeout: float | None = None,
) -> Any:
    """Wait for handles and return their outputs in the shape that was given.

    Takes `gather([a, b])`, `gather(a, b)`, or lists, tuples and dicts with handles at the leaves, to any depth.
    `on_error="raise"`: the first failure is raised and the other unfinished ones are cancelled.
    `on_error="none"`: a failure becomes None. `on_error="return"` (or `return_exceptions=True`): it becomes its exception.
    `timeout`: seconds; what is unfinished then is stopped, its outcome is SpawnTimedOut.
    """

def as_completed(handles: Iterable[Handle]) -> Iterator[Handle]:
    """Yield each handle when its outcome is there, failures included. Handles appended meanwhile are seen."""

def sleep(seconds: float) -> None:
    """Wait. `time.time()` is then that much later."""

def log(message: object, /, **fields: Json) -> None:
    """Write to the run's log, as `print` does, with fields."""

class Handle:
    """A spawn's outcome to come. `h.result()`, `h.ok` and `h.error` wait for it; ask as often as you like."""

    agent: str
    label: str | None
    @property
    def ok(self) -> bool:
        """True when it succeeded."""

    @property
    def error(self) -> SpawnError | None:
        """The exception that `result()` raises, or None."""

    def result(self) -> Json:
        """Return the agent's output, or raise the SpawnError of its failure."""

    def cancel(self) -> None:
        """Stop it. Its outcome is Cancelled, unless it was there before."""

class _Limits:
    spawns_left: int
    """How many spawns may still be asked for."""
    seconds_left: float
    """Wall time left of the run, as of the last wait."""

limits: _Limits

class SpawnError(Exception):
    """A spawn did not end well. `str(error)` says why."""

    kind: str | None
    """"denied", "invalid_input", "failed", "timed_out", "invalid_output", "unauthorised", "dependency_failed",
    "cancelled", "outcome_unknown" or "limit_reached"."""
    agent: str | None
    label: str | None
    attempts: int
    """How often the agent was called."""
    cause: SpawnError | None
    message: str

class SpawnDenied(SpawnError):
    """The policy does not allow it."""

class SpawnFailed(SpawnError):
    """The agent failed."""

class SpawnTimedOut(SpawnError):
    """It took longer than its timeout."""

class InvalidInput(SpawnError):
    """The inputs are no JSON, or not what the agent takes."""

class InvalidOutput(SpawnError):
    """The agent's output is not what it promised."""

class Unauthorised(SpawnError):
    """No credential could be had."""

class DependencyFailed(SpawnError):
    """Something that it needed failed; `cause` is that failure."""

class Cancelled(SpawnError):
    """It was cancelled."""

class OutcomeUnknown(SpawnError):
    """It may or may not have happened: look before you try again."""

class LimitReached(SpawnError):
    """A limit of the run was reached."""

class TooFewResults(SpawnError):
    """Fewer succeeded than were asked for."""
