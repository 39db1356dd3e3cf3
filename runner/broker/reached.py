"""What may pass between a run and one agent: its schemas, compiled once.

Not here: how the agent is reached (agents), what becomes of an outcome (broker).
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.broker.schema import InputSchema, OutputSchema, Pruned
from runner.errors import AgentFault, PolicyError
from runner.guest.wire import canonical, compact
from runner.models import Json, OutcomeKind
from runner.policy.model import AgentEntry

MAX_DETAIL_CHARS = 4096
# What the JSON encoder itself raises; its text is ours. Any other error may come from the output's own methods.
_FROM_ENCODER = (TypeError, ValueError, RecursionError, UnicodeEncodeError)


@dataclass(frozen=True, slots=True)
class Passed:
    """An output that may pass: its JSON text, its size, and the journal's value for it."""

    text: str
    size: int
    value: str
    dropped_bytes: int


class Reached:
    """The border to one agent. Raises PolicyError naming it where its schemas cannot be held."""

    __slots__ = ("input", "name", "output")

    def __init__(self, entry: AgentEntry) -> None:
        self.name = entry.name
        try:
            self.input = InputSchema(entry.input_schema)
            self.output = OutputSchema(entry.output_schema) if entry.output_schema is not None else None
        except PolicyError as error:
            raise PolicyError(f'agent "{entry.name}": {error.message}', line=entry.line, hint=error.hint) from error

    def passed(self, output: Json, most_bytes: int) -> Passed:
        """Return what the schema keeps of an output. Raises AgentFault: none of it may pass."""
        pruned, text, size = self._encoded(output)
        if size > most_bytes:
            raise self._fault(f"returned {size} bytes; {most_bytes} are allowed")
        refusal = self.output.refusal(pruned.value) if self.output is not None else None
        if refusal is not None:
            raise self._fault(f"returned what its output schema refuses: {refusal}")
        if not pruned.dropped:
            return Passed(text, size, f'{{"output":{text}}}', 0)
        names = [[storable(name), count] for name, count in pruned.dropped]
        return Passed(text, size, f'{{"dropped":{canonical(names)},"output":{text}}}', pruned.dropped_bytes)

    def _encoded(self, output: Json) -> tuple[Pruned, str, int]:
        try:
            pruned = self.output.prune(output) if self.output is not None else Pruned(output, ())
            # The script sees the keys in the order in which the agent wrote them.
            text = compact(pruned.value)
            return pruned, text, len(text) if text.isascii() else len(text.encode())
        except Exception as error:
            # Anything: the output may be an object whose own methods fail.
            detail = str(error) if type(error) in _FROM_ENCODER else type(error).__name__
            raise self._fault("returned what is no exact JSON", detail=detail) from None

    def _fault(self, what: str, *, detail: str = "") -> AgentFault:
        return AgentFault(OutcomeKind.INVALID_OUTPUT, f'agent "{self.name}" {what}', detail=detail)


def storable(detail: str) -> str:
    """Bound a diagnosis and make it text that UTF-8 can hold."""
    return detail[-MAX_DETAIL_CHARS:].encode("utf-8", "replace").decode()
