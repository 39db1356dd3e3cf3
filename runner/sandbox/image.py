"""Make the image that Docker guests start from: on this machine, in a second, without a registry.

The image has two layers, the interpreter and the bundle, written by `rootfs`, with a configuration of our
own and fixed times: equal inputs give an equal image id, and images of several versions of runner share
the big layer. It is tagged `runner-guest:<key>` by what it was made from, so one that is up to date is
found with one question to the engine and never made twice.

Not here: starting containers (docker).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import platform
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.errors import SandboxUnavailable
from runner.models import MIB
from runner.sandbox.bundle import PYTHON_FLAGS, bundle_digest
from runner.sandbox.engine_api import Engine
from runner.sandbox.rootfs import (
    GUEST_FOLDER,
    PYTHON_PATH,
    interpreter_stamp,
    write_guest,
    write_interpreter,
    write_tar,
)

REPOSITORY = "runner-guest"
BUNDLE_LABEL = "runner.bundle"
PYTHON_LABEL = "runner.python"
MAX_IMAGE_BYTES = 60 * MIB
COMMAND = (PYTHON_PATH, *PYTHON_FLAGS, GUEST_FOLDER)

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PIECE = 256 * 1024

Progress = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """An image that the engine has. `id` is its digest ("sha256:..."), which runs are started by."""

    id: str
    tag: str
    size: int
    """Bytes of its layers."""
    python: str
    """Version of the interpreter inside, such as "3.11.7"."""
    bundle: str
    """Digest of the guest's sources inside; empty when the image does not say."""

    def __str__(self) -> str:
        return f"{self.tag} {self.id} (Python {self.python}, {self.size / MIB:.1f} MiB)"


async def ensure_image(engine: Engine, progress: Progress | None = None) -> ImageFacts:
    """Return the image for this interpreter and this bundle, made first if the engine has none.

    Raises SandboxUnavailable.
    """
    return await find_image(engine) or await build_image(engine, progress)


async def find_image(engine: Engine, name: str = "") -> ImageFacts | None:
    """Return the image of this tag or id, by default the one that is up to date; None if the engine has none."""
    name = name or image_tag()
    answer = await engine.call("GET", f"/images/{name}/json", allowed=(404,))
    if answer.status == 404:
        return None
    found = answer.json()
    labels = (found.get("Config") or {}).get("Labels") or {}
    size = int(found.get("Size", 0))
    return ImageFacts(found["Id"], name, size, labels.get(PYTHON_LABEL, ""), labels.get(BUNDLE_LABEL, ""))


async def build_image(engine: Engine, progress: Progress | None = None) -> ImageFacts:
    """Make the image anew and hand it to the engine. Raises SandboxUnavailable."""
    tell: Progress = progress or (lambda text: None)
    tag = image_tag()
    with tempfile.TemporaryDirectory(prefix="runner-image-") as folder:
        tell(f"building the guest image from Python {platform.python_version()}")
        layers = await asyncio.to_thread(_write_layers, Path(folder))
        size = sum(layer.size for layer in layers)
        if size > MAX_IMAGE_BYTES:
            raise SandboxUnavailable(
                f"the guest image would take {size // MIB} MiB, and {MAX_IMAGE_BYTES // MIB} are allowed",
                hint="use a Python built without debug information",
            )
        tell(f"loading {size / MIB:.1f} MiB into the docker engine")
        await engine.load(_archive(layers, tag))
    facts = await find_image(engine, tag)
    if facts is None:
        raise SandboxUnavailable("the docker engine took the guest image and does not have it", hint="see its log")
    return facts


def image_tag() -> str:
    """Return the name of the image for this interpreter and this bundle. Reads no file of the interpreter."""
    key = hashlib.sha256(f"{bundle_digest()}\n{interpreter_stamp()}".encode()).hexdigest()
    return f"{REPOSITORY}:{key[:12]}"


@dataclass(frozen=True, slots=True)
class Layer:
    path: Path
    size: int
    digest: str


def _write_layers(folder: Path) -> list[Layer]:
    return [_write_layer(folder / "interpreter", write_interpreter), _write_layer(folder / "guest", write_guest)]


def _write_layer(root: Path, write: Callable[[Path], None]) -> Layer:
    root.mkdir()
    write(root)
    path = root.with_suffix(".tar")
    with path.open("w+b") as stream:
        write_tar(root, stream)
        stream.seek(0)
        return Layer(path, path.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest())


def image_config(layer_digests: Sequence[str]) -> bytes:
    """Return the image's configuration (Docker image specification v1.2): its sha256 is the image id."""
    config = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "User": "65534:65534",
            "WorkingDir": "/",
            "Cmd": list(COMMAND),
            "Labels": {BUNDLE_LABEL: bundle_digest(), PYTHON_LABEL: sys.version.split()[0]},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in layer_digests]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "runner image build"} for _ in layer_digests],
    }
    return json.dumps(config, sort_keys=True, separators=(",", ":")).encode()


async def _archive(layers: list[Layer], tag: str) -> AsyncIterator[bytes]:
    """Yield a `docker save` archive of one image: its configuration, its manifest, its layers."""
    config = image_config([layer.digest for layer in layers])
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    paths = [f"{layer.digest}/layer.tar" for layer in layers]
    yield _entry(name, config)
    yield _entry("manifest.json", json.dumps([{"Config": name, "RepoTags": [tag], "Layers": paths}]).encode())
    for layer, path in zip(layers, paths, strict=True):
        yield _header(path, layer.size)
        with layer.path.open("rb") as stream:
            while piece := stream.read(_PIECE):
                yield piece
        yield bytes(-layer.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf(tarfile.USTAR_FORMAT)


def _entry(name: str, data: bytes) -> bytes:
    return _header(name, len(data)) + data + bytes(-len(data) % tarfile.BLOCKSIZE)


if __name__ == "__main__":
    # For those who make an image by sandbox_images/Dockerfile: the name it is looked for under.
    print(image_tag())
