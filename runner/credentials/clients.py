"""Who may ask the embedded issuer about tokens: resource servers, each for the audiences that it is.

They stand in one file of the home, with the digest of what they show and not with the thing itself: who reads the file
cannot ask in their name. What they show are 256 random bits, so a plain digest is enough.

Not here: the protocol in which they ask (service).
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import StoreError, UsageError
from runner.models import digest_of
from runner.private import alone, read_private, write_private

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_FILE_BYTES = 1024 * 1024
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Client:
    """One resource server."""

    name: str
    audiences: frozenset[str]
    all_audiences: bool = False

    def may_see(self, audiences: Iterable[str]) -> bool:
        """Whether a token for these is its business."""
        return self.all_audiences or not self.audiences.isdisjoint(audiences)


class Clients:
    """The registered clients of a home. Another process may add one at any time; it is known at once."""

    def __init__(self, home: Path) -> None:
        self._path = home / "issuer-clients.json"
        self._lock = home / "issuer-clients.lock"

    def add(
        self, name: str, audiences: Iterable[str] = (), *, all_audiences: bool = False, replace: bool = False
    ) -> str:
        """Register a client, and return what it shows from now on: this once, it is not kept.

        With `replace` one of this name may be there already; what that one showed is then worth nothing.

        Raises UsageError for a name or audience that cannot be, StoreError where the file cannot be used.
        """
        wanted = sorted(set(audiences))
        _check(name, wanted, all_audiences)
        shown = secrets.token_urlsafe(32)
        with alone(self._lock):
            entries = self._entries()
            if name in entries and not replace:
                raise UsageError(
                    f'a client "{name}" is registered already', hint="--replace gives it a new credential and audiences"
                )
            entry = {"sha256": digest_of(shown), "audiences": wanted, "all_audiences": all_audiences}
            text = json.dumps({"version": _VERSION, "clients": {**entries, name: entry}}, indent=1)
            if len(text) > _MAX_FILE_BYTES:
                raise UsageError("there are too many clients for one file")
            write_private(self._path, text.encode("ascii"))
        return shown

    def known(self, name: str, shown: str) -> Client | None:
        """Return the client of this name if it shows what it was given. Raises StoreError."""
        entry = self._entries().get(name)
        # Compared in any case: an unknown name takes as long as a wrong credential.
        fits = hmac.compare_digest(digest_of(shown), entry["sha256"] if entry else "0" * 64)
        if entry is None or not fits:
            return None
        return Client(name, frozenset(entry["audiences"]), entry["all_audiences"])

    def _entries(self) -> Mapping[str, Any]:
        data = read_private(self._path, limit=_MAX_FILE_BYTES)
        if data is None:
            return {}
        try:
            found = json.loads(data)
            if found["version"] == _VERSION and all(map(_is_entry, found["clients"].values())):
                return dict(found["clients"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            pass
        raise StoreError(f'"{self._path}" is broken', hint="restore it, or move it away and register the clients anew")


def _check(name: str, audiences: list[str], all_audiences: bool) -> None:
    if _NAME.fullmatch(name) is None:
        raise UsageError(f'"{name}" cannot be a client\'s name', hint='letters, digits, ".", "_" and "-", 64 at most')
    if "*" in audiences:
        raise UsageError('"*" is no audience', hint="--all-audiences lets a client ask about every token")
    if "" in audiences or bool(audiences) == all_audiences:
        raise UsageError(
            f'client "{name}" is for no audience, or for some and for all',
            hint="--audience once or more, or else --all-audiences",
        )


def _is_entry(value: Any) -> bool:
    return (
        type(value) is dict
        and value.keys() == {"sha256", "audiences", "all_audiences"}
        and _DIGEST.fullmatch(value["sha256"]) is not None
        and type(value["audiences"]) is list
        and all(type(audience) is str for audience in value["audiences"])
        and type(value["all_audiences"]) is bool
    )
