"""What a script can call. Everything is synchronous; assign the answer, a JSON value, to `result`.

    findings = gather([spawn("research", {"vendor": v}) for v in inputs["vendors"]])
    result = {"findings": findings}
"""

from collections.abc import Callable, Iterable, Iterator
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
    retry: int | Retry = 0,
    fallback: str | Fallback | Iterable[str | Fallback] | None = None,
    accept: Json = None,
    label: str | None = None,
) -> Handle:
    """Ask for one call of an agent and return at once; spawns run in parallel.

    `inputs` are copied here: later changes have no effect. Left out, they are {}. What is no JSON raises InvalidInput
    at this line. A handle may stand anywhere in them, whole, as a part (`h["hits"][0]`) or in a text (`f"Sum up {h}"`):
    the spawn starts when the outputs are there, and the script does not wait.
    `scopes`: a list, the authority it needs; left out, the agent's default. `timeout`: seconds per attempt. It counts
    from when the attempt starts. `retry=2`: up to two more attempts after a failure, timeout or InvalidOutput.
    `fallback`: an agent, or several in order, to try then: with the same inputs, so it must take all their keys.
    `accept`: a JSON Schema for the output, else it is InvalidOutput.
    What the policy refuses is on the handle, as SpawnDenied. Beyond the run's limit of spawns it raises LimitReached.
    """

def gather(
    *things: Any,
    on_error: Literal["raise", "none", "return"] = "raise",
    return_exceptions: bool = False,
    min_ok: int | float | None = None,
    enough: int | float | None = None,
    timeout: float | None = None,
) -> Any:
    """Wait for handles, return their outputs in the shape that was given.

    Takes `gather([a, b])`, `gather(a, b)`, or lists, tuples and dicts with handles at the leaves, to any depth.
    `gather(h)` returns one output; `gather(handles)` and `gather(*handles)` a list, also of one handle.
    `on_error="raise"`: raise the first failure and cancel what is unfinished. `"none"`: a failure becomes None.
    `"return"`: it becomes its exception. `return_exceptions=True` is the same.
    `min_ok=3` (or 0.8 of them, rounded up): wait for all, failures become None. `enough=3`: return once that many
    succeeded and cancel the rest (None). Both raise TooFewResults if fewer succeed.
    `timeout`: seconds; what is unfinished then fails with SpawnTimedOut.
    """

def as_completed(handles: Iterable[Handle]) -> Iterator[Handle]:
    """Yield each handle when its outcome is there, failures too. Handles added meanwhile are seen."""

def first_ok(handles: Iterable[Handle]) -> Any:
    """Return the output of the first that succeeds and cancel the others. All failed: TooFewResults."""

def sleep(seconds: float) -> None:
    """Wait. `time.time()` is then that much later."""

def log(message: object, /, **fields: Json) -> None:
    """Write to the run's log, as `print` does, with fields."""

class Handle:
    """A spawn's outcome to come. `h.result()`, `h.ok` and `h.error` (SpawnError or None) wait for it.

    Pass it on without waiting: at any depth of another spawn's inputs, as a part (`h["hits"][0]["url"]`, slices too),
    in a text (`f"{h}"` without format spec, `+`, `.format`, `", ".join(h["name"] for h in hs)`). Parts and texts are
    handles too: gather them as well. What needs a failed one is not called: DependencyFailed.
    It can be a dict key; two handles are equal when they are the same one.
    """

    agent: str
    label: str | None
    @property
    def ok(self) -> bool:
        """True when it succeeded."""

    @property
    def error(self) -> SpawnError | None:
        """The SpawnError that `result()` raises, or None."""

    def result(self) -> Json:
        """Return the agent's output, or raise the SpawnError of its failure."""

    def then(self, fn: Callable[[Any], Any]) -> Handle:
        """Return a handle of `fn(output)`.

        It is called while the script waits, and only on success. `fn` may spawn and return a handle, or JSON with
        handles in it, not wait. If it raises, its handle fails.
        """

    def cancel(self) -> None:
        """Stop it. Its outcome is Cancelled, unless it was there before."""

    def __getitem__(self, key: str | int | slice) -> Handle:
        """Return a handle of a part of the output. Where the output has no such part, it fails with DependencyFailed."""

class Retry:
    """How to try again: `retry=Retry(attempts=3, backoff=2)`."""

    attempts: int
    """How many further attempts, as in `retry=3`."""
    backoff: float
    """Seconds before the second attempt; doubled before each one after."""
    max_backoff: float
    on: tuple[str, ...]
    """The kinds of failure that are tried again."""
    def __init__(
        self,
        attempts: int = 1,
        backoff: float = 1.0,
        max_backoff: float = 30.0,
        on: Iterable[str] = ("timed_out", "failed", "invalid_output"),
    ) -> None: ...

class Fallback:
    """Another agent to try, with scopes of its own: `fallback=Fallback("archive", scopes=["docs:read"])`."""

    agent: str
    scopes: tuple[str, ...] | None
    def __init__(self, agent: str, *, scopes: Iterable[str] | None = None) -> None: ...

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
    """How often an agent was called, fallbacks included."""
    cause: SpawnError | None
    """Of a DependencyFailed: the failure that came first."""
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
    """The agent's output is not what it promised, or not what `accept` asks."""

class Unauthorised(SpawnError):
    """No credential could be had."""

class DependencyFailed(SpawnError):
    """Something that it needed failed, or had no such part; `cause` is that failure."""

class Cancelled(SpawnError):
    """It was cancelled."""

class OutcomeUnknown(SpawnError):
    """It may or may not have happened: look before you try again."""

class LimitReached(SpawnError):
    """A limit of the run was reached."""

class TooFewResults(SpawnError):
    """Fewer succeeded than were asked for."""

    attempts: None  # type: ignore[assignment]
    results: Any
    """What gather would have returned: outputs, and None for each failure."""
