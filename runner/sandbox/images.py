"""Our images in the engine: the one that a journal names, all of them, and taking one away.

An image is ours when it is tagged in our repository. Nothing is removed by force: what a container uses stays, and of
an image that has another name only our tag goes.

Not here: making one (image), which runs need which (engine.images).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from runner.errors import SandboxUnavailable
from runner.sandbox.engine_api import Engine
from runner.sandbox.image import BUNDLE_LABEL, PYTHON_LABEL, ImageFacts, find_image, image_tag

# What a journal says may have come from elsewhere, and becomes a part of a URL.
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


async def image_of_run(engine: Engine, digest: str) -> ImageFacts:
    """Return the image that a journal names. Raises SandboxUnavailable: the engine has it not, or it is not ours."""
    found = await find_image(engine, digest) if _DIGEST.fullmatch(digest) else None
    if found is None:
        raise absent(digest)
    if not found.bundle or not found.python:
        raise SandboxUnavailable(
            f'image "{digest}" has no label "{BUNDLE_LABEL}" and "{PYTHON_LABEL}": it is not one that runner made',
            hint="runner image list shows those that are",
        )
    return found


def absent(digest: str) -> SandboxUnavailable:
    """Return the error for an image that the engine does not have."""
    return SandboxUnavailable(
        f'docker has no image "{digest}"',
        hint="`runner image build` makes it again, with the version of runner and Python that made it",
    )


async def our_images(engine: Engine) -> list[ImageFacts]:
    """Return every image of our repository, once for each tag there. Equal images made by two interpreters have two."""
    filters = json.dumps({"reference": [image_tag().partition(":")[0]]})
    answer = await engine.call("GET", "/images/json", query={"filters": filters})
    return sorted((facts for found in answer.json() for facts in _tagged(found)), key=lambda facts: facts.tag)


def _tagged(found: dict[str, Any]) -> Iterator[ImageFacts]:
    labels = found.get("Labels") or {}
    size, python, bundle = int(found.get("Size", 0)), labels.get(PYTHON_LABEL, ""), labels.get(BUNDLE_LABEL, "")
    for tag in found.get("RepoTags") or ():
        # The engine filtered already; a mistake here would remove somebody else's image.
        if tag.partition(":")[0] == image_tag().partition(":")[0]:
            yield ImageFacts(found["Id"], tag, size, python, bundle)


async def remove_image(engine: Engine, digest: str, tags: Iterable[str]) -> bool:
    """Take these tags from an image, and with its last one remove it. One that is gone already counts as removed.

    False: a container uses it, running or not; nothing was done. Raises SandboxUnavailable.
    """
    containers = (await engine.call("GET", "/containers/json", query={"all": "1"})).json()
    if any(container.get("ImageID") == digest for container in containers):
        return False
    for tag in tags:
        # A container made since then is the engine's to see: without force it refuses (409).
        answer = await engine.call("DELETE", f"/images/{quote(tag, safe=':')}", allowed=(404, 409))
        if answer.status == 409:
            return False
    return True
