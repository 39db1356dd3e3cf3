"""Take credentials out of what a resource answers: an echo must not hand an agent what the gateway put on its request.

Looked for in the spellings of `policy.references.forms`, also where one is spread over chunks. Not found: a value that
is compressed (the gateway asks for none), encrypted, split by other text, or inside a longer base64.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from runner.policy.references import REDACTED, forms

_REDACTED = REDACTED.encode()
# A shorter value is found in answers by chance.
_SHORTEST_CHARS = 8


class Redactor:
    """One answer's redaction. Feed it all chunks in order, then `end`."""

    def __init__(self, values: Iterable[str]) -> None:
        found = {form.encode() for value in values if len(value) >= _SHORTEST_CHARS for form in forms(value)}
        self._forms = sorted(found, key=len, reverse=True)
        self._keep = max(map(len, found), default=1) - 1
        self._rest = b""
        self.count = 0
        """How many were taken out."""

    def feed(self, data: bytes) -> bytes:
        """Return what can be told so far: the end is kept back, a value may begin in it."""
        text = self._replaced(self._rest + data)
        cut = max(0, len(text) - self._keep)
        self._rest = text[cut:]
        return text[:cut]

    def end(self) -> bytes:
        """Return what was kept back."""
        rest, self._rest = self._rest, b""
        return rest

    def finds(self, name: str) -> bool:
        """Say whether a name holds one, in whatever case: names of headers are written in lower case on the way."""
        low = name.lower().encode("latin-1", "replace")
        return any(form.lower() in low for form in self._forms)

    def whole(self, text: str) -> str:
        """Return a short text, such as a header, without them."""
        return self._replaced(text.encode("latin-1", "replace")).decode("latin-1")

    def _replaced(self, data: bytes) -> bytes:
        # Nearly no answer holds one, and compiling the pattern of a long token takes milliseconds.
        if not any(form in data for form in self._forms):
            return data
        text, count = re.subn(b"|".join(map(re.escape, self._forms)), _REDACTED, data)
        self.count += count
        return text
