"""Mock agents that are functions of a program: of agent and inputs, or one for each agent.

What a function returns is the output, what it raises the failure; `PASS` leaves the answer to the next source, and a
`Mocked` says it all. It is called at once, however long its answer then takes on the clock.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

from runner.guest.wire import WireError, canonical, compact
from runner.models import OutcomeKind
from runner.policy.model import AgentEntry
from runner.rehearsal.mocks import Mocked
from runner.rehearsal.promises import Promises
from runner.rehearsal.schemas import seconds_for
from runner.seams import Call


class _Pass:
    def __repr__(self) -> str:
        return "PASS"


PASS: Final = _Pass()
"""Returned by a function that has nothing to say to these inputs."""


class FunctionMocks:
    """Answers from functions."""

    def __init__(
        self, functions: Mapping[str, Callable[[Any], Any]] | Callable[[str, Any], Any], *, seed: int = 1
    ) -> None:
        """`functions` is one of agent and inputs for all agents, or for each agent one of its inputs."""
        self._functions = functions
        self._seed = seed
        self._promises = Promises()
        self.problems: list[str] = []
        """Outputs that break their agent's schema, as they are told; each once."""

    def answer(self, entry: AgentEntry, call: Call) -> Mocked | None:
        if not callable(self._functions) and entry.name not in self._functions:
            return None
        seconds = seconds_for(f"{self._seed} {entry.name} {call.attempt} {canonical(call.inputs)}", call.timeout)
        try:
            output = self._call(entry.name, copy.deepcopy(call.inputs))
        except Exception as error:  # A function that raises is an agent that fails; the script hears it.
            return Mocked(seconds, kind=OutcomeKind.FAILED, message=str(error) or type(error).__name__)
        if output is PASS:
            return None
        if isinstance(output, Mocked):
            return output
        return self._proven(entry, output, seconds)

    def _call(self, agent: str, inputs: Any) -> Any:
        return self._functions(agent, inputs) if callable(self._functions) else self._functions[agent](inputs)

    def _proven(self, entry: AgentEntry, output: Any, seconds: float) -> Mocked:
        try:
            text = compact(output)
            refusal = self._promises.refusal(entry, output)
        except (ValueError, TypeError, WireError):
            text, refusal = "", "it is no exact JSON"
        if not refusal:
            return Mocked(seconds, text)
        told = f'the mock function of agent "{entry.name}" returned what breaks its output schema: {refusal}'
        if told not in self.problems:
            self.problems.append(told)
        return Mocked(seconds, kind=OutcomeKind.INVALID_OUTPUT, message=told)
