"""Look at the bytes of a script before the parser does.

The parser of CPython is not made for hostile text: deep nesting ends in MemoryError, and a coding cookie, a byte order
mark, a lone carriage return or a bidirectional control make what a reviewer sees differ from what runs. So size,
decoding, characters, tokens and nesting are checked first, in one scan that never raises.

Not here: syntax and the rules of the dialect (compiler, rules).
"""

from __future__ import annotations

import re

from runner.guest.dialect.remarks import Remark, remark

MAX_BYTES = 1 << 20
# A token costs up to 300 bytes as a tree: 100,000 of them stay below 32 MB. A script of 1,000 lines has about 10,000.
MAX_TOKENS = 100_000
MAX_LINES = 20_000
# CPython itself stops at 200 brackets; human code stays below 15.
MAX_BRACKETS = 64
# Levels of the syntax tree. The rewrite recurses three frames a level, and the host calls it below a stack of its own.
MAX_DEPTH = 150
# CPython allows 20 blocks inside each other; where comprehensions make them more, 3.12 and 3.13 crash.
MAX_BLOCKS = 18

_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_COOKIE = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_LONE_CR = re.compile(r"\r(?!\n)")
# Other characters that Python or a terminal treats in a way the eye does not see.
_CONTROL = re.compile("[\x01-\x08\x0b\x0e-\x1f\x7f\u2028\u2029]")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_PIECE = re.compile(
    r"'''(?:[^\\]|\\.)*?'''|\"\"\"(?:[^\\]|\\.)*?\"\"\""
    r"|'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|#[^\n]*|[(\[{]|[)\]}]",
    re.DOTALL,
)
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+.-]*)[ \t]*$")


def decode(source: str | bytes) -> tuple[str | None, Remark | None]:
    """Return the text with `\\n` line ends, or the remark that says why it is none."""
    try:
        data = source.encode("utf-8") if isinstance(source, str) else bytes(source)
    except UnicodeEncodeError as error:
        return None, _at(str(source), error.start, "not-text", "it has a lone surrogate")
    if len(data) > MAX_BYTES:
        return None, remark("too-big", 1, 1, "", f"the script has {len(data):,} bytes; at most {MAX_BYTES:,} are read")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        return None, _at(before, len(before), "not-text", f"byte {error.start} is 0x{data[error.start]:02x}")
    fault = _character_fault(text)
    if fault is not None:
        return None, fault
    return text.replace("\r\n", "\n"), None


def measure(text: str) -> Remark | None:
    """Return a remark when the text is larger or deeper than the parser is given."""
    lines = text.count("\n") + 1
    if lines > MAX_LINES:
        return remark("too-big", MAX_LINES, 1, "", f"the script has {lines:,} lines; at most {MAX_LINES:,} are read")
    # A text of fewer characters than that cannot have more tokens.
    if len(text) > MAX_TOKENS:
        tokens = sum(1 for _ in _TOKEN.finditer(text))
        if tokens > MAX_TOKENS:
            return remark("too-big", 1, 1, "", f"the script has {tokens:,} tokens; at most {MAX_TOKENS:,} are read")
    return _nesting_fault(text)


def extract_fence(text: str) -> str | None:
    """Return what stands inside the Markdown code fence of a model's answer; None if there is not exactly one."""
    lines = text.splitlines()
    marks = [(n, found) for n, found in ((n, _FENCE.match(line)) for n, line in enumerate(lines)) if found]
    if len(marks) != 2:
        return None
    (first, opened), (last, closed) = marks
    if closed[2] or opened[1][0] != closed[1][0] or len(closed[1]) < len(opened[1]):
        return None
    return "\n".join(lines[first + 1 : last]) + "\n"


def _character_fault(text: str) -> Remark | None:
    if text.startswith("\ufeff"):
        return remark("not-text", 1, 1, "", "it begins with a byte order mark")
    nul = text.find("\0")
    if nul >= 0:
        return _at(text, nul, "not-text", "it has a NUL character")
    for pattern, what in (
        (_LONE_CR, "it has a carriage return that ends no line"),
        (_BIDI, "it has a bidirectional control character"),
        (_CONTROL, "it has a control character"),
    ):
        found = pattern.search(text)
        if found:
            return _at(text, found.start(), "not-text", what)
    return _cookie_fault(text)


def _cookie_fault(text: str) -> Remark | None:
    for number, line in enumerate(text.split("\n", 2)[:2], start=1):
        found = _COOKIE.match(line)
        if found and found[1].lower().replace("_", "-") not in ("utf-8", "utf8"):
            return remark("not-text", number, 1, line, f'its coding cookie says "{found[1]}"')
    return None


def _nesting_fault(text: str) -> Remark | None:
    depth = 0
    for found in _PIECE.finditer(text):
        piece = found[0]
        if piece in "([{":
            depth += 1
            if depth > MAX_BRACKETS:
                return _at(text, found.start(), "too-nested", f"brackets are nested more than {MAX_BRACKETS} deep")
        elif piece in ")]}":
            depth = max(0, depth - 1)
    return None


def _at(text: str, index: int, rule: str, *details: str) -> Remark:
    start = text.rfind("\n", 0, index) + 1
    end = text.find("\n", index)
    line = text[start : end if end >= 0 else len(text)]
    return remark(rule, text.count("\n", 0, index) + 1, index - start + 1, line, *details)
