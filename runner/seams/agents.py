"""The seams of agents: one attempt as a backend gets it, and what a backend is.

Not here: what an attempt may use (seams.credentials), whether and when it is made (broker).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from runner.models import Json
from runner.seams.credentials import Credential


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What an attempt used of a model, as the backend tells it."""

    model: str = ""
    """As the answer names it; "" where none did."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    """None where nobody told one: it is reckoned from the policy's price."""

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(slots=True)
class Call:
    """One attempt, as a backend gets it. Not frozen only because it is made ten thousand times a second."""

    run: str
    spawn: int
    attempt: int
    agent: str
    inputs: Json
    """The spawn's inputs, validated. The backend may keep and change them: they are its own copy."""
    timeout: float
    """Seconds this attempt may take. The broker keeps it; a backend may pass it on."""
    output_bytes: int
    """The largest output, as JSON text, that will be accepted. A backend that reads bytes stops there."""
    idempotency_key: str
    """run, spawn and attempt number: equal exactly when this attempt is made again after a crash."""
    traceparent: str
    """W3C trace context of this attempt, ready to be sent as a header."""
    credential: Credential | None = None
    """What it may use; None where no scope of a resource was asked."""
    scopes: tuple[str, ...] = ()
    """What its spawn may use of it, as permitted: a run that is begun for it may use no other scope."""
    seconds_alone: float | None = None
    """Set by a backend that can tell: what the attempt took without standing in line behind others of the
    run, for a worker or a processor. It is what the attempt would count one after the other."""
    usage: ModelUsage | None = None
    """Added up by a backend that calls a model, also where the attempt then fails; None: it called none."""
    affords: Callable[[int, int], bool] | None = None
    """Says whether one more request to a model fits into what is reserved for this attempt: the bytes that it sends,
    and the tokens that its answer may have. A backend asks before each further turn. None: all do."""

    def used(
        self, *, model: str = "", input_tokens: int = 0, output_tokens: int = 0, cost_usd: float | None = None
    ) -> None:
        """Add what one answer of a model took. `model` is what the answer names; a cost only where one was told."""
        so_far = self.usage or ModelUsage()
        cost = so_far.cost_usd if cost_usd is None else (so_far.cost_usd or 0.0) + max(0.0, cost_usd)
        self.usage = ModelUsage(
            model or so_far.model, so_far.input_tokens + max(0, input_tokens),
            so_far.output_tokens + max(0, output_tokens), cost,
        )  # fmt: skip


class Agent(Protocol):
    """One agent of a policy, reached by its backend. One object serves many attempts at once."""

    async def run(self, call: Call) -> Json:
        """Call the agent and return its output as a JSON value, not yet validated.

        On cancellation it kills what it started and returns promptly. Raises AgentFault for what a
        script should hear; anything else becomes a `failed` outcome that names only the type.
        """
        ...

    def facts(self) -> dict[str, str]:
        """Return what the agent is, as names and texts, for the journal: equal facts are taken for the same agent.

        May be called from any thread, before the first attempt and after any; it may say more then. It may read files,
        calls nothing, and leaves out what cannot be read. No text holds what a policy keeps by reference.
        """
        ...

    async def close(self) -> None:
        """Kill what is left of it."""
        ...


@runtime_checkable
class TellsSchemas(Protocol):
    """An agent whose backend tells schemas of its own, such as a server that describes what it serves.

    `policy lock` writes them down. Its facts hold a digest of them, so that an agent with other ones is refused.
    """

    async def schemas(self) -> tuple[Json, Json]:
        """Ask the backend, and return what it takes and what it returns; None for what it does not tell."""
        ...


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found of one thing that an agent needs."""

    what: str
    """In a word or two: "function", "address", "credential env:CRM_KEY"."""
    ok: bool
    fact: str
    fix: str = ""
    """What would mend it. Of a probe that is `ok`: what could be better; it is shown as a warning."""


@runtime_checkable
class Probes(Protocol):
    """An agent whose backend can say whether a call could work, without doing work. For `runner doctor --policy`."""

    async def probe(self) -> list[Probe]:
        """Look at what a call would need. Raises nothing; starts nothing that is left; spends and changes nothing."""
        ...


class StartRun(Protocol):
    """Begins a run within a run, for a spawn of an agent that is a script."""

    async def __call__(self, call: Call) -> Json:
        """Run the script that the agent is, within the run that asks, and return its result.

        Cancelled, it stops the run that it began and returns when that has ended. Raises AgentFault, StoreError.
        """
        ...


class Rates(Protocol):
    """How often things may be called, each named by a key. All runs that share one object, or one home, share it."""

    def take(self, key: str, amount: float, most: float) -> float:
        """Take so much of what may be taken in a minute, and return 0.0; or take nothing and return for how many
        seconds there is no use in asking again. Infinite `most`: only a hold keeps from it. Raises StoreError.
        """
        ...

    def give(self, key: str, amount: float, taken_at: float) -> None:
        """Give back what was taken then (`monotonic` seconds) and not used; a negative amount was used beyond it.

        It is as if that had been taken then: what is out of the minute is of no account any more.
        """
        ...

    def hold(self, key: str, seconds: float) -> None:
        """Let nothing of it be taken for so long, at most an hour."""
        ...
