"""Put outputs into the value of a spawn or a then, within the caps: the size is known before anything is built.

What a part is and how a text is made is `guest.filling`'s; here is what a hostile script must not make of it. Every
part is taken once, however often it stands in the value, and every output is parsed once at most. A value that would
be larger than the cap is refused after as many bytes as the cap. The work is done in pieces, so that timers and other
runs have their turn.

Not here: whether the outputs are there (dataflow), what becomes of the value (broker, thens).
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Generator, Iterable

from runner.broker.handle import LiveHandle, quote
from runner.broker.outputs import Outputs
from runner.guest.filling import part_of, placed, text_of
from runner.guest.wire import MAX_DEPTH, Fill, Json, Part, Text, WireError, canonical, loads
from runner.guest.wire.fills import make_fills

Work = Generator[int, None, tuple[str, Json]]
"""Yields about how many bytes it has read or written since it last did; returns a value as JSON and parsed."""


class Unfit(Exception):
    """The filled value is larger or deeper than it may be. The message is fit for a model."""


class Filler:
    """Fills values from the outputs of handles, which have all succeeded."""

    def __init__(self, outputs: Outputs, live_of: Callable[[int], LiveHandle], most_bytes: int) -> None:
        self._outputs = outputs
        self._live_of = live_of
        self._most_bytes = most_bytes
        # Marks the places in the text of a value. Nobody who writes values can know it.
        self._mark = secrets.token_hex(16)
        self._marks = re.compile(f'"{self._mark}([0-9]+)"')

    def fill(self, live: LiveHandle, key: str) -> Work:
        """Return what a handle is made of, as canonical JSON, and parsed, as a copy of its own.

        `key` is where it stands in the value of the event that its needs name, beside its fills; without any the
        JSON is all of that value.
        Raises Missing, Unfit, OutputGone, StoreError.
        """
        found = self._outputs.told(live)
        yield len(found)
        told = json.loads(found)
        marked, fills = told[key], make_fills(told.get("fills", []), told[key])
        if not fills:
            return found, marked
        texts = yield from self._taken(len(canonical(marked)), fills)
        for number, fill in enumerate(fills):
            marked = placed(marked, fill.at, f"{self._mark}{number}")
        pieces = self._marks.split(canonical(marked))
        pieces[1::2] = [_fill_text(fills[int(number)].ref, texts) for number in pieces[1::2]]
        text = "".join(pieces)
        yield len(text)
        self._check(len(text) if text.isascii() else len(text.encode()))
        try:
            return text, loads(text)
        except WireError:
            raise Unfit(f"with the outputs in it, it is more than {MAX_DEPTH} levels deep") from None

    def _taken(self, size: int, fills: tuple[Fill, ...]) -> Generator[int, None, dict[Part, str]]:
        """Return each part as JSON. What they and the value, which has this size, come to stays below the cap."""
        counts: dict[Part, int] = {}
        for fill in fills:
            for part in _pieces(fill.ref):
                if isinstance(part, str):
                    size += len(part)
                else:
                    counts[part] = counts.get(part, 0) + 1
        self._check(size)
        texts: dict[Part, str] = {}
        # All of one output one after the other: it need not be parsed again.
        for part in sorted(counts, key=lambda part: part.handle):
            live = self._live_of(part.handle)
            if not part.path:
                # Known before it is read.
                self._check(size + counts[part] * live.size)
            texts[part] = text = self._text(part, live)
            size += counts[part] * len(text)
            self._check(size)
            # Taking a part, and putting keys into their order, reads the whole output.
            yield live.size if part.path or "{" in text else 64
        return texts

    def _text(self, part: Part, live: LiveHandle) -> str:
        """Return the part as canonical JSON. An output has its keys in the agent's order."""
        if part.path:
            return canonical(part_of(part, self._outputs.value(live)))
        text = self._outputs.text(live)
        return canonical(self._outputs.value(live)) if "{" in text else text

    def _check(self, size: int) -> None:
        if size > self._most_bytes:
            told = f"{size} bytes" if size < 2 * self._most_bytes else f"more than {2 * self._most_bytes} bytes"
            raise Unfit(f"with the outputs in it, it is {told}; {self._most_bytes} are allowed")


def _pieces(ref: Part | Text) -> Iterable[str | Part]:
    return (ref,) if isinstance(ref, Part) else ref.parts


def _fill_text(ref: Part | Text, texts: dict[Part, str]) -> str:
    """Return as JSON what stands at a place."""
    if isinstance(ref, Part):
        return texts[ref]
    return quote("".join(part if isinstance(part, str) else _in_text(texts[part]) for part in ref.parts))


def _in_text(text: str) -> str:
    """Return what a value, given as canonical JSON, looks like in a text. Only a text looks different."""
    return text_of(json.loads(text)) if text.startswith('"') else text


def weight_of(text: str) -> int:
    """Return about how many bytes a value takes in memory, given as JSON: at most, but for what few values are."""
    # An empty list is 56 bytes, a number 32, a place in a dict up to 100, and each comma is between two of them.
    return len(text) + 64 * (text.count("[") + text.count("{")) + 48 * text.count(",")
