"""The loop *write script, check, findings back, run* as one function, for any chat client.

The client is a function: it gets the conversation and returns the model's next answer. What it answers is untrusted:
it is checked and run like any other script, under the policy, after a person's decision where one is asked for.

Not here: the prompt's words (check.prompt), how findings are worded (check.render), clients (anthropic, openai).
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from runner.check.render import for_model
from runner.engine import Runner
from runner.engine.submission import Handed, Reuse, exact
from runner.errors import NotAccepted, ReviewNeeded, UsageError
from runner.guest.dialect import extract_fence
from runner.integrations.core import result_of, script_of
from runner.integrations.envelope import MENDABLE, failure_for_model
from runner.models import Json, RunResult, Script, Verdict
from runner.policy import load_policy
from runner.policy.model import Policy
from runner.printable import clean, clean_block

Message = dict[str, str]
"""`role` ("system", "user" or "assistant") and `content`, a text."""
Ask = Callable[[list[Message]], str | Awaitable[str]]
"""A chat client: the conversation so far, the model's answer. It may be async; one that is not runs in a thread."""

DEFAULT_TRIES = 4
# How much of the inputs' form a model is told: it writes for their keys, and does not need their values.
MAX_KEYS = 30
MAX_LEVELS = 4


@dataclass(frozen=True, slots=True)
class Draft:
    """One script that the model wrote, what the check said, and how it ended where it was run."""

    script: Script
    verdict: Verdict
    result: RunResult | None = None


@dataclass(frozen=True, slots=True)
class Orchestrated:
    """What came of a task."""

    drafts: tuple[Draft, ...]
    """All that the model wrote, in order."""
    script: Script
    """The last one that was accepted."""
    result: RunResult | None
    """How it ended; None where a person must decide first."""
    needed: ReviewNeeded | None = None
    """Why it waits; its hint is the command that approves it."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return tuple(draft.verdict for draft in self.drafts)

    @property
    def value(self) -> Json:
        """The script's result. Raises ReviewNeeded, or NotDone where the run ended otherwise."""
        if self.needed is not None:
            raise self.needed
        assert self.result is not None
        return result_of(self.result)


async def orchestrate(
    ask: Ask,
    task: str,
    *,
    policy: Policy | str | Path,
    inputs: Json = None,
    runner: Runner | None = None,
    tries: int = DEFAULT_TRIES,
    mends: int = 0,
    reuse: bool = False,
    name: str = "script",
    submitter: str = "",
) -> Orchestrated:
    """Let a model write a script for a task until the check accepts one; run it.

    `tries` are the answers that the model has to get a script accepted. After a run that failed or reached a limit it
    is told why, up to `mends` times, and has as many tries again; `reuse` lets the new script take the good outcomes
    of the failed run where it asks for the same, so that they are not paid for twice. Of `inputs` the model is told
    keys and types, not values. `runner` is one that was entered; without it one is opened for the call.

    Raises:
        NotAccepted: No script was accepted. Nothing was started.
        UsageError: The policy, the inputs or the arguments cannot be used, or an answer is no text.
        RunnerError: What else `Runner.run` raises. An exception of `ask` comes through as it is.
    """
    if tries < 1 or mends < 0:
        raise UsageError("tries are at least 1, mends at least 0")
    chosen = policy if isinstance(policy, Policy) else load_policy(policy)
    values = exact({} if inputs is None else inputs)
    async with nullcontext(runner) if runner is not None else Runner() as opened:
        conversation = _Conversation(ask, opened, chosen, task, values, tries=tries, name=name)
        return await _Orchestration(conversation, opened, submitter=submitter, reuse=reuse).carried_out(mends)


class _Conversation:
    """With the model, until it has written what the check accepts."""

    def __init__(
        self, ask: Ask, runner: Runner, policy: Policy, task: str, inputs: Json, *, tries: int, name: str
    ) -> None:
        self.policy, self.inputs, self.drafts = policy, inputs, list[Draft]()
        self._ask, self._runner, self._tries, self._name = ask, runner, tries, name
        self._messages: list[Message] = [
            {"role": "system", "content": runner.prompt(policy)},
            {"role": "user", "content": f"{task}\n\nThe form of `inputs`: {form(inputs)}"},
        ]

    async def accepted(self) -> Draft | None:
        """Return the next draft that the check accepts; None where no try is left."""
        for _ in range(self._tries):
            answer = await _answer(self._ask, [dict(message) for message in self._messages])
            self._messages.append({"role": "assistant", "content": answer})
            draft = self._drafted(answer)
            self.drafts.append(draft)
            if draft.verdict.accepted:
                return draft
            self.tell(_fence_advice(answer) + clean_block(for_model(draft.verdict, self.policy.agents)))
        return None

    def _drafted(self, answer: str) -> Draft:
        script = script_of(answer, self._name)
        return Draft(script, self._runner.check(script, policy=self.policy))

    def tell(self, said: str) -> None:
        self._messages.append({"role": "user", "content": said})

    def ended(self, result: RunResult) -> None:
        """Note how the last draft ended."""
        self.drafts[-1] = replace(self.drafts[-1], result=result)


class _Orchestration:
    """One task: drafts until one is accepted, its run, and the same again after a failure."""

    def __init__(self, conversation: _Conversation, runner: Runner, *, submitter: str, reuse: bool) -> None:
        self._conversation, self._runner, self._reuse = conversation, runner, reuse
        self._handed = Handed(door="library", submitter=submitter)

    async def carried_out(self, mends: int) -> Orchestrated:
        found = await self._once()
        if found is None:
            raise self._not_accepted()
        for _ in range(mends):
            failed = found.result
            if failed is None or failed.error is None or failed.state not in MENDABLE:
                return found
            self._conversation.tell(failure_for_model(failed, failed.error))
            mended = await self._once(Reuse(failed.run) if self._reuse else None)
            if mended is None:
                # The run that failed is told: what it did is worth more than that nothing better was written.
                return replace(found, drafts=tuple(self._conversation.drafts))
            found = mended
        return found

    async def _once(self, reuse: Reuse | None = None) -> Orchestrated | None:
        """Return how the next accepted draft ended; None where there is none."""
        talk = self._conversation
        draft = await talk.accepted()
        if draft is None:
            return None
        try:
            result = await self._runner.run(
                draft.script, policy=talk.policy, inputs=talk.inputs, reuse=reuse, handed=self._handed
            )
        except ReviewNeeded as needed:
            return Orchestrated(tuple(talk.drafts), draft.script, None, needed)
        talk.ended(result)
        return Orchestrated(tuple(talk.drafts), draft.script, result)

    def _not_accepted(self) -> NotAccepted:
        drafts = tuple(self._conversation.drafts)
        last = drafts[-1].verdict.findings[0]
        return NotAccepted(
            f"no script was accepted in {len(drafts)} tries; of the last one, line {last.line}: "
            f"{clean(last.message, limit=300)}",
            drafts=drafts,
            hint="its `drafts` have every script with its findings",
        )


async def _answer(ask: Ask, messages: list[Message]) -> str:
    if inspect.iscoroutinefunction(ask) or inspect.iscoroutinefunction(getattr(ask, "__call__", None)):  # noqa: B004
        said = ask(messages)
    else:
        said = await asyncio.to_thread(ask, messages)
    answer = await said if inspect.isawaitable(said) else said
    if not isinstance(answer, str):
        raise UsageError(f'the chat function returned "{type(answer).__name__}"; it returns the text of the answer')
    return answer


def _fence_advice(answer: str) -> str:
    """Return what to say of an answer out of whose fences no script could be taken."""
    if "```" not in answer or extract_fence(answer) is not None:
        return ""
    return "The answer has not exactly one Markdown code fence: answer with the whole script in one, or without any.\n"


def form(value: Json, levels: int = MAX_LEVELS) -> str:
    """Return keys and types of a value, without the values themselves."""
    if isinstance(value, dict):
        if levels == 0:
            return "{...}"
        told = [
            f"{clean(repr(key), limit=60)}: {form(part, levels - 1)}" for key, part in list(value.items())[:MAX_KEYS]
        ]
        return f"{{{', '.join([*told, *(['...'] if len(value) > MAX_KEYS else [])])}}}"
    if isinstance(value, list):
        parts = dict.fromkeys(form(part, levels - 1) if levels else "..." for part in value[:MAX_KEYS])
        return f"[{' | '.join(parts)}] of {len(value)}"
    return {type(None): "None", bool: "bool", int: "int", float: "float"}.get(type(value), "str")
