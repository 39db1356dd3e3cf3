"""References within a schema: a JSON pointer in a fragment (RFC 6901 section 6), read as the schema library reads it.

The fragment is decoded before it is split, so that `%2F` separates as `/` does, and only `~1` stands for it in a name.
"""

from __future__ import annotations

from urllib.parse import unquote

from runner.models import Json


def walk(root: Json, reference: str) -> tuple[Json, str] | None:
    """Return what a JSON pointer in a fragment means, and the pointer as the validators' map spells it."""
    found, place = root, "#"
    for part in unquote(reference).split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
        place += f"/{part}"
    return found, place


def escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
