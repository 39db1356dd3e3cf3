"""Whole numbers that depend on a run's inputs, such as `2 * len(inputs["vendors"]) + 1`, and bounds made of two.

A size is a sum of products of parts that are never below zero. Each part is a text: an expression of the script's
inputs that Python can evaluate. So a size without a part is a number, and any size becomes one where the inputs are
known.

Not here: what is counted (counting).
"""

from __future__ import annotations

from dataclasses import dataclass

# Longer sums tell nobody anything; and numbers beyond this are no bound that a run could reach.
MAX_TERMS = 6
MAX_PARTS = 3
MAX_NUMBER = 10**9

Term = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Size:
    """A number, as {parts of a product: how often}. Made by `number` and `part`."""

    terms: tuple[tuple[Term, int], ...] = ()

    def __add__(self, other: Size) -> Size:
        return _size(self.terms + other.terms)

    def __mul__(self, other: Size) -> Size:
        return _size(tuple((tuple(sorted(a + b)), n * m) for a, n in self.terms for b, m in other.terms))

    @property
    def number(self) -> int | None:
        """The number that this is, if it depends on nothing."""
        if not self.terms:
            return 0
        return self.terms[0][1] if len(self.terms) == 1 and self.terms[0][0] == () else None

    @property
    def constant(self) -> int:
        """What it is at least, whatever the parts are."""
        return dict(self.terms).get((), 0)

    @property
    def too_big(self) -> bool:
        """Say whether it is longer, deeper or larger than a bound that is told."""
        return (
            len(self.terms) > MAX_TERMS
            or any(len(term) > MAX_PARTS for term, _ in self.terms)
            or any(factor > MAX_NUMBER for _, factor in self.terms)
        )

    def least(self, other: Size) -> Size:
        """Return a size that is not above either."""
        mine, theirs = dict(self.terms), dict(other.terms)
        return _size(tuple((term, min(n, theirs[term])) for term, n in mine.items() if term in theirs))

    def most(self, other: Size) -> Size:
        """Return a size that is not below either."""
        mine, theirs = dict(self.terms), dict(other.terms)
        return _size(tuple((term, max(mine.get(term, 0), theirs.get(term, 0))) for term in mine | theirs))

    def __str__(self) -> str:
        ordered = sorted(self.terms, key=lambda pair: (-len(pair[0]), pair[0]))
        return " + ".join(_term(term, factor) for term, factor in ordered) or "0"


def _size(terms: tuple[tuple[Term, int], ...]) -> Size:
    found: dict[Term, int] = {}
    for term, factor in terms:
        found[term] = found.get(term, 0) + factor
    return Size(tuple(sorted((term, factor) for term, factor in found.items() if factor)))


def _term(term: Term, factor: int) -> str:
    if not term:
        return str(factor)
    return " * ".join(term if factor == 1 else (str(factor), *term))


def number(value: int) -> Size:
    """Return the size of a number, which is 0 if it is below that."""
    return Size((((), value),)) if value > 0 else Size()


def part(text: str) -> Size:
    """Return the size that an expression has, which is never below zero."""
    return Size((((text,), 1),))


@dataclass(frozen=True, slots=True)
class Bound:
    """Between two sizes. `most` is None where nothing can be said."""

    least: Size = Size()
    most: Size | None = Size()

    def __add__(self, other: Bound) -> Bound:
        most = None if self.most is None or other.most is None else self.most + other.most
        return _bound(self.least + other.least, most)

    def __or__(self, other: Bound) -> Bound:
        """Either of the two."""
        most = None if self.most is None or other.most is None else self.most.most(other.most)
        return _bound(self.least.least(other.least), most)

    def maybe(self) -> Bound:
        """This, or nothing."""
        return Bound(Size(), self.most)

    def times(self, rounds: Bound) -> Bound:
        if self.most == Size():
            return Bound()
        most = None if self.most is None or rounds.most is None else self.most * rounds.most
        return _bound(self.least * rounds.least, most)


def _bound(least: Size, most: Size | None) -> Bound:
    if least.too_big:
        least = number(min(least.constant, MAX_NUMBER))
    return Bound(least, None if most is None or most.too_big else most)


def exactly(size: Size) -> Bound:
    return Bound(size, size)


NOTHING = Bound()
ONE = exactly(number(1))
ANY = Bound(Size(), None)
