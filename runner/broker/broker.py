"""Answer the spawns of a live run.

For each spawn: permit, check the inputs, have it attempted, settle. For each wait: say once, durably,
which spawns have settled.

Durable before the effect (DESIGN rule 13): a spawn is requested in the journal before it is attempted;
a cancel before the kill; an answer before it is sent.

The script's requests are untrusted; anything not granted is refused, and the refusal is an event.

Not here: slots, calls and deadlines (attempts), how an agent is reached (agents), what a frame looks
like (guest.wire), tokens (credentials).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial

from runner.broker.attempts import Attempts
from runner.broker.live import LiveSpawn, OpenWait, undelivered
from runner.broker.permit import Refusal, permit
from runner.broker.reached import Passed, Reached, storable
from runner.clock import Clock
from runner.events import EventKind
from runner.guest.wire import OK, Output, Wait, canonical
from runner.models import OutcomeKind, Spawn, digest_of
from runner.policy.model import AgentEntry, Policy
from runner.seams import Agent, Reply, RunJournal

_quote = json.JSONEncoder(ensure_ascii=False).encode


class Broker:
    """The responder of a live run. One object serves one run, from one event loop."""

    def __init__(
        self,
        policy: Policy,
        journal: RunJournal,
        *,
        clock: Clock,
        trace: str,
        agent_of: Callable[[AgentEntry], Agent],
        reach: Callable[[AgentEntry], Reached],
    ) -> None:
        """`agent_of` and `reach` give an agent and the border to it, the same ones each time; `trace` is the
        run's W3C trace id.
        """
        self._policy = policy
        self._journal = journal
        self._clock = clock
        self._reach = reach
        self.attempts = Attempts(policy, journal, self, clock=clock, trace=trace, agent_of=agent_of, reach=reach)
        self._lives: dict[int, LiveSpawn] = {}
        self._wait: OpenWait | None = None
        self._settled = 0
        self.counts: dict[str, int] = {}

    # --- what the guest says ---------------------------------------------------------------

    def spawned(self, spawn: Spawn) -> None:
        inputs = canonical(spawn.inputs)
        self._journal.append(
            EventKind.SPAWN_REQUESTED,
            {
                "spawn": spawn.n, "agent": spawn.agent, "scopes": spawn.scopes, "timeout": spawn.timeout,
                "line": spawn.line, "span": self.attempts.span(spawn.n, 0),
            },
            f'{{"inputs":{inputs},"label":{"null" if spawn.label is None else _quote(spawn.label)}}}',
        )  # fmt: skip
        live = self._lives[spawn.n] = LiveSpawn(spawn, digest_of(inputs))
        answer = permit(self._policy, spawn)
        if isinstance(answer, Refusal):
            self._refuse(live, answer)
            return
        live.chain = answer
        refusal = self.attempts.refuse_inputs(live)
        if refusal is not None:
            self._refuse(live, refusal)
        else:
            self.attempts.begin(live)

    def cancelled(self, spawn: int) -> None:
        live = self._lives[spawn]
        if not live.delivered and live.kind != OutcomeKind.CANCELLED:
            self._cancel([live], "script")

    def printed(self, output: Output) -> None:
        text = canonical({"fields": output.fields, "text": output.text})
        self._journal.append(EventKind.OUTPUT_WRITTEN, {"line": output.line, "bytes": len(output.text.encode())}, text)

    async def wait(self, wait: Wait) -> Reply:
        self._journal.append(
            EventKind.WAIT_OPENED,
            {
                "wait": wait.n, "handles": wait.handles, "need": wait.need, "fail_fast": wait.fail_fast,
                "until": wait.until, "rest": wait.rest, "line": wait.line,
            },
        )  # fmt: skip
        lives = [self._lives[n] for n in wait.handles]
        opened = OpenWait(wait, lives, asyncio.get_running_loop().create_future())
        self._wait = opened
        if wait.until is not None:
            due = self._clock.monotonic() + max(0.0, wait.until - self._clock.now())
            opened.timer = self._clock.call_at(due, partial(self._end_wait, opened, "timeout"))
        self._look_at_wait()
        return await opened.future

    async def finished(self) -> None:
        """Cancel what is open, and wait a moment for agents to stop."""
        if self._wait is not None:
            self._close_wait(self._wait)
        self._cancel([live for live in self._lives.values() if not live.settled], "end")
        await self.attempts.let_go()

    # --- settling --------------------------------------------------------------------------

    def _refuse(self, live: LiveSpawn, refusal: Refusal) -> None:
        self._journal.append(
            EventKind.SPAWN_DENIED,
            {"spawn": live.n, "agent": live.agent, "rule": refusal.rule},
            f'{{"message":{_quote(refusal.message)}}}',
        )
        self.failed(live, refusal.kind, refusal.message)

    def succeeded(self, live: LiveSpawn, passed: Passed) -> None:
        """Its agent returned what may pass."""
        self._settle(live, OK, passed.text, passed.value, passed.size)

    def failed(self, live: LiveSpawn, kind: OutcomeKind, message: str, *, detail: str = "") -> None:
        """It was refused or came to nothing. `message` is fit for a model, `detail` stays in the journal."""
        text = f'{{"attempts":{live.attempts},"message":{_quote(message)}}}'
        value = f'{{"message":{_quote(message)}}}'
        if detail:
            value = f'{{"detail":{_quote(storable(detail))},"message":{_quote(message)}}}'
        self._settle(live, str(kind), text, value, 0)

    def _settle(self, live: LiveSpawn, kind: str, text: str, value: str, size: int) -> None:
        seconds = self.attempts.over(live)
        self._journal.append(
            EventKind.SPAWN_SETTLED,
            {
                "spawn": live.n, "agent": live.called, "outcome": kind, "attempts": live.attempts,
                "seconds": round(seconds, 6), "bytes": size,
            },
            value,
        )  # fmt: skip
        self._settled += 1
        live.kind, live.text, live.order = kind, text, self._settled
        # Its inputs are in the journal; ten thousand of them need not stay in memory.
        live.spawn = live.inputs = None
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self._wait is not None:
            self._wait.settled(live)
            self._look_at_wait()

    def _cancel(self, lives: list[LiveSpawn], by: str, kind: OutcomeKind = OutcomeKind.CANCELLED) -> None:
        """Settle these as cancelled (or as `kind`); then, once that is durable, kill what runs."""
        for live in lives:
            self._journal.append(EventKind.SPAWN_CANCELLED, {"spawn": live.n, "by": by})
            if live.settled:  # Its output is in the journal and is charged; the script never sees it.
                live.kind, live.text = str(kind), f'{{"attempts":{live.attempts},"message":"cancelled"}}'
            else:
                self.failed(live, kind, _cancel_message(live, by, kind))
            self.attempts.stop(live)

    # --- the wait --------------------------------------------------------------------------

    def _look_at_wait(self) -> None:
        """End the wait in a moment if it is over: what settles in this turn of the loop goes with it."""
        opened = self._wait
        if opened is not None and (ended := opened.over):
            self._wait = None
            asyncio.get_running_loop().call_soon(self._end_wait, opened, ended)

    def _end_wait(self, opened: OpenWait, ended: str) -> None:
        if opened.future.done():
            return
        self._close_wait(opened)
        if opened.wait.rest == "stop":
            kind = OutcomeKind.TIMED_OUT if ended == "timeout" else OutcomeKind.CANCELLED
            self._cancel(opened.left(), "wait", kind)
        delivered = undelivered(opened.lives)
        outcomes = [(live.n, live.kind, live.text) for live in delivered]
        for live in delivered:
            live.delivered, live.text = True, ""
        now = self._clock.now()
        handles = [live.n for live in delivered]
        self._journal.append(
            EventKind.ANSWERED, {"wait": opened.wait.n, "handles": handles, "ended": ended, "now": now}
        )
        self._journal.when_durable(partial(_resolve, opened.future, Reply(outcomes, ended, now)))

    def _close_wait(self, opened: OpenWait) -> None:
        self._wait = None
        if opened.timer is not None:
            opened.timer.cancel()


def _resolve(future: asyncio.Future[Reply], reply: Reply) -> None:
    if not future.done():
        future.set_result(reply)


def _cancel_message(live: LiveSpawn, by: str, kind: OutcomeKind) -> str:
    if kind is OutcomeKind.TIMED_OUT:
        return f'agent "{live.agent}" had not answered when gather\'s timeout was over'
    return f'agent "{live.agent}" was cancelled by the {"end of the run" if by == "end" else by}'
