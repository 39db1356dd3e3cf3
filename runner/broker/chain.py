"""What follows an attempt that failed: another one of the same agent after a pause, then the next agent of the chain.

    outcome                                                  a further attempt            a fallback
    denied, invalid_input, dependency_failed,                never                        never
    cancelled, limit_reached
    outcome_unknown                                          where `on` names it and the policy lets the agent
    all others                                               where `on` names it          yes

`on` is the spawn's. An outcome is unknown when an attempt of an agent that is not idempotent timed out or was lost.
An attempt whose agent asked to slow down did nothing and counts as none: the next one takes its place.
The pauses double, without chance: under a held clock two runs are equal. In a pause no slot is held.

Not here: how an attempt is made (attempts), whether a chain may be (permit).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from runner.models import OutcomeKind

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from runner.broker.live import LiveSpawn

_FINAL = frozenset(
    {
        OutcomeKind.DENIED, OutcomeKind.INVALID_INPUT, OutcomeKind.DEPENDENCY_FAILED, OutcomeKind.CANCELLED,
        OutcomeKind.LIMIT_REACHED,
    }
)  # fmt: skip


class Failed(Exception):
    """How one attempt ended that did not end well. `message` is fit for a model, `detail` stays in the journal."""

    def __init__(self, kind: OutcomeKind, message: str, detail: str = "", *, sure: bool = True) -> None:
        """`sure`: what the attempt used of a model was told whole."""
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.detail = detail
        self.sure = sure
        self.slowed: float | None = None
        """Its agent did nothing, and asked to be called again after so many seconds: such an attempt does not count."""


Note = Callable[[Failed, str, float], None]
"""Told before another attempt: how the last one ended, "retry", "fallback" or "slowed", and the seconds until then."""


def may_follow(live: LiveSpawn, failed: Failed) -> bool:
    """Say whether a first attempt that ended so can be followed by any other."""
    if failed.slowed is not None:
        return True
    retries = live.rule is not None and live.rule.attempts > live.made
    return (retries and _is_retried(live, failed)) or _falls_back(live, failed)


async def pursue(
    live: LiveSpawn,
    made: Failed | None,
    again: Callable[[], Awaitable[None]],
    note: Note,
    pause: Callable[[float], Awaitable[None]],
) -> Failed | None:
    """Try the rest of the chain after a first attempt that ended as `made`. Return the last failure, None on success.

    `again` makes an attempt of the agent whose turn it is and raises Failed. `made` is None where the next attempt was
    due already when another host died.
    """
    waits = made if made is not None and made.slowed is not None else None

    async def unslowed() -> None:
        """Make an attempt, and another one in its place as often as the agent asks to be called later."""
        nonlocal waits
        while True:
            failed, waits = waits, None
            if failed is None:
                try:
                    return await again()
                except Failed as error:
                    failed = error
            if failed.slowed is None:
                raise failed
            note(failed, "slowed", failed.slowed)
            await pause(failed.slowed)

    first = None if waits is not None else made
    while True:
        try:
            await _retried(live, first, unslowed, note, pause)
        except Failed as failed:
            if not _falls_back(live, failed):
                return failed
            note(failed, "fallback", 0.0)
            live.turn += 1
            live.made = 0
            first = None
        else:
            return None


async def _retried(
    live: LiveSpawn,
    made: Failed | None,
    again: Callable[[], Awaitable[None]],
    note: Note,
    pause: Callable[[float], Awaitable[None]],
) -> None:
    """Make the attempts of one agent, of which the first may have been made already. Raises Failed: the last one's."""
    rule = live.rule
    if rule is None or rule.attempts <= live.made:
        if made is not None:
            raise made
        await again()
        return
    # 5 ms that only a run needs in which something failed.
    from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

    async def attempt() -> None:
        nonlocal made
        if made is not None:
            failed, made = made, None
            raise failed
        await again()

    def before_pause(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        assert isinstance(error, Failed)
        note(error, "retry", state.upcoming_sleep)

    await AsyncRetrying(
        stop=stop_after_attempt(1 + rule.attempts - live.made),
        wait=wait_exponential(rule.backoff * 2.0**live.made, rule.max_backoff),
        retry=retry_if_exception(lambda error: isinstance(error, Failed) and _is_retried(live, error)),
        before_sleep=before_pause,
        sleep=pause,
        reraise=True,
    )(attempt)


def _is_retried(live: LiveSpawn, failed: Failed) -> bool:
    return live.rule is not None and failed.kind in live.rule.on and _may_go_on(live, failed)


def _falls_back(live: LiveSpawn, failed: Failed) -> bool:
    return live.turn + 1 < len(live.chain) and failed.kind not in _FINAL and _may_go_on(live, failed)


def _may_go_on(live: LiveSpawn, failed: Failed) -> bool:
    """An outcome that is unknown lets nothing follow, unless the spawn asks for it and the policy lets the agent."""
    if failed.kind is not OutcomeKind.OUTCOME_UNKNOWN:
        return True
    asked = live.rule is not None and OutcomeKind.OUTCOME_UNKNOWN in live.rule.on
    return asked and live.permit.entry.unsafe_retry_unknown
