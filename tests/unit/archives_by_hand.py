"""Export files made by hand: a store with runs, its file, and files that are forged part by part and signed again."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.archive.container import Container, ContainerWriter, Digests
from runner.archive.exporting import Exported, Frame, export
from runner.archive.importing import import_file, verify_file
from runner.archive.manifest import KEY, MANIFEST, SIGNATURE
from runner.archive.signing import archive_key
from runner.errors import RunnerError
from runner.guest.wire import canonical
from runner.journal import SqliteJournal, open_store

FRAME = Frame("0.1.0")


def exported(store: SqliteJournal, run: str, path: Path) -> Exported:
    return export(store.archive, run, path, FRAME)


def parts_of(data: bytes) -> dict[str, bytes]:
    """Return name → content of every part, in order."""
    container = Container(io.BytesIO(data))
    manifest = json.loads(data[_place(container, MANIFEST)])
    listed = {one["name"]: Digests(one["sha256"], one["stored_sha256"]) for one in manifest["parts"]}
    found = {name: b"".join(container.read(name, digests=digests, limit=2**32)) for name, digests in listed.items()}
    return found | {name: data[_place(container, name)] for name in (MANIFEST, SIGNATURE, KEY)}


def _place(container: Container, name: str) -> slice:
    part = container.parts[name]
    begin = part.offset + len(part.local())
    return slice(begin, begin + part.stored)


def forged(
    data: bytes, home: Path, *, change: Callable[[dict[str, bytes]], None] | None = None,
    say: Callable[[dict[str, Any]], None] | None = None, packed: Callable[[list[str]], list[str]] | None = None,
) -> bytes:  # fmt: skip
    """Return the file with parts changed and with its manifest saying otherwise, signed as well as its signer could."""
    parts = parts_of(data)
    manifest = json.loads(parts.pop(MANIFEST))
    del parts[SIGNATURE], parts[KEY]
    if change is not None:
        change(parts)
    file, key = io.BytesIO(), archive_key(home)
    writer = ContainerWriter(file)
    manifest["parts"] = []
    for name in (packed or list)(list(parts)):
        digests = writer.add(name, [parts[name]], deflate=name != "format")
        facts = {"name": name, "size": len(parts[name]), "sha256": digests.content, "stored_sha256": digests.stored}
        manifest["parts"].append(facts)
    if say is not None:
        say(manifest)
    text = canonical(manifest).encode()
    for name, content in ((MANIFEST, text), (SIGNATURE, key.sign(text)), (KEY, key.public)):
        writer.add(name, [content], deflate=False)
    writer.finish()
    return file.getvalue()


def refused(store: SqliteJournal, data: bytes, folder: Path) -> RunnerError:
    """Import and verify a file; return what is said. The store is as it was, both say the same."""
    path = folder / "hostile.zip"
    path.write_bytes(data)
    before = snapshot(store)
    with pytest.raises(RunnerError) as imported:
        import_file(store.archive, path, by="me")
    with pytest.raises(RunnerError) as verified:
        verify_file(store.archive, path)

    assert snapshot(store) == before
    assert imported.value.message == verified.value.message
    assert imported.value.exit_code in (2, 8)
    return imported.value


def snapshot(store: SqliteJournal) -> list[Any]:
    """Return everything that the store says."""
    from contextlib import closing

    from runner.journal.schema import connect

    with closing(connect(store.path)) as connection:
        return [
            connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in ("event", "blob", "register", "run", "trait", "lease")
        ]


def empty(folder: Path, name: str = "other") -> SqliteJournal:
    return open_store(folder / name)


def lines_of(parts: dict[str, bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in parts["events.jsonl"].splitlines()]


def put_lines(parts: dict[str, bytes], lines: list[dict[str, Any]]) -> None:
    parts["events.jsonl"] = b"".join(canonical(line).encode() + b"\n" for line in lines)
