"""Draw a text that a regular expression matches: literals, classes, groups, alternatives, repetitions, anchors.

That is what schemas of agents use. Lookaround, back references, boundaries within, properties of Unicode are refused:
who draws learns that it cannot, and why. A drawn text is proven by the validator of the schema, not here.
"""

from __future__ import annotations

import random
from collections.abc import Callable

# `x*` and `x+` end here unless the text has to be longer.
MOST_MORE = 3
_PRINTABLE = tuple(map(chr, range(0x20, 0x7F)))
_DIGITS = tuple("0123456789")
_WORD = tuple("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_SPACE = (" ",)
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789"

Draw = Callable[[random.Random], str]


class Unreadable(ValueError):
    """A pattern that is not drawn from. The message says why."""


def text_like(pattern: str, chance: random.Random, *, longer: int = 0) -> str:
    """Return a text that matches the pattern. `longer` adds repetitions where there may be any number.

    Raises Unreadable.
    """
    reader = _Reader(pattern, longer)
    draw = reader.alternatives()
    if reader.place != len(pattern):
        raise Unreadable(f'")" stands alone at character {reader.place + 1}')
    return draw(chance)


class _Reader:
    """One pass over a pattern; each part becomes a function that draws it."""

    def __init__(self, pattern: str, longer: int) -> None:
        self._text = pattern
        self._more = MOST_MORE + longer
        self.place = 0

    def _next(self) -> str:
        return self._text[self.place : self.place + 1]

    def _take(self) -> str:
        found = self._next()
        if not found:
            raise Unreadable("it ends too early")
        self.place += 1
        return found

    def alternatives(self) -> Draw:
        choices = [self._sequence()]
        while self._next() == "|":
            self.place += 1
            choices.append(self._sequence())
        return choices[0] if len(choices) == 1 else lambda chance: chance.choice(choices)(chance)

    def _sequence(self) -> Draw:
        parts: list[Draw] = []
        while self._next() not in ("", "|", ")"):
            parts.append(self._repeated(self._one()))
        return lambda chance: "".join(part(chance) for part in parts)

    def _repeated(self, part: Draw) -> Draw:
        sign = self._next()
        if sign not in ("*", "+", "?", "{"):
            return part
        self.place += 1
        bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(sign) or self._bounds()
        if self._next() == "?":
            self.place += 1
        least, most = bounds[0], bounds[0] + self._more if bounds[1] is None else bounds[1]
        # Towards what was asked to be long, else anywhere.
        fewest = most if self._more > MOST_MORE and bounds[1] is None else least
        return lambda chance: "".join(part(chance) for _ in range(chance.randint(fewest, most)))

    def _bounds(self) -> tuple[int, int | None]:
        end = self._text.find("}", self.place)
        inner = self._text[self.place : end] if end >= 0 else ""
        least, comma, most = inner.partition(",")
        if not least.isdigit() or not (most.isdigit() or most == ""):
            raise Unreadable(f'"{{" at character {self.place} begins no repetition')
        self.place = end + 1
        if int(least) > 10_000 or int(most or 0) > 10_000:
            raise Unreadable("it repeats a part more than 10,000 times")
        return int(least), int(least) if not comma else int(most) if most else None

    def _one(self) -> Draw:
        sign = self._take()
        if sign == "(":
            return self._group()
        if sign == "[":
            return _any_of(self._class())
        if sign == ".":
            return _any_of(tuple(_PLAIN))
        if sign in "^$":
            return _any_of(("",))
        if sign == "\\":
            return _any_of(self._escape())
        if sign in "*+?":
            raise Unreadable(f'"{sign}" at character {self.place} repeats nothing')
        return _any_of((sign,))

    def _group(self) -> Draw:
        if self._next() == "?":
            begins, then = self._text[self.place : self.place + 2], self._text[self.place + 2 : self.place + 3]
            if begins == "?:":
                self.place += 2
            elif begins == "?<" and then not in "=!":
                self.place = self._text.find(">", self.place) + 1
            else:
                raise Unreadable("it looks ahead or behind")
        draw = self.alternatives()
        if self._take() != ")":
            raise Unreadable("a group is not closed")
        return draw

    def _escape(self) -> tuple[str, ...]:
        sign = self._take()
        if sign in _CLASSES:
            return _CLASSES[sign]
        if sign.lower() in _CLASSES:
            return tuple(one for one in _PRINTABLE if one not in _CLASSES[sign.lower()])
        if sign in _CONTROLS:
            return (_CONTROLS[sign],)
        if sign in "xu":
            digits = self._text[self.place : self.place + (2 if sign == "x" else 4)]
            self.place += len(digits)
            try:
                return (chr(int(digits, 16)),)
            except ValueError:
                raise Unreadable(f'"\\{sign}{digits}" names no character') from None
        if sign.isalnum():
            raise Unreadable(f'"\\{sign}" is not drawn from')
        return (sign,)

    def _class(self) -> tuple[str, ...]:
        without = self._next() == "^"
        self.place += without
        found: dict[str, None] = {}
        while self._next() != "]":
            first = self._member()
            if self._next() == "-" and self._text[self.place + 1 : self.place + 2] not in ("]", "") and len(first) == 1:
                self.place += 1
                last = self._member()
                if len(last) != 1 or ord(last[0]) - ord(first[0]) not in range(0x10000):
                    raise Unreadable("a range of characters has no end")
                first = tuple(chr(code) for code in range(ord(first[0]), ord(last[0]) + 1))
            found.update(dict.fromkeys(first))
        self.place += 1
        chosen = tuple(one for one in _PRINTABLE if one not in found) if without else tuple(found)
        if not chosen:
            raise Unreadable("a class of characters is empty")
        return chosen

    def _member(self) -> tuple[str, ...]:
        sign = self._take()
        if sign != "\\":
            return (sign,)
        return ("\b",) if self._next() == "b" and self._take() else self._escape()


def _any_of(choices: tuple[str, ...]) -> Draw:
    return (lambda chance: choices[0]) if len(choices) == 1 else (lambda chance: chance.choice(choices))
