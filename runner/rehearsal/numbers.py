"""Draw numbers that a schema allows: by bounds, exclusive bounds and multiples. With `edge` it is one of the bounds."""

from __future__ import annotations

import math
import random
from typing import Any

LARGEST = 2**53 - 1
"""The largest whole number that every reader of JSON takes exactly."""
LARGE = 1e9
"""Likewise of numbers with a fraction, which then still have two exact digits behind the point."""
USUAL = 100
"""How far from a bound a number lies at most where the other side is open."""
# 0.3 / 0.1 is a little less than 3.
_SLACK = 1e-9


class NotDrawn(ValueError):
    """No such value is found. The message says why."""


def whole_number(schema: dict[str, Any], chance: random.Random, *, edge: bool) -> int:
    """Return a whole number for `minimum`, `maximum`, the exclusive bounds and `multipleOf`. Raises NotDrawn."""
    unit = _whole_unit(schema.get("multipleOf", 1))
    least = max(
        math.ceil(schema["minimum"]) if "minimum" in schema else -math.inf,
        math.floor(schema["exclusiveMinimum"]) + 1 if "exclusiveMinimum" in schema else -math.inf,
    )
    most = min(
        math.floor(schema["maximum"]) if "maximum" in schema else math.inf,
        math.ceil(schema["exclusiveMaximum"]) - 1 if "exclusiveMaximum" in schema else math.inf,
    )
    low, high = _range(least, most, LARGEST if edge else USUAL * unit, edge=edge)
    first, last = -(-low // unit), high // unit
    if first > last:
        raise NotDrawn(f"no whole number lies between {_shown(least)} and {_shown(most)}{_multiple(schema)}")
    return unit * _chosen(int(first), int(last), chance, edge=edge)


def number(schema: dict[str, Any], chance: random.Random, *, edge: bool) -> int | float:
    """Return a number likewise, a whole one only by chance."""
    least, most = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
    low, high = _range(max(least, above), min(most, below), LARGE if edge else USUAL, edge=edge)
    unit = schema.get("multipleOf") or _fine(low, high)
    first = math.ceil(low / unit - _SLACK)
    last = math.floor(high / unit + _SLACK)
    first += first * unit <= above
    last -= last * unit >= below
    if first > last:
        raise NotDrawn(f"no number lies between {_shown(low)} and {_shown(high)}{_multiple(schema)}")
    value = _chosen(first, last, chance, edge=edge) * unit
    if isinstance(value, float):
        value = round(value, 12)
    # A product may lie a little beyond the bound that it is made of.
    return value if "multipleOf" in schema else min(max(value, low), high)


def _range(least: float, most: float, far: float, *, edge: bool) -> tuple[Any, Any]:
    """Return finite bounds, an open one as far away as `far`."""
    if math.isinf(least) and math.isinf(most):
        return (-far if edge else 0), far
    if math.isinf(least):
        return most - far, most
    return least, least + far if math.isinf(most) else most


def _fine(low: float, high: float) -> float:
    """Return a step with at least a hundred numbers between two bounds, hundredths at most."""
    width = high - low
    return 0.01 if width >= 1 or width <= 0 else 10.0 ** math.floor(math.log10(width) - 2)


def _whole_unit(step: float) -> int:
    """Return the least whole number that is a multiple of the step. Raises NotDrawn."""
    for factor in range(1, 1001):
        if float(step * factor).is_integer():
            return int(step * factor)
    raise NotDrawn(f"no whole number is a multiple of {step}")


def _chosen(first: int, last: int, chance: random.Random, *, edge: bool) -> int:
    return chance.choice((first, last, min(max(0, first), last))) if edge else chance.randint(first, last)


def _shown(bound: float) -> str:
    return "any" if math.isinf(bound) else f"{bound:g}"


def _multiple(schema: dict[str, Any]) -> str:
    return f" that is a multiple of {schema['multipleOf']:g}" if "multipleOf" in schema else ""
