"""Which text the bytes of an answer are: UTF-8, whatever its server names.

A server says a charset in Content-Type, and an HTTP library takes any codec of Python by that name. Some are slow on
purpose-made input ("punycode" takes 3 s for 240 kB), and they run in the process that reads, on its event loop.

Not here: how many bytes are read (agents, credentials).
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping

# Codecs written in C, whose time grows with the input and no faster.
_SWIFT = (
    "utf-8", "utf8", "us-ascii", "ascii", "utf-16", "utf-16le", "utf-16be", "iso-8859-1", "latin-1", "iso-8859-2",
    "iso-8859-9", "iso-8859-15", "windows-1250", "windows-1251", "windows-1252", "windows-1254", "koi8-r", "shift_jis",
    "euc-jp", "euc-kr", "gb2312", "gbk", "gb18030", "big5",
)  # fmt: skip
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([A-Za-z0-9_.-]{1,40})"?\s*(?:;|$)', re.IGNORECASE)
_MOST_CHARS = 1_000


def only_utf8(headers: MutableMapping[str, str]) -> None:
    """Take all but the media type out of an answer's Content-Type: nobody decodes by a name that stood there."""
    if "content-type" in headers:
        headers["content-type"] = headers["content-type"].partition(";")[0].strip()


def swift(content_type: str) -> str:
    """Return the charset by which an answer of this Content-Type may be decoded: its own, if that is a swift one."""
    found = _CHARSET.search(content_type[:_MOST_CHARS])
    named = found[1].lower() if found else ""
    return named if named in _SWIFT else "utf-8"
