"""Whether one value of a policy gives more than another, for each kind of value that a policy has.

A comparison gets how the value is called and what it was and is, which differ. It yields what is to be told: the kind,
the words, and the parts that differ. What nothing here can order is `changed`.

Not here: which field has which kind of value (diff).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum

from runner.models import Json
from runner.policy.covering import covered, network_covered
from runner.policy.paths import parse_rule
from runner.policy.schema_order import passes_within, within
from runner.policy.units import show_seconds

MOST_SHOWN_CHARS = 100


class Kind(StrEnum):
    """What a difference means for authority."""

    WIDENED = "widened"
    """More can be done, or less is held back, seen or asked."""
    NARROWED = "narrowed"
    CHANGED = "changed"
    """Other, and not shown to be less: it counts as widened."""
    EQUAL = "equal"
    """The same authority in other words."""


Told = tuple[Kind, str, Json, Json]
"""Kind, words, before, after."""
Compare = Callable[[str, Json, Json], Iterable[Told]]


def shown(value: Json) -> str:
    """Return a value, short. It may be a script's or a person's text: not clean."""
    if value is None or value == "":
        return "not said"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f"{value:,}" if isinstance(value, int) else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= MOST_SHOWN_CHARS else f"{text[: MOST_SHOWN_CHARS - 3]}..."


def _now(word: str, was: Json, now: Json) -> str:
    return f"{word} is {shown(now)}, was {shown(was)}"


def more(word: str, was: Json, now: Json) -> Iterator[Told]:
    """A number: a larger one gives more."""
    yield (Kind.WIDENED if now > was else Kind.NARROWED), _now(word, was, now), was, now


def longer(word: str, was: Json, now: Json) -> Iterator[Told]:
    """Seconds: more of them give more."""
    kind = Kind.WIDENED if now > was else Kind.NARROWED
    yield kind, f"{word} is {show_seconds(now)}, was {show_seconds(was)}", was, now


def larger(word: str, was: Json, now: Json) -> Iterator[Told]:
    """Bytes: more of them give more."""
    kind = Kind.WIDENED if now > was else Kind.NARROWED
    yield kind, f"{word} is {now:,} bytes, was {was:,}", was, now


def ranked(*lowest_first: Json) -> Compare:
    """Return the comparison of values that are ordered so: the last one gives most."""

    def compare(word: str, was: Json, now: Json) -> Iterator[Told]:
        if was not in lowest_first or now not in lowest_first:
            kind = Kind.CHANGED
        else:
            kind = Kind.WIDENED if lowest_first.index(now) > lowest_first.index(was) else Kind.NARROWED
        yield kind, _now(word, was, now), was, now

    return compare


def other(word: str, was: Json, now: Json) -> Iterator[Told]:
    """Any other one is other authority, and none that was given before."""
    yield Kind.WIDENED, _now(word, was, now), was, now


def changed(word: str, was: Json, now: Json) -> Iterator[Told]:
    """What has no order."""
    yield Kind.CHANGED, _now(word, was, now), was, now


def worded(word: str, was: Json, now: Json) -> Iterator[Told]:
    """Words for people: no authority."""
    yield Kind.EQUAL, f"{word} has other words", was, now


def costs(word: str, was: Json, now: Json) -> Iterator[Told]:
    """Dollars of a call; None is not known, and more than any."""
    kind = Kind.NARROWED if was is None or (now is not None and now < was) else Kind.WIDENED
    yield kind, f"{word} is {_dollars(now)} a call, was {_dollars(was)}", was, now


def _dollars(cost: Json) -> str:
    return "not said" if cost is None else f"${cost:,.12g}"


def bound(word: str, was: Json, now: Json) -> Iterator[Told]:
    """A bound: None is none at all, and more than any."""
    kind = Kind.NARROWED if was is None or (now is not None and now < was) else Kind.WIDENED
    yield kind, _now(word, was, now), was, now


def rates(word: str, was: Json, now: Json) -> Iterator[Told]:
    """How often something may be called; None is no bound."""
    for key in ("requests", "tokens"):
        before, after = (was or {}).get(key), (now or {}).get(key)
        if before != after:
            yield from bound(f"{word} ({key} a minute)", before, after)


def providers(word: str, was: Json, now: Json) -> Iterator[Told]:
    """The rates of providers, by name: one that is not there bounds nothing."""
    for name in [*was, *(key for key in now if key not in was)]:
        yield from rates(f'{word} "{name}"', was.get(name), now.get(name))


def members(word: str, was: Json, now: Json) -> Iterator[Told]:
    """A set, as a list: each member gives something."""
    for one in now:
        if one not in was:
            yield Kind.WIDENED, f'"{one}" is new in {word}', None, one
    for one in was:
        if one not in now:
            yield Kind.NARROWED, f'"{one}" is gone from {word}', one, None


def kept(word: str, was: Json, now: Json) -> Iterator[Told]:
    """A set of what is recorded: each member lets more be seen."""
    for kind, words, before, after in members(word, was, now):
        yield (Kind.NARROWED if kind is Kind.WIDENED else Kind.WIDENED), words, before, after


def modules(word: str, was: Json, now: Json) -> Iterator[Told]:
    """Modules that may be imported; None is all of them."""
    if was is None or now is None:
        kind = Kind.WIDENED if now is None else Kind.NARROWED
        yield kind, f"{word} is {_listed(now)}, was {_listed(was)}", was, now
    else:
        yield from members(word, was, now)


def _listed(names: list[str] | None) -> str:
    return "all of the dialect" if names is None else ", ".join(names) or "none"


def networks(word: str, was: Json, now: Json) -> Iterator[Told]:
    """Networks: each one opens its addresses."""
    for network in now:
        if network not in was:
            kind = Kind.EQUAL if network_covered(network, was) else Kind.WIDENED
            yield kind, f"{network} is new in {word}", None, network
    for network in was:
        if network not in now:
            kind = Kind.EQUAL if network_covered(network, now) else Kind.NARROWED
            yield kind, f"{network} is gone from {word}", network, None


def scope_rules(word: str, was: Json, now: Json) -> Iterator[Told]:
    """Scopes and the requests that each one opens."""
    for scope in [*was, *(name for name in now if name not in was)]:
        if scope not in was:
            opens = "; ".join(now[scope]) or "nothing"
            yield Kind.WIDENED, f'scope "{scope}" is new, and opens {opens}', None, now[scope]
        elif scope not in now:
            yield Kind.NARROWED, f'scope "{scope}" is gone', was[scope], None
        else:
            yield from _rules(f'scope "{scope}"', was[scope], now[scope])


def _rules(word: str, was: list[str], now: list[str]) -> Iterator[Told]:
    before, after = [parse_rule(text) for text in was], [parse_rule(text) for text in now]
    for rule in after:
        if not covered(rule, before):
            yield Kind.WIDENED, f"{word} opens {rule.text}", was, now
        elif rule.text not in was:
            yield Kind.EQUAL, f"{word} has {rule.text} now, which was open before", was, now
    for rule in before:
        if not covered(rule, after):
            yield Kind.NARROWED, f"{word} opens no more all of {rule.text}", was, now
        elif rule.text not in now:
            yield Kind.EQUAL, f"{word} has {rule.text} no more, which is open all the same", was, now


def takes(word: str, was: Json, now: Json) -> Iterator[Told]:
    """The schema of inputs: it gives what it takes."""
    yield _schema(f"{word} schema takes", within(now, was), within(was, now), was, now)


def passes(word: str, was: Json, now: Json) -> Iterator[Told]:
    """The schema of an output: it gives what it lets through; None lets everything through."""
    less = was is None or (now is not None and passes_within(now, was))
    greater = now is None or (was is not None and passes_within(was, now))
    yield _schema(f"{word} schema lets through", less, greater, was, now)


def _schema(words: str, less: bool, greater: bool, was: Json, now: Json) -> Told:
    if less and greater:
        return Kind.EQUAL, f"{words} what it did, in other words", was, now
    if less:
        return Kind.NARROWED, f"{words} less", was, now
    if greater:
        return Kind.WIDENED, f"{words} more", was, now
    return Kind.CHANGED, f"{words} something else, and not less as far as is shown", was, now


def levels(word: str, was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Told]:
    """Rules of a review and their levels. One that is not written has the review's own, which is not known here."""
    for rule in [*was, *(name for name in now if name not in was)]:
        before, after = was.get(rule), now.get(rule)
        if before == after:
            continue
        words = f"risk rule {rule} is {after or _OWN}, was {before or _OWN}"
        if before == "off" or after == "error":
            yield Kind.NARROWED, words, before, after
        elif before == "error" or after == "off":
            yield Kind.WIDENED, words, before, after
        else:
            yield Kind.CHANGED, words, before, after


_OWN = "as the review has it"
