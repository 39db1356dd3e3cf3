"""The docker image of a run, between the engine and a file.

An image that is loaded could take the name of another one, and later runs would start from it: so only archives without
any name are saved and loaded, and what was loaded must have the digest that the run's record names.

Not here: what else is in the file (exporting, importing).
"""

from __future__ import annotations

import json
import posixpath
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any

from runner.archive.container import PIECE_BYTES
from runner.errors import RecordBroken, SandboxUnavailable
from runner.models import MIB
from runner.sandbox.engine_api import Engine
from runner.sandbox.image import find_image

_MAX_INDEX_BYTES = MIB
_NAMING = ("repositories", "manifest.json", "index.json")
"""Members that can give a name to an image."""


async def save_image(digest: str, path: Path) -> None:
    """Write the image of this digest to a file. Raises SandboxUnavailable: no engine, or it has no such image."""
    engine = await Engine.find()
    try:
        if await find_image(engine, digest) is None:
            raise SandboxUnavailable(
                f'the docker engine has no image "{digest}" any more', hint="export the run without --with-image"
            )
        with path.open("wb") as file:
            async for piece in engine.save(digest):
                file.write(piece)
    finally:
        engine.close()
    refuse_names(path)


async def load_image(path: Path, digest: str) -> None:
    """Give an image to the engine.

    Raises:
        RecordBroken: The archive gives a name to an image. Nothing was loaded.
        SandboxUnavailable: No engine, or what it loaded is not the image of this digest.
    """
    refuse_names(path)
    engine = await Engine.find()
    try:
        if await find_image(engine, digest) is None:
            await engine.load(_pieces(path))
        if await find_image(engine, digest) is None:
            raise SandboxUnavailable(f'the image in the file is not "{digest}"', hint="the run itself was imported")
    finally:
        engine.close()


def refuse_names(path: Path) -> None:
    """Raise RecordBroken for an archive that gives a name to an image, or is none."""
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                # Wherever it seems to lie: "./", "a/../" and a link to the folder lead to the same place.
                name = posixpath.basename(posixpath.normpath(member.name))
                if posixpath.basename(posixpath.normpath(member.linkname)) in _NAMING:
                    raise RecordBroken("the image is an archive with a link to its index: it is not used")
                if name in _NAMING:
                    _refuse_names(_parsed(archive.extractfile(member) if member.isreg() else None), name)
    except (tarfile.TarError, OSError, ValueError, RecursionError, AttributeError, TypeError) as error:
        raise RecordBroken(f"the image is no archive of docker: {error}") from error


def _parsed(file: IO[bytes] | None) -> Any:
    data = b"" if file is None else file.read(_MAX_INDEX_BYTES + 1)
    if len(data) > _MAX_INDEX_BYTES:
        raise ValueError("its index is too large")
    return json.loads(data)


def _refuse_names(found: Any, member: str) -> None:
    if member == "repositories":
        named = bool(found)
    elif member == "manifest.json":
        named = any(image.get("RepoTags") for image in found)
    else:
        names = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
        marks = [image.get("annotations") or {} for image in found.get("manifests", [])]
        named = any(name in mark for mark in marks for name in names)
    if named:
        raise RecordBroken("the image has a name, and could take the place of another one: it is not used")


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
