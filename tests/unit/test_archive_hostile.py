"""No file that is not what was exported gets into a store: altered, cut, forged and signed again, or made to harm."""

from __future__ import annotations

import asyncio
import io
import os
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.archive import manifest as manifest_module
from runner.archive.container import Container
from runner.archive.signing import archive_key
from runner.errors import ExitCode, RecordBroken, UsageError
from runner.events import EventKind
from runner.journal import SqliteJournal, open_store
from runner.journal.chain import FIRST, link
from tests.unit.archives_by_hand import empty, exported, forged, lines_of, put_lines, refused
from tests.unit.journals_by_hand import FINISHED, written
from tests.unit.journals_by_hand import begin as begun

FLIPS = settings(
    max_examples=int(os.environ.get("RUNNER_FUZZ_EXAMPLES", "150")), deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def home(folder: Path) -> Path:
    """A store with a run whose file has every kind of part; event 3 was redacted."""
    store = written(folder / "home", "r1", "r2", long=True)
    store.archive.redact("r1", 1, "inputs", by="me", reason="personal data")
    exported(store, "r1", folder / "r1.zip")
    exported(store, "r2", folder / "r2.zip")
    store.close()
    return folder / "home"


@pytest.fixture(scope="module")
def data(home: Path, folder: Path) -> bytes:
    return (folder / "r1.zip").read_bytes()


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[SqliteJournal]:
    other = empty(folder)
    yield other
    other.close()


# --- altered bytes ---------------------------------------------------------------------------


def regions(data: bytes) -> dict[str, tuple[int, int]]:
    """Return name → where each region of a file begins and ends: header and content of every part, and the end."""
    parts = Container(io.BytesIO(data)).parts.values()
    found = {}
    for part in parts:
        middle = part.offset + len(part.local())
        found[f"header of {part.name[:12]}"] = (part.offset, middle)
        found[part.name[:12]] = (middle, middle + part.stored)
    return found | {"directory and end": (middle + part.stored, len(data))}


@pytest.mark.parametrize("bit", [0, 3, 7])
def test_a_flipped_bit_in_every_region_is_refused(
    store: SqliteJournal, data: bytes, folder: Path, bit: int
) -> None:  # fmt: skip
    for begin, end in regions(data).values():
        for place in {begin, (begin + end) // 2, end - 1}:
            altered = bytearray(data)
            altered[place] ^= 1 << bit
            refused(store, bytes(altered), folder)


@FLIPS
@given(st.data())
def test_a_flipped_bit_anywhere_is_refused(store: SqliteJournal, data: bytes, folder: Path, draw: st.DataObject) -> None:
    place = draw.draw(st.integers(0, len(data) * 8 - 1))
    altered = bytearray(data)
    altered[place // 8] ^= 1 << place % 8
    error = refused(store, bytes(altered), folder)

    assert place // 8 < 72 or isinstance(error, RecordBroken)


def test_a_file_cut_short_anywhere_is_refused(store: SqliteJournal, data: bytes, folder: Path) -> None:
    for length in [*range(0, 130, 7), *range(130, len(data), 97), len(data) - 1]:
        refused(store, data[:length], folder)


@pytest.mark.parametrize("more", [b"\0", b"PK\5\6" + b"\0" * 18])
def test_bytes_after_before_or_within_the_file_are_refused(
    store: SqliteJournal, data: bytes, folder: Path, more: bytes
) -> None:  # fmt: skip
    part = Container(io.BytesIO(data)).parts["script.py"]
    for altered in (data + more, more + data, data[: part.offset] + more + data[part.offset :]):
        refused(store, altered, folder)


@FLIPS
@given(noise=st.binary(max_size=300))
def test_bytes_that_are_no_export_are_told_as_such(store: SqliteJournal, folder: Path, noise: bytes) -> None:
    error = refused(store, noise, folder)

    assert isinstance(error, UsageError)
    assert error.message == "this is no file that `runner export` wrote"


def test_a_file_of_a_later_version_is_told_as_such(store: SqliteJournal, data: bytes, folder: Path) -> None:
    error = refused(store, data.replace(b"runner export 1\n", b"runner export 2\n"), folder)

    assert error.exit_code is ExitCode.USAGE
    assert error.message == "the file has format 2; this version of runner knows format 1"


# --- zips of other makers ----------------------------------------------------------------------


def rezipped(data: bytes, *, extra: list[tuple[zipfile.ZipInfo, bytes]] | None = None) -> bytes:
    source, file = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(zipfile.ZipInfo(name), source.read(name))
        for info, content in extra or []:
            target.writestr(info, content)
    return file.getvalue()


def link_to(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "info", [None, zipfile.ZipInfo("../evil"), zipfile.ZipInfo("/etc/evil"), zipfile.ZipInfo("script.py"), link_to("l")],
    ids=["as it is", "above", "absolute", "twice", "a link"],
)
def test_a_file_that_was_packed_anew_is_refused(
    store: SqliteJournal, data: bytes, folder: Path, info: zipfile.ZipInfo | None
) -> None:  # fmt: skip
    refused(store, rezipped(data, extra=[(info, b"/etc/passwd")] if info else None), folder)


def test_a_file_that_says_it_is_encrypted_is_refused(store: SqliteJournal, data: bytes, folder: Path) -> None:
    altered = bytearray(data)
    altered[Container(io.BytesIO(data)).parts["script.py"].offset + 6] |= 1

    assert "header of its part" in refused(store, bytes(altered), folder).message


def test_a_directory_of_more_parts_than_any_run_has_is_refused_unread(
    store: SqliteJournal, data: bytes, folder: Path
) -> None:  # fmt: skip
    end = bytearray(data)
    place = len(data) - 22 - 20 - 56
    end[place + 24 : place + 40] = struct.pack("<2Q", 10**9, 10**9)

    assert refused(store, bytes(end), folder).message.endswith("parts, and 250,000 is the most")


# --- forged and signed again: the signature alone proves nothing ---------------------------------


def set_part(name: str, content: bytes) -> Any:
    return lambda parts: parts.__setitem__(name, content)


@pytest.mark.parametrize("name", ["../evil", "/evil", "blobs/../../evil", "blobs/" + "A" * 64, "evil.py", "script.py\n"])
def test_a_part_that_no_export_has_is_refused(
    store: SqliteJournal, home: Path, data: bytes, folder: Path, name: str
) -> None:  # fmt: skip
    error = refused(store, forged(data, home, change=set_part(name, b"x")), folder)

    assert error.message == f"the export file is broken: it has a part {name!a}, which no export has"


@pytest.mark.parametrize("name", ["script.py", "policy.json", "inputs.json", "result.json", "summary.txt"])
def test_what_is_shown_for_reading_is_what_the_events_say(
    store: SqliteJournal, home: Path, data: bytes, folder: Path, name: str
) -> None:  # fmt: skip
    changed = refused(store, forged(data, home, change=set_part(name, b"harmless")), folder)
    removed = refused(store, forged(data, home, change=lambda parts: parts.pop(name)), folder)

    assert changed.message == f'the export file is broken: its part "{name}" is not what its events say'
    assert removed.message == f'the export file is broken: it has no part "{name}"'


def altered_line(number: int, said: dict[str, Any]) -> Any:
    def change(parts: dict[str, bytes]) -> None:
        lines = lines_of(parts)
        lines[number - 1] |= said
        put_lines(parts, lines)

    return change


@pytest.mark.parametrize(
    ("seq", "said", "what"),
    [
        (2, {"at_us": 1}, "was altered, or another stands in its place"),
        (2, {"body": "{}"}, "was altered, or another stands in its place"),
        (5, {"value": '{"inputs":{"v":2},"label":null}'}, "has another value than it was written with"),
        (5, {"kept": "none", "value": None}, "has lost its value, or has one that it never had"),
        (5, {"kept": "erased", "value": None}, "says of its value's erasure what the register does not"),
        (3, {"kind": "run_started"}, "was altered, or another stands in its place"),
        (2, {"seq": 3}, "is missing"),
        (2, {"seq": 1}, "is not there: event 1 stands in its place, a second time or out of order"),
        (2, {"kind": "no_such_kind"}, "has the kind 'no_such_kind', which this version does not know"),
        (2, {"at_us": -1}, "is not written as one"),
        (2, {"at_us": 1.5}, "is not written as one"),
        (2, {"seq": True}, "is not written as one"),
        (2, {"more": 1}, "is not written as one"),
        (5, {"kept": "blob", "value": None, "value_digest": "../../etc"}, None),
    ],
)
def test_an_event_that_was_altered_and_signed_is_named(
    store: SqliteJournal, home: Path, data: bytes, folder: Path, seq: int, said: dict[str, Any], what: str | None
) -> None:  # fmt: skip
    error = refused(store, forged(data, home, change=altered_line(seq, said)), folder)

    named = f'event {seq} of run "r1" {what}' if what else 'it has no part "blobs/../../etc"'
    assert error.message == f"the export file is broken: {named}"
    assert error.exit_code is ExitCode.STORE


def moved(order: list[int]) -> Any:
    def change(parts: dict[str, bytes]) -> None:
        lines = lines_of(parts)
        put_lines(parts, [lines[seq - 1] for seq in order])

    return change


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([2, 1, 3, 4, 5, 6, 7], 'event 1 of run "r1" is missing'),
        ([1, 2, 4, 5, 6, 7], 'event 3 of run "r1" is missing'),
        ([1, 2, 2, 3, 4, 5, 6, 7],
         'event 3 of run "r1" is not there: event 2 stands in its place, a second time or out of order'),
        ([1, 2, 3, 4, 5, 6], "its manifest says of the run what its events do not"),
        ([1, 2], "its register says of other values that they were erased than its events do"),
        ([1, 2, 3, 4, 5, 6, 7, 7],
         'event 8 of run "r1" is not there: event 7 stands in its place, a second time or out of order'),
        ([], "it has no events"),
    ],
)  # fmt: skip
def test_events_that_are_moved_removed_or_doubled_are_named(
    store: SqliteJournal, home: Path, data: bytes, folder: Path, order: list[int], message: str
) -> None:  # fmt: skip
    error = refused(store, forged(data, home, change=moved(order)), folder)

    assert error.message == f"the export file is broken: {message}"


def rechained(change: Any) -> Any:
    """Alter the lines, then make the chain anew."""

    def forge(parts: dict[str, bytes]) -> None:
        lines = lines_of(parts)
        change(lines)
        previous = FIRST
        for line in lines:
            said = (line["seq"], line["kind"], line["at_us"], line["body"], line["value_digest"])
            previous = line["digest"] = link("r1", *said, previous)
        put_lines(parts, lines)

    return forge


def test_a_chain_that_was_made_anew_is_not_the_one_of_its_manifest(
    store: SqliteJournal, home: Path, data: bytes, folder: Path
) -> None:  # fmt: skip
    def later(lines: list[dict[str, Any]]) -> None:
        lines[-1]["at_us"] += 1

    error = refused(store, forged(data, home, change=rechained(later)), folder)

    assert error.message == "the export file is broken: its manifest says of the run what its events do not"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("{}", "does not say what an event of its kind says"),
        ("[]", "has a body that is not written as one"),
        ('{"a": 1}', "has a body that is not written as one"),
        ("not JSON", "has a body that is no JSON"),
        ("[" * 100_000, "has a body that is no JSON"),
        ('{"spawn":[],"agent":{},"line":null,"scopes":7}', "has a body that is not written as one"),
    ],
    ids=["empty", "a list", "spaces", "no JSON", "deep", "other types"],
)
def test_a_well_chained_event_that_nobody_could_read_is_refused(
    store: SqliteJournal, home: Path, data: bytes, folder: Path, body: str, what: str
) -> None:  # fmt: skip
    def unreadable(lines: list[dict[str, Any]]) -> None:
        lines[4]["body"] = body

    error = refused(store, forged(data, home, change=rechained(unreadable)), folder)

    assert error.message == f'the export file is broken: event 5 of run "r1" {what}'


def says(**facts: Any) -> Any:
    return lambda manifest: manifest["facts"].update(facts)


@pytest.mark.parametrize(
    ("say", "message"),
    [
        (says(state="failed"), "its manifest says of the run what its events do not"),
        (says(events=8), "its manifest says of the run what its events do not"),
        (says(run="r2"), 'event 1 of run "r2" was altered, or another stands in its place'),
        (says(run="../r1"), "it does not say which run it has"),
        (says(run=7), "it does not say which run it has"),
        (lambda said: said.update(kind="runner head"), "its manifest is none that runner writes"),
        (lambda said: said.update(more=1), "its manifest is none that runner writes"),
        (lambda said: said["entries"].clear(), 'event 3 of run "r1" says of its value\'s erasure what the register does not'),
        (lambda said: said["entries"].pop(0), "its register knows the run otherwise than its events tell it"),
        (lambda said: said["entries"].reverse(), "entry 2 of its register was altered, or is of another run"),
        (lambda said: said["entries"][0].update(at_us=1), "entry 1 of its register was altered, or is of another run"),
        (lambda said: said.update(image="sha256:1"), "its manifest says of its image what its parts do not"),
        (lambda said: said["parts"].pop(), "its parts are not those of its manifest"),
        (lambda said: said["parts"].reverse(), "its parts are not those of its manifest"),
        (lambda said: said["parts"][1].update(size=3), 'its part "events.jsonl" has another size than its manifest says'),
        (lambda said: said["parts"][1].update(sha256="0" * 64), 'its part "events.jsonl" was altered'),
        (lambda said: said["parts"][1].update(stored_sha256="0" * 64), 'its part "events.jsonl" was altered'),
    ],
)  # fmt: skip
def test_a_manifest_that_says_something_else_is_refused(
    store: SqliteJournal, home: Path, data: bytes, folder: Path, say: Any, message: str
) -> None:  # fmt: skip
    error = refused(store, forged(data, home, say=say), folder)

    assert error.message == f"the export file is broken: {message}"


def test_a_value_that_no_event_has_or_that_is_another_is_refused(
    store: SqliteJournal, home: Path, data: bytes, folder: Path
) -> None:  # fmt: skip
    def another(parts: dict[str, bytes]) -> None:
        name = next(name for name in parts if name.startswith("blobs/"))
        parts[name] = parts[name].replace("é".encode(), b"e")

    unused = refused(store, forged(data, home, change=set_part("blobs/" + "0" * 64, b"{}")), folder)
    changed = refused(store, forged(data, home, change=another), folder)

    assert unused.message == f'the export file is broken: no event has its value "{"0" * 64}"'
    assert changed.message == 'the export file is broken: event 4 of run "r1" has another value than it was written with'


def test_another_keys_signature_is_refused(home: Path, store: SqliteJournal, data: bytes, folder: Path) -> None:
    signature, other = archive_key(home).sign(b"x"), archive_key(store.home).public
    place = data.index(b"manifest.sig") + len("manifest.sig") + 20
    wrong = data[:place] + signature + data[place + 64 :]

    assert isinstance(refused(store, wrong, folder), RecordBroken)
    assert isinstance(refused(store, data.replace(archive_key(home).public, other), folder), RecordBroken)


# --- more than so small a file may hold ----------------------------------------------------------


def test_a_file_that_would_unpack_to_far_more_is_refused_before_it_is_read(
    store: SqliteJournal, home: Path, data: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(manifest_module, "FREE_BYTES", 100_000)
    bomb = forged(data, home, change=set_part("blobs/" + "0" * 64, b"\0" * 5_000_000))

    assert "would unpack to 5," in refused(store, bomb, folder).message


def test_a_value_larger_than_any_is_refused_before_it_is_read(
    store: SqliteJournal, home: Path, data: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(manifest_module, "MAX_VALUE_BYTES", 1_000)

    assert refused(store, data, folder).message.endswith("would unpack to 40,011 bytes")


@pytest.mark.parametrize("noise", [b"\xff\xfe", b'{"a":"\\ud800"}', b"NaN", b"[" * 100_000, b"1" * 5000, "{}".encode("utf-16")])
def test_lines_that_are_no_exact_json_are_refused(
    store: SqliteJournal, home: Path, data: bytes, folder: Path, noise: bytes
) -> None:  # fmt: skip
    error = refused(store, forged(data, home, change=set_part("events.jsonl", noise + b"\n")), folder)

    assert error.message.startswith('the export file is broken: event 1 of run "r1" is n')


def test_a_value_that_is_no_text_is_refused(store: SqliteJournal, home: Path, data: bytes, folder: Path) -> None:
    def binary(parts: dict[str, bytes]) -> None:
        name = next(name for name in parts if name.startswith("blobs/"))
        parts[name] = b"\xff" * 40_000

    error = refused(store, forged(data, home, change=binary), folder)

    assert error.message == 'the export file is broken: event 4 of run "r1" has a value that is no UTF-8'


def test_an_event_without_an_end_is_refused(
    store: SqliteJournal, home: Path, data: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    from runner.archive import checking

    monkeypatch.setattr(checking, "MAX_LINE_BYTES", 100_000)
    endless = refused(store, forged(data, home, change=set_part("events.jsonl", b"[" * 1_000_000)), folder)
    open_ended = refused(store, forged(data, home, change=set_part("events.jsonl", b"[" * 1_000)), folder)

    assert endless.message == "the export file is broken: an event takes more than 100,000 bytes"
    assert open_ended.message == "the export file is broken: its last event is cut short"


def test_a_manifest_larger_than_its_parts_need_is_refused_before_it_is_parsed(
    store: SqliteJournal, home: Path, data: bytes, folder: Path
) -> None:  # fmt: skip
    large = forged(data, home, say=lambda manifest: manifest["facts"].update(more=[1.5] * 5_000_000))

    assert 'no part "manifest.json" of at most' in refused(store, large, folder).message


def test_a_value_larger_than_anybody_can_say_is_refused_before_it_is_parsed(
    store: SqliteJournal, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("runner.archive.checking.MAX_SAID_BYTES", 100_000)
    theirs = open_store(tmp_path / "theirs")

    async def write() -> None:
        journal = begun(theirs, "large")
        journal.append(EventKind.RUN_FINISHED, FINISHED, f'{{"result":[{"1.5," * 30_000}1]}}')
        await journal.close()

    asyncio.run(write())
    exported(theirs, "large", tmp_path / "large.zip")
    theirs.close()

    assert "100,000 is the most" in refused(store, (tmp_path / "large.zip").read_bytes(), folder).message
