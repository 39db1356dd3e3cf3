"""Prove the file of a run, without believing any of it: digests, sizes, chain, register, and the parts for reading.

Everything is read as a stream. Each event that has passed is handed to `put`; only once `prove` returns is the whole
file proven, so whoever puts keeps it apart until then.

Not here: structure and signature (opening), storing it (importing).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from runner.archive.container import broken
from runner.archive.forms import require_form
from runner.archive.gathering import Gathering, content
from runner.archive.manifest import (
    BLOBS,
    EVENTS,
    FORMAT_TEXT,
    IMAGE,
    MAX_LINE_BYTES,
    MAX_SAID_BYTES,
    MAX_VALUE_BYTES,
    EntryFacts,
    Manifest,
)  # fmt: skip
from runner.archive.opening import ExportFile
from runner.errors import RecordBroken
from runner.events import Event, EventKind, RunView
from runner.guest.wire import canonical
from runner.journal.chain import FIRST, REGISTER, link
from runner.journal.leaving import Row
from runner.journal.register import Heads, RegisterKind
from runner.journal.run import INLINE_BYTES
from runner.models import RunState

_KEYS = frozenset({"seq", "kind", "at_us", "body", "kept", "value", "value_digest", "digest"})
_TEXTS = ("kind", "body", "kept", "value_digest", "digest")
_MOST = 2**53


@dataclass(frozen=True, slots=True)
class Proven:
    """A file that is what was exported."""

    manifest: Manifest
    signer: str
    """Fingerprint of the key that signed it."""
    digest: str
    """sha256 of the file."""
    gathered: Gathering
    erased: tuple[tuple[int, str, str], ...]
    """Seq, digest and reason of each value that was erased before it was exported."""


def prove(export: ExportFile, put: Callable[[Row], object]) -> Proven:
    """Check all of a file; hand each event that has passed to `put`. Raises RecordBroken naming what is first wrong."""
    before = export.digest()
    chain = _Chain(export)
    for line in _lines(export.read(EVENTS)):
        put(chain.take(line))
    chain.end()
    _check_register(export.manifest.entries, chain.gathered)
    _check_other_parts(export, chain)
    if export.digest() != before:
        raise broken("it was changed while it was read")
    erased = tuple((seq, *said) for seq, said in sorted(chain.erasures.items()))
    return Proven(export.manifest, export.signer, before, chain.gathered, erased)


class _Chain:
    """Takes the lines of one run's events, in order."""

    def __init__(self, export: ExportFile) -> None:
        self._export = export
        self._previous = FIRST
        self._view = RunView()
        self.gathered = Gathering(export.run)
        self.erasures = _erasures(export.manifest.entries)
        """Seq → digest and reason, as the register says."""
        self._erased: set[int] = set()
        self.blobs: set[str] = set()
        """Long values that events have."""

    def take(self, line: bytes) -> Row:
        """Return the event of a line. Raises RecordBroken: it is not the one that follows."""
        seq = self.gathered.seq + 1
        try:
            row, kept = _row(line, self._blob)
            self._check_link(row, seq)
            self._check_value(row, kept)
            self._check_words(row)
        except RecordBroken as error:
            if error.hint:  # It is of the file, and says so itself.
                raise
            raise broken(f'event {seq} of run "{self._export.run}" {error.message}') from error
        self._previous = row.digest
        return row

    def end(self) -> None:
        """Check what can be said once all were taken."""
        if not self.gathered.seq:
            raise broken("it has no events")
        if self.erasures.keys() != self._erased:
            raise broken("its register says of other values that they were erased than its events do")
        if self._export.manifest.facts != self.gathered.facts():
            raise broken("its manifest says of the run what its events do not")

    def _blob(self, digest: str) -> str:
        pieces = self._export.read(BLOBS + digest, limit=MAX_VALUE_BYTES)
        self.blobs.add(digest)
        try:
            return b"".join(pieces).decode()
        except UnicodeDecodeError as error:
            raise RecordBroken("has a value that is no UTF-8") from error

    def _check_link(self, row: Row, seq: int) -> None:
        if row.seq > seq:
            raise RecordBroken("is missing")
        if row.seq < seq:
            raise RecordBroken(f"is not there: event {row.seq} stands in its place, a second time or out of order")
        if self.gathered.ended:
            raise RecordBroken("was added after the run's end")
        if (
            link(self._export.run, seq, row.kind, row.at_us, row.body, row.value_digest, self._previous) != row.digest
        ):  # fmt: skip
            raise RecordBroken("was altered, or another stands in its place")
        if row.at_us < self.gathered.last_us:
            raise RecordBroken("is from before the event that it follows")

    def _check_value(self, row: Row, kept: str) -> None:
        if (kept == "none") != (not row.value_digest):
            raise RecordBroken("has lost its value, or has one that it never had")
        if row.value is not None:
            encoded = row.value.encode()
            if sha256(encoded).hexdigest() != row.value_digest:
                raise RecordBroken("has another value than it was written with")
            if len(encoded) > MAX_SAID_BYTES and row.kind != EventKind.RUN_SUBMITTED:
                raise RecordBroken(f"has a value of {len(encoded):,} bytes, and {MAX_SAID_BYTES:,} is the most")
            if (len(encoded) > INLINE_BYTES) != row.long:
                raise RecordBroken("does not keep its value where one of that length is kept")
        elif kept == "erased":
            self._erased.add(row.seq)
            if self.erasures.get(row.seq, ("", ""))[0] != row.value_digest:
                raise RecordBroken("says of its value's erasure what the register does not")

    def _check_words(self, row: Row) -> None:
        """Check that it says what readers of a journal will look for."""
        if row.seq == 1 and row.kind != EventKind.RUN_SUBMITTED:
            raise RecordBroken(f'begins the run with "{row.kind}"')
        if row.seq > 1 and row.kind == EventKind.RUN_SUBMITTED:
            raise RecordBroken("begins the run a second time")
        body = _body(row.body)
        require_form(EventKind(row.kind), body, content(row.value))
        event = Event(
            self._export.run, row.seq, EventKind(row.kind), row.at_us, body, row.value, row.value_digest, row.digest
        )  # fmt: skip
        try:
            self._view.apply(event)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise RecordBroken("does not say what an event of its kind says") from error
        self.gathered.take(row, body)
        if self.gathered.state not in set(RunState):
            raise RecordBroken("ends the run in no state that this version knows")


def _row(line: bytes, blob: Callable[[str], str]) -> tuple[Row, str]:
    """Return the event of a line, and where its value is kept. Its digests are not checked yet."""
    try:
        found = json.loads(line)
        exact = canonical(found).encode() == line
    except (ValueError, RecursionError) as error:
        raise RecordBroken("is no JSON") from error
    if (
        not exact
        or type(found) is not dict
        or found.keys() != _KEYS
        or not all(type(found[name]) is str for name in _TEXTS)
        or not all(type(found[name]) is int and 0 <= found[name] < _MOST for name in ("seq", "at_us"))
        or (type(found["value"]) is str) != (found["kept"] == "here")
        or found["kept"] not in ("here", "blob", "erased", "none")
    ):
        raise RecordBroken("is not written as one")
    if found["kind"] not in set(EventKind):
        raise RecordBroken(f"has the kind {found['kind'][:40]!a}, which this version does not know")
    kept, value = found.pop("kept"), found.pop("value")
    if kept == "blob":
        value = blob(found["value_digest"])
    return Row(**found, value=value, erased=kept == "erased", long=kept == "blob"), kept


def _body(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
        if type(body) is not dict or canonical(body) != text:
            raise RecordBroken("has a body that is not written as one")
    except (ValueError, RecursionError) as error:
        raise RecordBroken("has a body that is no JSON") from error
    return body


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a part, without their line feeds."""
    rest = bytearray()
    for piece in pieces:
        rest += piece
        if b"\n" not in piece:
            if len(rest) > MAX_LINE_BYTES:
                raise broken(f"an event takes more than {MAX_LINE_BYTES:,} bytes")
            continue
        *whole, last = bytes(rest).split(b"\n")
        yield from whole
        rest = bytearray(last)
    if rest:
        raise broken("its last event is cut short")


def _erasures(entries: list[EntryFacts]) -> dict[int, tuple[str, str]]:
    found: dict[int, tuple[str, str]] = {}
    for entry in entries:
        if entry.kind == RegisterKind.VALUE_ERASED:
            body = _entry_body(entry)
            seq, digest, reason = (body.get(name) for name in ("seq", "value_digest", "reason"))
            if type(seq) is not int or type(digest) is not str or type(reason) is not str:
                raise broken(f"entry {entry.seq} of its register does not say what was erased")
            found[seq] = (digest, reason)
    return found


def _entry_body(entry: EntryFacts) -> dict[str, Any]:
    try:
        return _body(entry.body)
    except RecordBroken as error:
        raise broken(f"entry {entry.seq} of its register {error.message}") from error


def _check_register(entries: list[EntryFacts], gathered: Gathering) -> None:
    """Check that what the register said of the run is what the events are."""
    heads, last = Heads(), 0
    for entry in entries:
        body = _entry_body(entry)
        at = f"entry {entry.seq} of its register"
        digest = link(REGISTER, entry.seq, entry.kind, entry.at_us, entry.body, "", entry.previous)
        if digest != entry.digest or entry.seq <= last or body.get("run") != gathered.run:
            raise broken(f"{at} was altered, or is of another run")
        last = entry.seq
        if entry.kind.startswith("run_"):
            try:
                taken = heads.take(entry.kind, (body["seq"], body["digest"]), body)
            except (KeyError, TypeError) as error:
                raise broken(f"{at} does not say where the run stood") from error
            if not taken:
                raise broken(f"{at} cannot follow those before it")
    ended = (gathered.seq, gathered.digest) if gathered.ended else None
    if heads.begun != (1, gathered.first) or heads.ended != ended or heads.pruned is not None:
        raise broken("its register knows the run otherwise than its events tell it")


def _check_other_parts(export: ExportFile, chain: _Chain) -> None:
    blobs = {name.removeprefix(BLOBS) for name in export.listed if name.startswith(BLOBS)}
    if unused := blobs - chain.blobs:
        raise broken(f'no event has its value "{min(unused)}"')
    expected = {"format": FORMAT_TEXT, **chain.gathered.readable()}
    for name in export.listed.keys() - {EVENTS, IMAGE} - {BLOBS + digest for digest in blobs}:
        if b"".join(export.read(name)) != expected.pop(name, None):
            raise broken(f'its part "{name}" is not what its events say')
    if expected:
        raise broken(f'it has no part "{min(expected)}"')
    if bool(export.manifest.image) != (IMAGE in export.listed):
        raise broken("its manifest says of its image what its parts do not")
    if IMAGE in export.listed:
        for _ in export.read(IMAGE):
            pass
