"""Fills on the wire: what the host puts into a value of a script, and where."""

from __future__ import annotations

from runner.guest.wire.messages import MAX_DEPTH, MAX_PIECES, Fill, Json, Part, Step, Text, WireError


def pieces(fills: tuple[Fill, ...]) -> int:
    """Return of how many parts and literal texts fills are made."""
    return sum(1 if isinstance(fill.ref, Part) else len(fill.ref.parts) for fill in fills)


def fills_json(fills: tuple[Fill, ...]) -> Json:
    """Return the fills as the JSON that stands in frames and in the journal."""
    return [[fill.at, _ref_json(fill.ref)] for fill in fills]


def _ref_json(ref: Part | Text) -> Json:
    if isinstance(ref, Part):
        return {"part": ref.handle, "path": ref.path}
    return {"text": [part if isinstance(part, str) else _ref_json(part) for part in ref.parts]}


def make_fills(found: Json, value: Json) -> tuple[Fill, ...]:
    """Return the fills of a value. Raises WireError where one is malformed, stands nowhere, or stands twice."""
    if type(found) is not list or len(found) > MAX_PIECES:
        raise WireError("'fills' must be a list of [at, ref]")
    fills = tuple(_fill(one) for one in found)
    if pieces(fills) > MAX_PIECES:
        raise WireError(f"the fills are made of more than {MAX_PIECES} pieces")
    for fill in fills:
        if _at(value, fill.at) is not None:
            raise WireError("a fill must stand where the value is null")
    if len({fill.at for fill in fills}) != len(fills):
        raise WireError("two fills stand at the same place")
    return fills


def _fill(found: Json) -> Fill:
    if type(found) is not list or len(found) != 2:
        raise WireError("a fill must be [at, ref]")
    at, ref = found
    if type(at) is not list or len(at) > MAX_DEPTH or not all(type(step) in (str, int) for step in at):
        raise WireError("'at' must be a list of keys and indexes")
    if type(ref) is dict and ref.keys() == {"text"}:
        parts = ref["text"]
        if type(parts) is not list:
            raise WireError("'text' must be a list of texts and parts")
        return Fill(tuple(at), Text(tuple(part if type(part) is str else _part(part) for part in parts)))
    return Fill(tuple(at), _part(ref))


def _part(found: Json) -> Part:
    if type(found) is not dict or found.keys() != {"part", "path"}:
        raise WireError("a part must have part and path")
    handle, path = found["part"], found["path"]
    if type(handle) is not int or not 0 < handle < 2**31:
        raise WireError("'part' must be a handle")
    if type(path) is not list or len(path) > MAX_DEPTH:
        raise WireError(f"'path' must be a list of at most {MAX_DEPTH} steps")
    return Part(handle, tuple(_step(step) for step in path))


def _step(found: Json) -> Step:
    if type(found) is str:
        return found
    if type(found) is int and abs(found) < 2**31:
        return found
    if type(found) is list and len(found) == 3 and found[2] != 0 and all(_is_end(end) for end in found):
        return found[0], found[1], found[2]
    raise WireError("a step must be a key, an index or a slice")


def _is_end(found: Json) -> bool:
    return found is None or (type(found) is int and abs(found) < 2**31)


def _at(value: Json, at: tuple[str | int, ...]) -> Json:
    """Return what stands there. Raises WireError where nothing does."""
    for step in at:
        is_key = type(value) is dict and type(step) is str and step in value
        if not is_key and not (type(value) is list and type(step) is int and 0 <= step < len(value)):
            raise WireError("a fill stands nowhere in its value")
        value = value[step]
    return value
