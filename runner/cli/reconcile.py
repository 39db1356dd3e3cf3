"""`runner audit --reconcile FILE`: what a server says that it issued, beside what this record says that it got.

The file is a JSON array, or JSON lines, of objects. A token is told by `jti`, or by `token` or `access_token` for
opaque ones; those texts are fingerprinted and kept nowhere. Only tokens of external issuers are compared: the embedded
issuer's log is this record.

Not here: which tokens are selected (selected).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from runner.cli.selected import Selected
    from runner.engine import Runner

MOST_BYTES = 256 * 1024 * 1024
_TEXTS = ("token", "access_token", "jti")


def reconciled(runner: Runner, selected: Selected, path: Path, form: str) -> int:
    """Compare and tell. Exit 0: the two agree; 9: they do not."""
    from runner.cli.output import put, put_json
    from runner.credentials.keys import fingerprint_key

    key = fingerprint_key(runner.store.home)
    ours = {one.id: one for one in selected.tokens() if one.external}
    by_name: dict[str, str] = {}
    for one in ours.values():
        by_name.update({name: one.id for name in (one.jti, one.fingerprint) if name})
    matched: set[str] = set()
    foreign: list[int] = []
    for line, entry in enumerate(_entries(path), start=1):
        found = next((by_name[name] for name in _names(entry, key) if name in by_name), None)
        if found is None:
            foreign.append(line)
        else:
            matched.add(found)
    unknown_there = [one.id for one in ours.values() if one.issued_at and one.id not in matched]
    agree = not foreign and not unknown_there
    told = {
        "version": 1, "agree": agree, "matched": len(matched), "only_there": foreign, "only_here": unknown_there,
    }  # fmt: skip
    if form == "json":
        put_json(told)
    else:
        put(f"{len(matched):,} tokens stand in both")
        for number in foreign:
            put(f"only there: entry {number} of {path.name}")
        for token in unknown_there:
            one = ours[token]
            put(f"only here: token {token} of run {one.run}, spawn {one.spawn}, issuer {one.issuer}")
    return ExitCode.DONE if agree else ExitCode.EXPECTATION


def _names(entry: dict[str, Any], key: bytes) -> list[str]:
    """Return how a token may be known here: its id, or the fingerprints of what may be its text."""
    from runner.models import Token

    names = [str(entry["jti"])] if "jti" in entry else []
    for field in _TEXTS:
        value = entry.get(field)
        if isinstance(value, str):
            try:
                names.append(Token(value).fingerprint(key))
            except ValueError:
                continue
    return names


def _entries(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a log. Raises UsageError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f'"{path}" is larger than {MOST_BYTES >> 20} MiB')
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f'"{path}" cannot be read: {error}') from None
    try:
        lines = [line for line in text.splitlines() if line.strip()]
        found = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in lines]
    except (ValueError, RecursionError) as error:
        raise UsageError(f'"{path}" is no JSON: {error}', hint="a JSON array, or one JSON object a line") from None
    named = [entry for entry in found if isinstance(entry, dict) and any(field in entry for field in _TEXTS)]
    if len(named) != len(found):
        raise UsageError(f'"{path}" has entries without "jti", "token" or "access_token"', hint="leave others out")
    return named
