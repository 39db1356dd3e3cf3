"""Refuse in one step what would take memory or time out of all proportion.

These are kindness, not defence: the limits of the process hold in any case, but they end the run, while an error here
names the line and can be caught.

Not here: `*` of two variables, sorts, regular expressions and the like; the process bounds them.
"""

from __future__ import annotations

import re
from typing import Any

# 1 MiB as a number: 2.5 million decimal digits.
MAX_BITS = 8 * (1 << 20)
# A quarter of the smallest memory limit that a policy is expected to set.
MAX_REPEATED = 64 * (1 << 20)
MAX_WIDTH = 1_000_000

# Multiplies the size of a number by so much at most, as exponents that stand in the script may.
_SMALL = 64

_NUMBERS = re.compile(r"\d+")


def power(base: Any, exponent: Any, modulus: Any = None) -> Any:
    """Return `base ** exponent`, or raise OverflowError if the result had more than `MAX_BITS` bits."""
    if modulus is None and type(exponent) is int and -_SMALL <= exponent <= _SMALL:
        return base**exponent
    if type(exponent) in (int, bool) and type(base) in (int, bool) and modulus is None:
        bits = base.bit_length() * exponent
        if bits > MAX_BITS and base not in (0, 1, -1):
            raise OverflowError(f"the power would have about {bits:,} bits; at most {MAX_BITS:,} are allowed")
    return base**exponent if modulus is None else pow(base, exponent, modulus)


def shift(value: Any, places: Any) -> Any:
    """Return `value << places`, or raise OverflowError if the result had more than `MAX_BITS` bits."""
    if type(places) is int and type(value) is int and places + value.bit_length() > MAX_BITS and value:
        raise OverflowError(f"shifting by {places:,} places is more than the {MAX_BITS:,} bits that are allowed")
    return value << places


def repeat(left: Any, right: Any) -> Any:
    """Return `left * right`, or raise OverflowError if a text or list became longer than `MAX_REPEATED`."""
    for many, count in ((left, right), (right, left)):
        if type(count) is int and type(many) in (str, bytes, list, tuple) and len(many) * count > MAX_REPEATED:
            raise OverflowError(f"repeating gives {len(many) * count:,} items; at most {MAX_REPEATED:,} are allowed")
    return left * right


def check_spec(spec: str) -> str:
    """Return the format spec, or raise ValueError if it asks for more than `MAX_WIDTH` characters."""
    for digits in _NUMBERS.findall(spec):
        if len(digits) > 7 or int(digits) > MAX_WIDTH:
            raise ValueError(f'format "{spec[:40]}" asks for more than {MAX_WIDTH:,} characters')
    return spec
