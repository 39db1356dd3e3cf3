"""Which guest images are here, which runs of the store need them, and which can go.

Not here: the engine's side of it (sandbox.images).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runner.journal import SqliteJournal
from runner.sandbox.engine_api import Engine
from runner.sandbox.image import ImageFacts, image_tag
from runner.sandbox.images import our_images, remove_image


@dataclass(frozen=True, slots=True)
class HeldImage:
    """One of our images that the engine has."""

    facts: ImageFacts
    tags: tuple[str, ...]
    """All that it has in our repository; that of `facts` is among them."""
    current: bool
    """New runs start from it."""
    runs: tuple[str, ...]
    """The runs of this store that started from it, newest first. Other stores may have others."""


async def held_images(store: SqliteJournal) -> list[HeldImage]:
    """Return our images, the current one first. Raises SandboxUnavailable, StoreError."""
    engine = await Engine.find()
    try:
        found = await our_images(engine)
    finally:
        engine.close()
    runs, current = store.runs_by_image(), image_tag()
    # The current tag first, so that its image is told by it.
    by_id: dict[str, list[ImageFacts]] = {}
    for facts in sorted(found, key=lambda facts: facts.tag != current):
        by_id.setdefault(facts.id, []).append(facts)
    return [
        HeldImage(each[0], tuple(facts.tag for facts in each), each[0].tag == current, tuple(runs.get(digest, ())))
        for digest, each in by_id.items()
    ]


def prunable(held: Iterable[HeldImage], *, named: bool) -> list[HeldImage]:
    """Return what no new run starts from, and no run of this store has started from; those too with `named`."""
    return [image for image in held if not image.current and (named or not image.runs)]


async def remove(images: Iterable[HeldImage]) -> tuple[list[HeldImage], list[HeldImage]]:
    """Remove images; return those that are gone, and those that stay because a container uses them.

    Raises SandboxUnavailable.
    """
    gone: list[HeldImage] = []
    used: list[HeldImage] = []
    engine = await Engine.find()
    try:
        for image in images:
            (gone if await remove_image(engine, image.facts.id, image.tags) else used).append(image)
    finally:
        engine.close()
    return gone, used
