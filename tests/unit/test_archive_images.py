"""An image leaves with its run and comes back as the same image; one that could take another's name is not used."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runner import Runner
from runner.archive.images import refuse_names
from runner.errors import RecordBroken, UsageError
from runner.events import EventKind
from runner.journal import SqliteJournal, open_store
from runner.sandbox.engine_api import Engine
from runner.sandbox.image import find_image
from tests.unit.journals_by_hand import FINISHED, STARTED, begin

CONFIG = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}


def tar_of(members: dict[str, Any]) -> bytes:
    """Return an archive. A value that is a text is where a link leads."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
                continue
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


TAGGED = [{"Config": "c.json", "RepoTags": ["runner-guest:0123456789ab"], "Layers": []}]
NAMELESS = [{"Config": "c.json", "RepoTags": None, "Layers": []}]


@pytest.mark.parametrize(
    "members",
    [
        {"manifest.json": TAGGED},
        {"./manifest.json": TAGGED},
        {"a/../manifest.json": TAGGED},
        {"manifest.json": NAMELESS, "/manifest.json": TAGGED},
        {"manifest.json": "x", "x": TAGGED},
        {"x": "manifest.json", "manifest.json": NAMELESS},
        {"manifest.json": NAMELESS, "repositories": {"runner-guest": {"0123456789ab": "1"}}},
        {"index.json": {"manifests": [{"annotations": {"io.containerd.image.name": "runner-guest:0123456789ab"}}]}},
        {"index.json": {"manifests": [{"annotations": {"org.opencontainers.image.ref.name": "latest"}}]}},
        {"manifest.json": b"no JSON"},
        {"manifest.json": 7},
        {"manifest.json": b"[" + b" " * 2_000_000 + b"]"},
    ],
)
def test_an_archive_that_names_an_image_or_cannot_be_read_is_not_used(tmp_path: Path, members: dict[str, Any]) -> None:
    (tmp_path / "image.tar").write_bytes(tar_of(members))

    with pytest.raises(RecordBroken):
        refuse_names(tmp_path / "image.tar")


def test_an_archive_without_a_name_is_used(tmp_path: Path) -> None:
    members = {"manifest.json": NAMELESS, "c.json": CONFIG, "index.json": {"manifests": [{"annotations": None}]}}
    (tmp_path / "image.tar").write_bytes(tar_of(members))

    refuse_names(tmp_path / "image.tar")


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(b"no tar")

    with pytest.raises(RecordBroken, match="is no archive of docker"):
        refuse_names(tmp_path / "image.tar")


async def run_in(home: Path, image: str) -> SqliteJournal:
    """Write a run that says it ran in this image."""
    store = open_store(home)
    journal = begin(store, "r1")
    journal.append(EventKind.SANDBOX_STARTED, {"kind": "docker", "pid": 7, "image": image, "lock": "verified"})
    journal.append(EventKind.RUN_STARTED, STARTED)
    journal.append(EventKind.RUN_FINISHED, FINISHED, '{"result":1}')
    await journal.close()
    return store


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.mark.docker
async def test_an_image_leaves_with_its_run_and_is_given_back_to_the_engine(tmp_path: Path) -> None:
    layer = tar_of({"hello": str(tmp_path).encode()})
    root = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
    config = json.dumps({**CONFIG, "rootfs": root, "author": str(tmp_path)}).encode()
    digest = hashlib.sha256(config).hexdigest()
    engine = await Engine.find()
    image = f"sha256:{digest}"
    layers = [{"Config": f"{digest}.json", "RepoTags": None, "Layers": ["layer.tar"]}]
    await engine.load(pieces(tar_of({"manifest.json": layers, f"{digest}.json": config, "layer.tar": layer})))
    try:
        if await find_image(engine, image) is None:
            pytest.skip("this engine names images otherwise")
        (await run_in(tmp_path / "home", image)).close()
        async with Runner(home=tmp_path / "home") as runner:
            done = await runner.export("r1", tmp_path / "r1.zip", with_image=True)
        await engine.call("DELETE", f"/images/{image}")
        async with Runner(home=tmp_path / "other") as runner:
            with pytest.raises(UsageError, match="the file has an image, and was signed by the key"):
                await runner.import_run(tmp_path / "r1.zip", by="me", with_image=True)
            unknown = runner.runs()
            found = await runner.import_run(tmp_path / "r1.zip", by="me", key=done.signer, with_image=True)

        assert (unknown, found.image, found.new) == ([], image, True)
        assert await find_image(engine, image) is not None
    finally:
        await engine.call("DELETE", f"/images/{image}", allowed=(404,))
        engine.close()


async def test_a_run_of_the_process_sandbox_has_no_image(tmp_path: Path) -> None:
    (await run_in(tmp_path / "home", "")).close()
    async with Runner(home=tmp_path / "home") as runner:
        with pytest.raises(UsageError, match='run "r1" ran in no docker image'):
            await runner.export("r1", tmp_path / "r1.zip", with_image=True)
        await runner.export("r1", tmp_path / "r1.zip")
        with pytest.raises(UsageError, match="the file has no image"):
            await runner.import_run(tmp_path / "r1.zip", by="me", with_image=True)
