"""What a run may still spend: reserved before a call, so that calls at once cannot overshoot, and settled after it.

    reserved    the most that a call may use: the policy's `cost` or `price`, `model_tokens`, and its inputs
    spent       what the backend told; the reserved where nobody can tell, such as after a timeout

Not here: when a call may start (admission), what a backend tells (seams.ModelUsage).
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.models import Limits
from runner.policy.model import AgentEntry, Price
from runner.seams import ModelUsage

# An estimate: a token of a usual text is about four bytes of it; of JSON, with its signs, less; of a text that was made
# for it, one. What a call then uses beyond its reservation is seen with its first answer; it is asked no second time.
BYTES_PER_TOKEN = 3
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Amount:
    """Model tokens and dollars."""

    tokens: float = 0.0
    usd: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.tokens + other.tokens, self.usd + other.usd)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.tokens - other.tokens, self.usd - other.usd)


NOTHING = Amount()


def most_of(entry: AgentEntry, input_bytes: int) -> Amount:
    """Return the most that one call of an agent may use. `input_bytes`: its inputs as JSON."""
    if entry.call_tokens is None:
        return Amount(0.0, entry.cost_usd or 0.0)
    read = input_bytes // BYTES_PER_TOKEN
    usd = entry.cost_usd
    if usd is None:
        usd = 0.0 if entry.price is None else _priced(entry.price, read, entry.call_tokens)
    return Amount(read + entry.call_tokens, usd)


def next_of(entry: AgentEntry, input_bytes: int, output_tokens: int) -> Amount:
    """Return what one more request of a call that is under way may use."""
    read = input_bytes // BYTES_PER_TOKEN
    return Amount(read + output_tokens, 0.0 if entry.price is None else _priced(entry.price, read, output_tokens))


def used_by(entry: AgentEntry, usage: ModelUsage | None, reserved: Amount, *, sure: bool) -> Amount:
    """Return what a call has used. `sure`: it is over, and has told all; else it counts as all that was reserved."""
    if usage is None:
        told = NOTHING if entry.call_tokens is not None else Amount(0.0, entry.cost_usd or 0.0)
    else:
        usd = usage.cost_usd
        if usd is None:
            usd = entry.cost_usd or 0.0
            if entry.price is not None:
                usd = _priced(entry.price, usage.input_tokens, usage.output_tokens)
        told = Amount(usage.tokens, usd)
    return told if sure else Amount(max(told.tokens, reserved.tokens), max(told.usd, reserved.usd))


def usage_body(usage: ModelUsage | None, used: Amount) -> dict[str, float] | None:
    """Return what an event says of it; None where there is nothing to say."""
    if usage is None and used == NOTHING:
        return None
    body: dict[str, float] = {"tokens": round(used.tokens), "cost_usd": round(used.usd, 9)}
    if usage is not None:
        body |= {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    return body


def with_assumed(body: dict[str, float], assumed: Amount) -> dict[str, float]:
    """Return what an event says of an attempt, and with it of what a dead host may have used in the same one."""
    tokens, usd = body.get("tokens", 0) + round(assumed.tokens), body.get("cost_usd", 0.0) + assumed.usd
    return {**body, "tokens": tokens, "cost_usd": round(usd, 9)} if tokens or usd else body


def _priced(price: Price, read: float, written: float) -> float:
    return (read * price.input + written * price.output) / _MILLION


class Budget:
    """The purse of one run."""

    def __init__(self, limits: Limits) -> None:
        self._tokens = float("inf") if limits.model_tokens is None else float(limits.model_tokens)
        self._usd = float("inf") if limits.cost_usd is None else limits.cost_usd
        self.bounded = limits.model_tokens is not None or limits.cost_usd is not None
        self.spent = NOTHING
        self._reserved = NOTHING
        self._open = 0

    def refusal(self, entry: AgentEntry, most: Amount) -> str:
        """Return why so much can never be reserved any more; "" where it can, now or when others have ended."""
        for word, limit, spent, need, form in (
            ("cost_usd", self._usd, self.spent.usd, most.usd, "${:,.4g}"),
            ("model_tokens", self._tokens, self.spent.tokens, most.tokens, "{:,.0f} tokens"),
        ):
            if need > 0 and spent + need > limit * (1 + 1e-9):
                return (
                    f'one call of agent "{entry.name}" may use {form.format(need)}; of the run\'s '
                    f"{form.format(limit)} (limits: {word}) {form.format(max(0.0, limit - spent))} are left"
                )
        return ""

    def reserve(self, most: Amount) -> bool:
        """Put so much by. False: others that run have it reserved."""
        after = self.spent + self._reserved + most
        for need, total, limit in ((most.usd, after.usd, self._usd), (most.tokens, after.tokens, self._tokens)):
            if need > 0 and total > limit * (1 + 1e-9):
                return False
        self._reserved, self._open = self._reserved + most, self._open + 1
        return True

    def within(self, used: Amount, most: Amount) -> bool:
        """Say whether so much lies within what was reserved, as far as this budget has a bound."""
        tokens = self._tokens == float("inf") or used.tokens <= most.tokens
        return tokens and (self._usd == float("inf") or used.usd <= most.usd * (1 + 1e-9))

    def settle(self, reserved: Amount, used: Amount) -> None:
        """A call is over: what it had reserved is free, what it used is spent."""
        self._open -= 1
        self._reserved = self._reserved - reserved if self._open else NOTHING
        self.spent += used
