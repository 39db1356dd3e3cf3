"""The zip that an export is: one way to write it, and a reader that accepts nothing else.

Every header follows from the part's name, method, sizes and CRC alone: no time, owner, comment or extra of anybody's.
So equal parts make equal bytes, and a reader that writes each header again and compares notices every altered bit,
every byte between two parts, and whatever else a zip can hold (links, folders, encryption, a name twice) before it
has read a part. Sizes are always those of zip64, which unzip, Python and others read.

    for each part    local header, its bytes (deflated, or as they are)
    directory        one central header for each part, in the same order
    the end          zip64 end record, its locator, end record

The first part is `format`, uncompressed: a file begins with the same bytes whatever it holds.

Not here: which parts there are, and their digests (manifest).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO

from runner.errors import RecordBroken

DEFLATED, STORED = 8, 0
LEVEL = 6
MAX_PARTS = 250_000
"""A run of 100,000 spawns whose outputs are all long has half as many."""
MAX_NAME_BYTES = 128
PIECE_BYTES = 64 * 1024

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_SIZES, _PLACES = struct.Struct("<2Q"), struct.Struct("<3Q")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_END = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
_NEEDED, _UNIX_MODE = 45, 0o100600 << 16
_DATE = 0x21
"""1980-01-01, the first day that a zip knows."""
_BEYOND = 0xFFFFFFFF
"""Stands where zip64 has the number."""
_HINT = "fetch it again from where it was exported; a file that was packed anew is not one either"


@dataclass(frozen=True, slots=True)
class Part:
    """One part as it lies in the file."""

    name: str
    method: int
    crc: int
    size: int
    stored: int
    """Bytes that it takes in the file."""
    offset: int
    """Of its local header."""

    def local(self) -> bytes:
        name = self.name.encode()
        fixed = _LOCAL.pack(
            b"PK\3\4", _NEEDED, 0, self.method, 0, _DATE, self.crc, _BEYOND, _BEYOND, len(name), 20
        )  # fmt: skip
        return fixed + name + struct.pack("<2H", 1, 16) + _SIZES.pack(self.size, self.stored)

    def central(self) -> bytes:
        name = self.name.encode()
        fixed = _CENTRAL.pack(
            b"PK\1\2", 3 << 8 | _NEEDED, _NEEDED, 0, self.method, 0, _DATE, self.crc, _BEYOND, _BEYOND, len(name), 28,
            0, 0, 0, _UNIX_MODE, _BEYOND,
        )  # fmt: skip
        return fixed + name + struct.pack("<2H", 1, 24) + _PLACES.pack(self.size, self.stored, self.offset)


@dataclass(frozen=True, slots=True)
class Digests:
    """The sha256 of a part: of what it says, and of its bytes in the file (deflate leaves bits that say nothing)."""

    content: str
    stored: str


class ContainerWriter:
    """Writes parts one after the other into a file that can be sought in, each as it is made."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.parts: list[Part] = []
        self.size = 0

    def add(self, name: str, pieces: Iterable[bytes], *, deflate: bool) -> Digests:
        """Write a part; return its digests. The file ends with it."""
        offset = self._file.tell()
        method = DEFLATED if deflate else STORED
        self._file.write(Part(name, method, 0, 0, 0, offset).local())
        content, stored = sha256(), sha256()
        crc = size = written = 0
        for piece, packed in _packed(pieces, deflate=deflate):
            content.update(piece)
            stored.update(packed)
            crc = zlib.crc32(piece, crc)
            size, written = size + len(piece), written + len(packed)
            self._file.write(packed)
        part = Part(name, method, crc, size, written, offset)
        self._file.seek(offset)
        self._file.write(part.local())
        self._file.seek(0, 2)
        self.parts.append(part)
        self.size += size
        return Digests(content.hexdigest(), stored.hexdigest())

    def finish(self) -> None:
        """Write the directory and the end."""
        begin = self._file.tell()
        for part in self.parts:
            self._file.write(part.central())
        self._file.write(_ending(len(self.parts), begin, self._file.tell()))


def _packed(pieces: Iterable[bytes], *, deflate: bool) -> Iterator[tuple[bytes, bytes]]:
    """Yield each piece, and what stands for it in the file so far."""
    if not deflate:
        yield from ((piece, piece) for piece in pieces)
        return
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -15)
    for piece in pieces:
        yield piece, packer.compress(piece)
    yield b"", packer.flush()


def _ending(count: int, begin: int, end: int) -> bytes:
    record = _END64.pack(b"PK\6\6", 44, _NEEDED, _NEEDED, 0, 0, count, count, end - begin, begin)
    return record + _LOCATOR.pack(b"PK\6\7", 0, end, 1) + _END


class Container:
    """A file of parts, its structure checked when it is made; `read` checks one part's bytes.

    Raises RecordBroken, here and in `read`, for whatever `ContainerWriter` does not write.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, 2)
        self.parts: dict[str, Part] = {}
        expected = 0
        begin, parts = self._directory()
        for part in parts:
            if part.offset != expected or part.name in self.parts:
                raise broken(f'its part "{part.name}" is not where it belongs, or is there twice')
            if self._at(part.offset, len(part.local())) != part.local():
                raise broken(f'the header of its part "{part.name}" was altered')
            self.parts[part.name] = part
            expected = part.offset + len(part.local()) + part.stored
        if expected != begin:
            raise broken("there are bytes that belong to no part")

    def _at(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)

    def _directory(self) -> tuple[int, list[Part]]:
        """Return where the directory begins, and the parts in it."""
        size = _END64.size + _LOCATOR.size + len(_END)
        end = self.size - size
        tail = self._at(max(0, end), size)
        if len(tail) != size or not tail.endswith(_END):
            raise broken("its end is missing")
        count, begin = _END64.unpack_from(tail)[-3], _END64.unpack_from(tail)[-1]
        if count > MAX_PARTS:
            raise broken(f"it has {count:,} parts, and {MAX_PARTS:,} is the most")
        if not 0 <= begin <= end or tail != _ending(count, begin, end):
            raise broken("its end was altered")
        if end - begin > count * (_CENTRAL.size + MAX_NAME_BYTES + 24):
            raise broken("its directory is larger than its parts need")
        return begin, list(_parts(self._at(begin, end - begin), count))

    def read(self, name: str, *, digests: Digests, limit: int) -> Iterator[bytes]:
        """Yield a part's content; RecordBroken at the latest when all of it was read. No more than `limit` bytes."""
        part = self.parts[name]
        if part.size > limit:
            raise broken(f'its part "{name}" has {part.size:,} bytes, and {limit:,} is the most')
        content, crc, size = sha256(), 0, 0
        for piece in self._unpacked(part, digests.stored):
            size += len(piece)
            if size > part.size:
                raise broken(f'its part "{name}" is larger than it says')
            crc = zlib.crc32(piece, crc)
            content.update(piece)
            yield piece
        if (size, crc, content.hexdigest()) != (part.size, part.crc, digests.content):
            raise broken(f'its part "{name}" was altered')

    def _unpacked(self, part: Part, digest: str) -> Iterator[bytes]:
        stored = sha256()
        unpacker = zlib.decompressobj(-15)
        for packed in self._pieces(part):
            stored.update(packed)
            if part.method == STORED:
                yield packed
                continue
            if unpacker.eof:
                raise broken(f'its part "{part.name}" has more than its content')
            try:
                while packed:
                    yield unpacker.decompress(packed, PIECE_BYTES)
                    packed = unpacker.unconsumed_tail
            except zlib.error as error:
                raise broken(f'its part "{part.name}" was altered') from error
        if part.method == DEFLATED:
            yield unpacker.flush()
            if not unpacker.eof or unpacker.unused_data:
                raise broken(f'its part "{part.name}" was altered')
        if stored.hexdigest() != digest:
            raise broken(f'its part "{part.name}" was altered')

    def _pieces(self, part: Part) -> Iterator[bytes]:
        place, left = part.offset + len(part.local()), part.stored
        while left:
            piece = self._at(place, min(left, PIECE_BYTES))
            if not piece:
                raise broken(f'its part "{part.name}" is cut short')
            place, left = place + len(piece), left - len(piece)
            yield piece


def _parts(directory: bytes, count: int) -> Iterator[Part]:
    """Yield the parts of a directory that has exactly these."""
    place = 0
    for _ in range(count):
        fixed = directory[place : place + _CENTRAL.size]
        if len(fixed) < _CENTRAL.size:
            raise broken("its directory is cut short")
        _, _, _, _, method, _, _, crc, _, _, length, *_ = _CENTRAL.unpack(fixed)
        name = directory[place + len(fixed) : place + len(fixed) + length]
        extra = directory[place + len(fixed) + length : place + len(fixed) + length + 28]
        if not (0 < length <= MAX_NAME_BYTES and name.isascii() and len(extra) == 28 and method in (STORED, DEFLATED)):
            raise broken("its directory was altered")
        part = Part(name.decode(), method, crc, *_PLACES.unpack_from(extra, 4))
        if directory[place : place + len(part.central())] != part.central():
            raise broken(f'the entry of its part "{part.name}" is not one that runner writes')
        place += len(part.central())
        yield part
    if place != len(directory):
        raise broken("its directory has more than its parts")


def broken(why: str) -> RecordBroken:
    """Return the error for a file that was exported, and is not what was written any more."""
    return RecordBroken(f"the export file is broken: {why}", hint=_HINT)
