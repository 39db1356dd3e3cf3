"""How one event is tied to the one before it. This header is the specification; a golden test holds it.

A chain is a sequence of entries, numbered 1, 2, 3 ... Its name is the run's id, or `REGISTER` for the
register. The digest of entry n is the sha256, as 64 lower-case hex digits, of the UTF-8 of this text:

    runner journal 1 LF
    <name of the chain> LF
    <n, decimal> LF
    <kind> LF
    <at_us, decimal> LF
    <digest of the value, 64 hex digits; empty where the entry never had a value> LF
    <digest of entry n - 1; 64 zeros for the first> LF
    <body, JSON text with sorted keys and no spaces>

The text is unambiguous: none of the seven lines before the body can hold a line feed (names and kinds
are checked, the rest are numbers and hex), and the body is all that follows. Two different entries
therefore never share a text. The value is covered through its digest alone, so that it can be erased
and the chain still verifies.

The digest of a value is the sha256 of its text's UTF-8. A change of any of this is a new version, with
a new first line; entries of version 1 are read and verified for ever.

Not here: where entries are kept (schema), what was in them (events), who checks them (verify).
"""

from __future__ import annotations

import re
from hashlib import sha256

VERSION = 1
REGISTER = "register"
FIRST = "0" * 64
"""Stands for the digest before the first entry."""

PREFIX = f"runner journal {VERSION}\n"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def is_run_id(name: str) -> bool:
    """Say whether a run may have this name: plain ASCII, no line feed, and not the register's."""
    return _RUN_ID.fullmatch(name) is not None and name != REGISTER


def link(chain: str, seq: int, kind: str, at_us: int, body: str, value_digest: str, previous: str) -> str:
    """Return the digest of one entry. `kind` is a plain `str`, `previous` the digest before it."""
    text = f"{PREFIX}{chain}\n{seq}\n{kind}\n{at_us}\n{value_digest}\n{previous}\n{body}"
    return sha256(text.encode()).hexdigest()
