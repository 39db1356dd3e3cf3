"""Every Protocol between rooms. Rooms on one floor meet only here; `engine` injects the implementations.

Each has a contract suite in `tests/contract/` that every implementation passes. What agents and
credentials need is in `seams.agents` and `seams.credentials`, and here as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from runner.events import Event, EventKind
from runner.guest.wire import Output, Settled, Then, Wait
from runner.models import Json, Limits, SandboxFacts, Spawn
from runner.seams.agents import Agent, Call, ModelUsage, Probe, Probes, Rates, StartRun, TellsSchemas
from runner.seams.credentials import (
    Credential,
    Door,
    DoorRequest,
    DoorResponse,
    Issued,
    Issuer,
    Minter,
    NotIssued,
    NotRevoked,
    Order,
    Subject,
)

__all__ = [
    "Agent", "Asked", "Call", "Channel", "Credential", "Door", "DoorRequest", "DoorResponse", "Elsewhere", "Exit",
    "Issued", "Issuer", "Journal", "Minter", "ModelUsage", "NotIssued", "NotRevoked", "Order", "Probe", "Probes",
    "Rates", "Reply", "Responder", "RunFilter", "RunJournal", "RunRow", "Sandbox", "StartRun", "Subject", "Taken",
    "TellsSchemas",
]  # fmt: skip

# --- sandbox ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Exit:
    """How a guest process ended. `reason`: "exit", "lock", "memory", "cpu", "killed"."""

    code: int | None
    """Exit code, or minus the signal; None when unknown."""
    reason: str
    diagnosis: str = ""
    """The last bytes of its stderr, bounded, control characters removed. For the journal, not for scripts."""


class Channel(Protocol):
    """The byte pipe to one guest, and the hand on its neck. One guest serves one run and dies.

    The guest has been started and will say, or has said, `ready`: that frame is still unread.
    """

    @property
    def facts(self) -> SandboxFacts: ...

    async def verify_lock(self) -> None:
        """Look from outside whether the guest holds its lock. Call after `ready`, before the script is sent.

        Raises LockNotVerified: the guest was killed.
        """
        ...

    def limit_cpu(self, seconds: float) -> None:
        """From now on the guest may use this much CPU time; then it is killed (`Exit.reason` "cpu")."""
        ...

    async def send(self, data: bytes) -> None:
        """Write all of it, waiting while the pipe is full. Raises GuestDied when the guest is gone."""
        ...

    async def receive(self) -> bytes:
        """Return the next bytes from the guest, at most 256 KiB; b"" when it closed its end."""
        ...

    def cpu_seconds(self) -> float:
        """CPU time that the guest has used since `limit_cpu`; 0.0 when unknown."""
        ...

    async def kill(self) -> None:
        """Kill the guest if it lives and reap it. Safe at any time, more than once."""
        ...

    async def wait(self) -> Exit:
        """Return how it ended, once it has."""
        ...


class Sandbox(Protocol):
    """A place where guests are started. One object serves many runs."""

    @property
    def kind(self) -> str: ...

    async def start(self, limits: Limits) -> Channel:
        """Start a guest under these limits. Raises SandboxUnavailable."""
        ...

    async def close(self) -> None:
        """Kill every guest that is left and free everything."""
        ...


# --- responder -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """The host's answer to a wait.

    Outcomes are (handle, "ok" or kind, JSON text) in order of delivery. They may be read from the journal one by one
    while the answer is sent: all outputs at once may be more than memory holds.
    """

    outcomes: Iterable[tuple[int, str, str]]
    ended: str
    now: float


class Responder(Protocol):
    """Answers the spawns and waits of a session. Live it is the broker, in a replay the journal.

    Calls come in the order in which the guest spoke, checked for turn and number by the session: a handle
    that one of them names was told before.
    """

    def spawned(self, spawn: Spawn) -> object: ...

    def derived(self, then: Then) -> object:
        """A handle was made that the guest will settle."""
        ...

    def settled(self, settled: Settled) -> object:
        """The guest settles a handle that it made. Raises GuestMisbehaved for one that it may not settle."""
        ...

    def cancelled(self, handle: int) -> object:
        """The guest cancels a handle. It counts as delivered: no answer tells it any more."""
        ...

    def printed(self, output: Output) -> object: ...

    @property
    def busy(self) -> bool:
        """Whether what was said last still has consequences to be worked out."""
        ...

    async def idle(self) -> None:
        """Return once it is not busy. The guest's next message is told only then."""
        ...

    async def wait(self, wait: Wait) -> Reply:
        """Return once the wait is over and its answer is durable. Raises StoreError."""
        ...

    async def finished(self) -> None:
        """The guest is done or gone: stop what is open, settle it as cancelled, leave nothing running."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A spawn that may be: permitted, its inputs complete and valid. Its agent has not been called."""

    spawn: int
    agent: str
    scopes: tuple[str, ...] | None
    """As asked; None: the agent's default."""
    accept: str
    """The schema of `accept` as canonical JSON; "" for none."""
    inputs: Json
    inputs_digest: str
    agents: tuple[str, ...]
    """Its chain: the agent and its fallbacks."""
    line: int = 0
    permitted: tuple[tuple[str, ...], ...] = ()
    """The scopes that each of the chain may have."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What settles a spawn instead of its agent."""

    origin: str
    """The run that it is of; "" for none."""
    origin_spawn: int
    key: str
    called: str
    """The agent that it is of."""
    kind: str
    """"ok" or an OutcomeKind."""
    value: str
    """As the value of a `spawn_settled`."""
    attempts: int
    seconds: float | None
    """After which it settles; None: never by itself."""


class Elsewhere(Protocol):
    """Where a spawn's outcome may be had without calling its agent: another run's record."""

    def take(self, asked: Asked) -> Taken | None:
        """Return what settles this spawn; None: its agent is to be called."""
        ...

    def refused(self, asked: Asked, message: str) -> Taken | None:
        """Return what settles this spawn, never an output: the one that `take` gave may not pass today, and why.

        None: its agent is to be called.
        """
        ...

    def used(self, asked: int, spawn: int, key: str) -> None:
        """Take note that spawn `asked` was settled with what is recorded of `spawn`, by a host before."""
        ...


# --- journal ---------------------------------------------------------------------------------


class RunJournal(Protocol):
    """The open end of one run's journal. Belongs to one event loop, which appends and is called back."""

    @property
    def run(self) -> str: ...

    def append(self, kind: EventKind, body: Mapping[str, Any], value: str | None = None) -> int:
        """Chain an event and hand it to the writer. Return its seq. It is not durable yet.

        `value` is the text of a JSON object. Events become durable in order, so waiting for the last
        one waits for all.
        """
        ...

    def when_durable(self, callback: Callable[[], object]) -> None:
        """Call back, from the event loop, once everything appended so far is durable.

        Callbacks come in order. Never called if the store fails: then `on_failure` of `open_run` is.
        """
        ...

    async def durable(self) -> None:
        """Return once everything appended so far is durable. Raises StoreError."""
        ...

    def value(self, seq: int) -> str | None:
        """Return the value of an event that was appended to this run, durable or not; None for one without."""
        ...

    async def close(self) -> None:
        """Make everything durable and give the lease back."""
        ...


@dataclass(frozen=True, slots=True)
class RunRow:
    """A line of the run table, derived from the journal; `alive` says that somebody holds the lease."""

    run: str
    script: str
    policy: str
    state: str
    """A RunState value; "interrupted" where it has not ended and nobody holds the lease."""
    submitted_at: float
    finished_at: float
    spawns: int
    alive: bool
    script_digest: str = ""
    policy_digest: str = ""
    origin: str = ""
    """The run whose outcomes it reuses; "" for none."""
    parent: str = ""
    """The run that it is nested in; "" for none."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are asked for. All that is said holds; "" and 0.0 say nothing."""

    state: str = ""
    script: str = ""
    """Its name, or how its digest begins (4 hex digits or more)."""
    policy: str = ""
    agent: str = ""
    """It was called, for whichever spawn."""
    outcome: str = ""
    """A spawn settled so."""
    origin: str = ""
    """How the id of the run begins whose outcomes it reuses."""
    parent: str = ""
    """How the id of the run begins that it is nested in."""
    since: float = 0.0
    """Submitted at this time (epoch seconds) or later."""
    until: float = 0.0


class Journal(Protocol):
    """The store: every run's chain, the register, blobs and leases."""

    def open_run(
        self,
        run: str,
        *,
        on_failure: Callable[[Exception], object],
        on_event: Callable[[Event], object] | None = None,
    ) -> RunJournal:
        """Begin a run and take its lease. `on_event` sees each event once it is durable, from the loop."""
        ...

    def read(self, run: str, *, after: int = 0) -> Iterator[Event]:
        """Yield the durable events with a seq above `after`, in order, without loading all at once."""
        ...

    def runs(self, matching: RunFilter | None = None, *, limit: int = 50) -> list[RunRow]:
        """Return the newest runs first, of those that match."""
        ...

    def find(self, prefix: str) -> str:
        """Return the one run whose id begins so. Raises RunNotFound."""
        ...

    def verify(self, run: str) -> None:
        """Check the run's chain and its heads in the register. Raises RecordBroken naming the first bad event."""
        ...

    def request_stop(self, run: str, by: str) -> bool:
        """Ask the host of a live run to stop it. False when the run is not alive."""
        ...

    def stops_requested(self) -> dict[str, str]:
        """Return run → by for stop requests of runs whose lease this process holds."""
        ...

    def alive(self, host: str) -> bool:
        """Say whether the process with this host id holds its lease still."""
        ...

    @property
    def host(self) -> str:
        """This process's host id: who holds the leases of its runs."""
        ...

    def close(self) -> None: ...
