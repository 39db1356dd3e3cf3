"""The key of this home that signs what leaves its archive: exports, and heads of the register.

It is in the file `archive.pem` of the home, made on first use, beside `keys`, which belongs to the issuer alone. What
is signed says what it is ("runner export", "runner head"): no signature of one passes for the other.

Not here: what is signed (manifest, heads), keys and signatures themselves (runner.signing).
"""

from __future__ import annotations

from pathlib import Path

from runner.errors import StoreError
from runner.private import read_private, write_private_once
from runner.signing import MAX_KEY_BYTES, HomeKey, new_key, private_key


def archive_key(home: Path) -> HomeKey:
    """Return the key of a home, made on first use. Raises StoreError for a file that is broken or not private."""
    path = home / "archive.pem"
    data = read_private(path, limit=MAX_KEY_BYTES)
    if data is None:
        write_private_once(path, new_key())
        data = read_private(path, limit=MAX_KEY_BYTES) or b""
    key = private_key(data)
    if key is None:
        raise StoreError(
            f'the key "{path}" is broken',
            hint="restore it, or move it away: what it signed is then told as signed by another key",
        )
    return key
