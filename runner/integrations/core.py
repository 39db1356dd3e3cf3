"""What all callers share: a script's text is run or reviewed through one `Runner`, and one bounded envelope comes back.

What a model asks for is untrusted: an unknown parameter, inputs that are no JSON, a script that is refused are answers
for it, not exceptions. Cancelling a call stops its run.

Not here: the words of one library's messages (its own module), what an envelope is (envelope).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from runner.engine import Runner
from runner.engine.submission import MAX_READ_BYTES, Handed
from runner.errors import Defect, NotDone, RunnerError, UsageError
from runner.guest.dialect import extract_fence
from runner.integrations import envelope
from runner.models import MIB, Json, RunResult, RunState, Script
from runner.policy import load_policy
from runner.policy.model import Policy
from runner.printable import clean

RUN, REVIEW = "run_script", "review_script"
NAMES = (RUN, REVIEW)
"""What a model may call, in every library."""

# OpenAI and servers like it refuse a longer description of a function; that of a parameter may have any length.
MAX_DESCRIPTION = 1024
# What a model is handed of a result; the whole stands in the record. About 16,000 tokens.
MOST_BYTES = 64 * 1024


class Caller:
    """Runs scripts of one caller under one policy."""

    def __init__(
        self,
        policy: Policy | str | Path,
        *,
        runner: Runner | None = None,
        name: str = "script",
        submitter: str = "",
        sandbox: str = "auto",
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """`runner` is one that was entered in the event loop of the calls; without it each call opens its own.

        `name` is the scripts' name in the record. `submitter` says who asks (`Handed`). `sandbox` is that of a Runner
        which a call opens. `most_bytes` of a result are handed to a model.

        Raises PolicyError.
        """
        self.policy = policy if isinstance(policy, Policy) else load_policy(policy)
        self.shared = runner is not None
        self._runner = runner
        self._name = name
        self._submitter = submitter
        self._sandbox = sandbox
        self._most_bytes = most_bytes

    async def run(self, script: Script, inputs: Json = None, *, path: str = "") -> RunResult:
        """Return how the run ended. Raises what `Runner.run` raises."""
        handed = Handed(door="library", submitter=self._submitter, path=path)
        async with self._opened() as runner:
            return await runner.run(script, policy=self.policy, inputs=inputs, handed=handed)

    def told(self, ran: RunResult) -> dict[str, Json]:
        """Return the envelope of a run, bounded."""
        return envelope.of_result(ran, agents=self.policy.agents, most_bytes=self._most_bytes)

    async def call(self, name: str, arguments: Json) -> dict[str, Json]:
        """Do what a model asked for, `run_script` or `review_script`; return the envelope.

        Every `RunnerError` but a Defect becomes an envelope whose `state` is null: there is no end of a run to tell of.

        Raises UsageError: `name` is neither of them.
        """
        if name not in NAMES:
            raise UsageError(f'"{clean(name, limit=80)}" is none of {", ".join(NAMES)}')
        try:
            script, inputs = self._asked(name, arguments)
            if name == RUN:
                return self.told(await self.run(script, inputs))
            return await self._reviewed(script, inputs)
        except Defect:
            raise
        except RunnerError as error:
            return envelope.of_error(error)

    async def _reviewed(self, script: Script, inputs: Json) -> dict[str, Json]:
        # Without failures: these take a guest each, and a model waits for the answer.
        async with self._opened() as runner:
            report = await runner.review(script, policy=self.policy, inputs=inputs, faults=0)
        return envelope.of_report(report, agents=self.policy.agents)

    def script_of(self, source: str) -> Script:
        """Return a model's text as a script, out of its Markdown fence where it has one. Raises UsageError."""
        return script_of(source, self._name)

    def _asked(self, name: str, arguments: Json) -> tuple[Script, Json]:
        allowed = '"source", a text, and "inputs", an object'
        if not isinstance(arguments, dict):
            raise UsageError(f"{name} takes {allowed}")
        if unknown := sorted(set(arguments) - {"source", "inputs"}):
            raise UsageError(f'{name} has no parameter "{clean(unknown[0], limit=80)}"; it takes {allowed}')
        source, inputs = arguments.get("source"), arguments.get("inputs")
        if not isinstance(source, str) or not isinstance(inputs, (dict, type(None))):
            raise UsageError(f"{name} takes {allowed}")
        return self.script_of(source), inputs

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Runner]:
        if self._runner is not None:
            yield self._runner
            return
        async with Runner(sandbox=self._sandbox) as runner:
            yield runner

    # --- what a model is told of it ----------------------------------------------------------

    def described(self, name: str) -> str:
        """Return what it is for, short enough for every vendor."""
        if name == REVIEW:
            return (
                f"Check and rehearse a script for {RUN} without calling any agent. Says whether it is accepted, what "
                "to correct, whom it can ask at most, and what can go wrong."
            )
        return (
            "Run one Python script in a sandbox and return its result. It asks agents by spawn() and gather(), in "
            "parallel: prefer it to calling one after the other. The parameter `source` says how to write it. The "
            "answer has `state`, `result`, `error`, `findings` with their fixes, and in `advice` what to do next."
        )

    def parameters(self, name: str) -> dict[str, Any]:
        """Return the JSON Schema of its parameters. How to write a script stands at `source`."""
        how = f"The whole script, as for {RUN}."
        if name == RUN:
            how = f"The whole script, as a text. How to write it:\n\n{self.prompt()}"
        return {
            "type": "object",
            "properties": {
                "source": {"type": "string", "description": how},
                "inputs": {"type": "object", "description": "What the script sees as `inputs`; {} where left out."},
            },
            "required": ["source"],
            "additionalProperties": False,
        }

    def prompt(self) -> str:
        return Runner().prompt(self.policy)


def script_of(text: str, name: str) -> Script:
    """Return a model's text as a script, out of its Markdown fence where it has one. Raises UsageError."""
    if len(text) > MAX_READ_BYTES:
        raise UsageError(f"a script of {len(text):,} characters; at most {MAX_READ_BYTES // MIB} MiB are read")
    inner = extract_fence(text)
    # A lone surrogate is no text: the check says so of the bytes.
    return Script(name, (text if inner is None else inner).encode("utf-8", "surrogatepass"))


def result_of(ran: RunResult) -> Json:
    """Return the value of a run that is done. Raises NotDone."""
    if ran.state is RunState.DONE:
        return ran.result
    why = f": {clean(ran.error.message, limit=500)}" if ran.error is not None else ""
    raise NotDone(
        f'run {ran.run} of "{ran.script}" is {ran.state}, not done{why}', result=ran, hint=f"runner show {ran.run}"
    )
