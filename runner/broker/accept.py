"""Hold outputs to the schema that a script wrote as its quality gate: `accept=` of a spawn.

The schema is hostile text that is compiled and run on the host, so all of it is bounded:
    what it may say     policy.accept
    how much            the wire's MAX_ACCEPT_CHARS, MAX_PATTERNS patterns of bounded size, matched in linear time
    what a check costs  its parts times the output's; beyond MAX_STEPS the output is refused unseen
Nothing is fetched, ever.

Not here: what of an output may pass at all (schema), who is told (attempts).
"""

from __future__ import annotations

import json
from collections import OrderedDict

from runner.broker.accept_place import place_of
from runner.broker.expectation import pointer
from runner.errors import AgentFault
from runner.guest.wire import canonical
from runner.models import Json, OutcomeKind
from runner.policy.accept import NUMBERS, loaded, read_accept

# A step is some 10 ns: a check takes a third of a second at most, in which the host answers nobody.
MAX_STEPS = 25_000_000
# A run whose spawns have more than this many schemas in turn compiles some of them twice.
_KEPT = 64


class Accepts:
    """The schemas of a run, by their text: ten thousand spawns with one schema compile it once."""

    def __init__(self) -> None:
        self._made: OrderedDict[str, Accept] = OrderedDict()

    def of(self, text: str) -> Accept:
        """Return the compiled schema of a text in canonical JSON. Raises SchemaRefused."""
        found = self._made.get(text)
        if found is None:
            found = self._made[text] = Accept(json.loads(text))
            if len(self._made) > _KEPT:
                self._made.popitem(last=False)
        else:
            self._made.move_to_end(text)
        return found

    def require(self, text: str, output: str, *, agent: str) -> None:
        """Raise AgentFault where the schema, if there is one, refuses an output of this agent (as JSON text)."""
        refusal = self.of(text).refusal(output) if text else None
        if refusal is not None:
            message = f'agent "{agent}" returned what accept refuses: {refusal}'
            raise AgentFault(OutcomeKind.INVALID_OUTPUT, message)


class Accept:
    """One schema, compiled."""

    def __init__(self, schema: Json) -> None:
        """Raises SchemaRefused."""
        self._schema, self._weight, validator = read_accept(schema)
        self._is_valid = validator.is_valid

    def refusal(self, text: str) -> str | None:
        """Return None for an output (as JSON text) that it accepts, else where and what it expected; no value of it."""
        steps = self.steps(text)
        if steps > MAX_STEPS:
            return f"{len(text):,} characters are too many for so much of a schema; ask for less in it"
        try:
            value = loaded(text)
        except OverflowError as error:
            return str(error)
        if self._is_valid(value):
            return None
        place, expected = place_of(self._schema, value, (), _Fuel(self).allows)
        return f"at {pointer(list(place))}: {expected}"

    def steps(self, text: str) -> int:
        """Return a bound of what a check of this output costs. What stands within texts is counted as well."""
        weight = self._weight
        steps = weight.value_steps * (1 + text.count(",") + text.count("{") + text.count("["))
        steps += weight.byte_steps * len(text)
        if weight.number_steps and steps <= MAX_STEPS:
            steps += weight.number_steps * sum(1 for _ in NUMBERS.finditer(text))
        return steps


class _Fuel:
    """What the search for the place of an error may cost: as much as a check at most, all levels together."""

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._left = MAX_STEPS

    def allows(self, value: Json) -> bool:
        """Take what a look at this value costs; False where it is too much."""
        self._left -= self._accept.steps(canonical(value))
        return self._left >= 0
