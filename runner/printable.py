"""Text of scripts and agents, made fit to be shown: nothing of it may act on a terminal or hide what it says.

Rule 3 in one place: every room that prints what it did not write itself goes through here.
"""

from __future__ import annotations

import json
import re

# ECMA-48 sequences: CSI, then OSC/DCS/SOS/PM/APC up to their terminator (or the end of the line), then
# any other two-character escape. The C1 forms (U+009B ...) count as their two-character ones.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# C0 without tab and line feed, DEL, C1, the bidirectional controls of Unicode TR 9, line and paragraph
# separators, the byte order mark, lone surrogates, and the invisible tag characters.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
_ELLIPSIS = "…"


def clean(text: str, *, limit: int = 0) -> str:
    """Return the text on one line without what a terminal would act on.

    Sequences and control characters are removed; line feeds and tabs become a space. Longer than
    `limit` characters (0: no limit) is cut and ends in an ellipsis.
    """
    # Cut before the expressions run: a script may log a megabyte.
    kept = clean_block(text[: limit * 4] if limit else text)
    kept = kept.replace("\n", " ").replace("\t", " ")
    if limit and (len(kept) > limit or len(text) > limit * 4):
        return kept[: limit - 1] + _ELLIPSIS
    return kept


def clean_block(text: str) -> str:
    """Return the text without what a terminal would act on; line feeds and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return HIDDEN.sub("", _SEQUENCE.sub("", text.replace("\r\n", "\n")))


def json_text(value: object, *, indent: bool) -> str:
    """Return JSON on one compact line, or indented by two.

    Keys stay in the script's order. Letters beyond ASCII stand as they are; characters that `clean`
    would remove stand as escapes, so that the text parses to the same value everywhere.
    """
    separators = (",", ": ") if indent else (",", ":")
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2 if indent else None, separators=separators)
    return text if text.isascii() and "\x7f" not in text else HIDDEN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    # Line feeds are the indentation's own: inside JSON strings they are escaped already.
    code = ord(found[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
