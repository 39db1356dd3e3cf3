"""Draw texts that a schema allows: by length, pattern and format.

A text reads as words, so that a rehearsal's output can be read; with `edge` it is empty, as long as it may be, or of
characters that are often forgotten.
"""

from __future__ import annotations

import random
from typing import Any

from runner.rehearsal.numbers import NotDrawn
from runner.rehearsal.patterns import Unreadable, text_like

WORDS = (
    "amber", "anchor", "autumn", "basin", "beacon", "birch", "canal", "cedar", "cliff", "cobalt", "comet", "coral",
    "delta", "ember", "fable", "falcon", "fern", "garnet", "glacier", "harbour", "hazel", "heron", "indigo", "island",
    "juniper", "lantern", "linen", "maple", "marble", "meadow", "mirror", "nectar", "ocean", "olive", "orchard",
    "pebble", "pepper", "quartz", "raven", "river", "saffron", "signal", "silver", "summit", "thistle", "timber",
    "valley", "velvet", "willow", "winter",
)  # fmt: skip
LONGEST = 2_000
"""Characters of a text without `maxLength` in edge values; of one with it, at most ten times as many."""
# A zero-width joiner in a family, right to left, a combining mark, what is outside of the basic plane, a quote.
STRANGE = ("ß", "é\u0301", "漢字", "👩‍👧", "العربية", "\U0001d54f", '"', "\\", "\u2028", "{", "<b>", " ")
TRIES = 40


def text(schema: dict[str, Any], chance: random.Random, *, edge: bool) -> str:
    """Return a text for `minLength`, `maxLength`, `pattern` (a list of them) and `format`. Raises NotDrawn."""
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if most is not None and least > most:
        raise NotDrawn(f"minLength {least} is above maxLength {most}")
    if least > 10 * LONGEST:
        raise NotDrawn(f"minLength {least} is more than is made")
    patterns = schema.get("pattern", [])
    if patterns:
        return _patterned(patterns, least, most, chance, edge=edge)
    made = FORMATS.get(schema.get("format", ""))
    if made is not None:
        return _fitting(made, least, most, chance, schema["format"])
    return _edge_text(least, most, chance) if edge else _words(least, most, chance)


def _words(least: int, most: int | None, chance: random.Random) -> str:
    words = " ".join(chance.choice(WORDS) for _ in range(chance.randint(2, 4)))
    while len(words) < least:
        words += f" {chance.choice(WORDS)}"
    if most is not None and len(words) > most:
        words = words[:most]
        # No space at the end, and no word less than may be.
        words = words.rstrip() if len(words.rstrip()) >= least else words.replace(" ", "-")
    return words


def _edge_text(least: int, most: int | None, chance: random.Random) -> str:
    longest = max(least, min(10 * LONGEST, most) if most is not None else LONGEST)
    kind = chance.randrange(4)
    if kind == 0:
        return "".join(chance.choice(WORDS)[0] for _ in range(least))
    if kind == 1:
        return ("x" * longest)[:longest]
    strange = "".join(chance.choice(STRANGE) for _ in range(chance.randint(1, 6)))
    while len(strange) < least:
        strange += chance.choice(STRANGE)
    return strange[: most if most is not None else longest]


def _patterned(patterns: list[str], least: int, most: int | None, chance: random.Random, *, edge: bool) -> str:
    *others, pattern = sorted(patterns, key=len)
    why = ""
    for attempt in range(TRIES):
        # The first draws are short. Where the text has to be long, repetitions grow until it is.
        longer = least if attempt > TRIES // 4 and least else 20 if edge and attempt % 2 else 0
        try:
            found = text_like(pattern, chance, longer=min(longer, 10 * LONGEST))
        except Unreadable as error:
            raise NotDrawn(f'pattern "{pattern[:60]}" is not one that texts are made for: {error}') from None
        if len(found) < least and not pattern.endswith("$"):
            found += "x" * (least - len(found))
        if most is not None and len(found) > most and not pattern.endswith("$"):
            found = found[:most]
        if len(found) >= least and (most is None or len(found) <= most):
            if not others:
                return found
            why = why or found
    if others and why:
        return why  # Whether it matches the other patterns too is proven by who asked.
    raise NotDrawn(f'no text of {least} to {most if most is not None else "any"} characters for "{pattern[:60]}"')


def _fitting(made: Any, least: int, most: int | None, chance: random.Random, name: str) -> str:
    for _ in range(TRIES):
        found: str = made(chance)
        if len(found) >= least and (most is None or len(found) <= most):
            return found
    raise NotDrawn(f'no text of {least} to {most if most is not None else "any"} characters in the format "{name}"')


def _word(chance: random.Random) -> str:
    return chance.choice(WORDS)


def _hex(chance: random.Random, digits: int) -> str:
    return f"{chance.getrandbits(4 * digits):0{digits}x}"


def _date(chance: random.Random) -> str:
    return f"{chance.randint(2001, 2039)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"


def _time(chance: random.Random) -> str:
    return f"{chance.randrange(24):02}:{chance.randrange(60):02}:{chance.randrange(60):02}Z"


def _uuid(chance: random.Random) -> str:
    return f"{_hex(chance, 8)}-{_hex(chance, 4)}-4{_hex(chance, 3)}-8{_hex(chance, 3)}-{_hex(chance, 12)}"


FORMATS = {
    "date": _date,
    "time": _time,
    "date-time": lambda chance: f"{_date(chance)}T{_time(chance)}",
    "duration": lambda chance: f"PT{chance.randint(1, 59)}M",
    "email": lambda chance: f"{_word(chance)}@example.org",
    "idn-email": lambda chance: f"{_word(chance)}@example.org",
    "hostname": lambda chance: f"{_word(chance)}.example.org",
    "idn-hostname": lambda chance: f"{_word(chance)}.example.org",
    "ipv4": lambda chance: f"192.0.2.{chance.randint(1, 254)}",
    "ipv6": lambda chance: f"2001:db8::{chance.randint(1, 0xFFFF):x}",
    "uri": lambda chance: f"https://example.org/{_word(chance)}/{_word(chance)}",
    "uri-reference": lambda chance: f"/{_word(chance)}/{_word(chance)}",
    "iri": lambda chance: f"https://example.org/{_word(chance)}",
    "iri-reference": lambda chance: f"/{_word(chance)}",
    "uri-template": lambda chance: f"https://example.org/{_word(chance)}/{{id}}",
    "uuid": _uuid,
    "json-pointer": lambda chance: f"/{_word(chance)}/{chance.randrange(9)}",
    "relative-json-pointer": lambda chance: f"{chance.randrange(3)}/{_word(chance)}",
    "regex": lambda chance: f"^{_word(chance)}+$",
}
"""Texts by format; what stands at no such name is a text like any other. Hosts and addresses are those that RFC 2606,
5737 and 3849 keep for examples."""
