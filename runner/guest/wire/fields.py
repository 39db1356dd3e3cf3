"""Read the fields of a guest's frame, and trust none: each function returns a checked value or raises WireError."""

from __future__ import annotations

from runner.guest.wire.messages import MAX_NAME_CHARS, MAX_SCOPES, Json, WireError


def text(found: dict[str, Json], key: str, limit: int) -> str:
    value = found[key]
    if type(value) is not str or len(value) > limit:
        raise WireError(f"{key!r} must be a text of at most {limit} characters")
    return value


def count(found: dict[str, Json], key: str, least: int = 0) -> int:
    value = found[key]
    if type(value) is not int or not least <= value < 2**31:
        raise WireError(f"{key!r} must be a whole number from {least}")
    return value


def seconds(found: dict[str, Json], key: str) -> float | None:
    value = found[key]
    if value is None:
        return None
    # An integer may be far beyond what a float holds.
    if type(value) not in (int, float) or not 0 <= value < 1e12:
        raise WireError(f"{key!r} must be null or seconds from 0")
    return float(value)


def handles(found: dict[str, Json], key: str) -> tuple[int, ...]:
    value = found[key]
    if type(value) is not list or not all(type(n) is int and 0 < n < 2**31 for n in value):
        raise WireError(f"{key!r} must be a list of handles")
    if len(set(value)) != len(value):
        raise WireError(f"a handle stands twice in {key!r}")
    return tuple(value)


def scopes(found: dict[str, Json]) -> tuple[str, ...] | None:
    value = found["scopes"]
    if value is None:
        return None
    if type(value) is not list or len(value) > MAX_SCOPES:
        raise WireError(f"'scopes' must be null or a list of at most {MAX_SCOPES} texts")
    if not all(type(scope) is str and len(scope) <= MAX_NAME_CHARS for scope in value):
        raise WireError(f"a scope must be a text of at most {MAX_NAME_CHARS} characters")
    return tuple(value)


def one_of(found: dict[str, Json], key: str, allowed: tuple[str, ...]) -> str:
    value = found[key]
    if type(value) is not str or value not in allowed:
        raise WireError(f"{key!r} must be one of {', '.join(allowed)}")
    return value
