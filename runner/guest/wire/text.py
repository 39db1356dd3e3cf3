"""Exact JSON: values to text and back, and nothing that is not exact."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from runner.guest.wire.messages import MAX_DEPTH, Json, WireError


def _refuse_constant(name: str) -> float:
    raise WireError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise WireError(f"number out of range: {text[:40]}")
    return number


_scan: Callable[[str, int], tuple[Json, int]] = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite
).scan_once  # type: ignore[attr-defined]


def _encoder(*, sort_keys: bool) -> Callable[[Json], str]:
    """Return a function from a JSON value to its text.

    `JSONEncoder.encode` builds a new C encoder for each call, which costs more than encoding a small
    value does (1.3 against 0.5 us): this keeps one.
    """
    options: dict[str, Any] = {"ensure_ascii": False, "allow_nan": False, "separators": (",", ":")}
    plain = json.JSONEncoder(**options, sort_keys=sort_keys, check_circular=False)
    make = json.encoder.c_make_encoder  # type: ignore[attr-defined]
    if make is None:
        return plain.encode
    encode = make(None, plain.default, json.encoder.encode_basestring, None, ":", ",", sort_keys, False, False)

    def text(value: Json) -> str:
        return "".join(encode(value, 0))

    return text


encode = _encoder(sort_keys=False)
encode_canonical = _encoder(sort_keys=True)


def canonical(value: Json) -> str:
    """Return the one text that stands for this JSON value: sorted keys, no spaces.

    Raises ValueError for NaN, infinities and what is no JSON.
    """
    return encode_canonical(value)


def compact(value: Json) -> str:
    """Return the value as JSON without spaces, its keys in the order that they have.

    Raises ValueError for NaN, infinities and what is no JSON.
    """
    return encode(value)


def loads(text: str) -> Json:
    """Parse exact JSON of at most MAX_DEPTH levels. Raises WireError for anything else."""
    try:
        value, end = _scan(text, 0)
    except WireError:
        raise
    except (ValueError, StopIteration, RecursionError, MemoryError) as error:
        raise WireError(f"not JSON ({type(error).__name__})") from None
    if end != len(text):
        raise WireError("trailing bytes after the JSON value")
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise WireError(f"more than {MAX_DEPTH} levels deep")
    # A lone surrogate can only come from an escape; it cannot be written as UTF-8.
    if "\\u" in text and not _encodable(value):
        raise WireError("a lone surrogate is no text")
    return value


def _depth(value: Json) -> int:
    level = [value]
    depth = 0
    while level:
        below: list[Json] = []
        for item in level:
            if type(item) is dict:
                below.extend(item.values())
            elif type(item) is list:
                below.extend(item)
        level = below
        depth += 1
    return depth


def _encodable(value: Json) -> bool:
    try:
        encode(value).encode()
    except UnicodeEncodeError:
        return False
    return True
