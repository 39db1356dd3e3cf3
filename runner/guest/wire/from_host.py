"""What the host says: encoded by the host, decoded by the guest, which trusts it but for its form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from runner.guest.wire.frames import frame
from runner.guest.wire.messages import MAX_FRAME_BYTES, Answer, FromHost, Start, WireError
from runner.guest.wire.text import encode


def encode_start(start: Start) -> bytes:
    """Return the frame that begins a run."""
    found = {
        "t": "start", "script": start.script, "name": start.name, "inputs": start.inputs, "seed": start.seed,
        "now": start.now, "spawn_limit": start.spawn_limit, "wall_seconds": start.wall_seconds,
        "frame_bytes": start.frame_bytes, "imports": start.imports, "dialect": start.dialect,
    }  # fmt: skip
    # Left out where it is not asked: guests of older images do not know it.
    if start.trace:
        found["trace"] = True
    return frame(encode(found).encode())


def encode_answer(
    n: int, outcomes: Iterable[tuple[int, str, str]], ended: str, now: float, *, frame_bytes: int = MAX_FRAME_BYTES
) -> Iterator[bytes]:
    """Yield the frames of one answer. An outcome is (spawn number, "ok" or kind, JSON *text*).

    An outcome is never split: one larger than `frame_bytes` makes a frame larger than that, so the
    caller caps outputs below it.
    """
    room = frame_bytes - 200
    parts: list[str] = []
    size = 0
    for spawn, kind, text in outcomes:
        part = f'[{spawn},"{kind}",{text}]'
        length = len(part) if part.isascii() else len(part.encode())
        if parts and size + length > room:
            yield _answer_frame(n, parts, ended, now, more=True)
            parts, size = [], 0
        parts.append(part)
        size += length + 1
    yield _answer_frame(n, parts, ended, now, more=False)


def _answer_frame(n: int, parts: list[str], ended: str, now: float, *, more: bool) -> bytes:
    outcomes = ",".join(parts)
    text = f'{{"t":"answer","n":{n},"outcomes":[{outcomes}],"ended":"{ended}","now":{now!r},"more":{encode(more)}}}'
    return frame(text.encode())


def decode_host(payload: bytes) -> FromHost:
    """Return the message in a payload from the host. The guest trusts it but for its form."""
    found = json.loads(payload)
    kind = found.pop("t")
    if kind == "answer":
        found["outcomes"] = tuple((n, outcome, value) for n, outcome, value in found["outcomes"])
        return Answer(**found)
    if kind == "start":
        imports = found["imports"]
        found["imports"] = None if imports is None else tuple(imports)
        return Start(**found)
    raise WireError(f"unknown frame type {kind!r}")
