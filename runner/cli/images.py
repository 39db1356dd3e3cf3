"""`runner image list` and `runner image prune`: the guest images that the engine keeps.

Not here: which of them can go (engine.images), building one (machine).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from runner.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from runner.engine.images import HeldImage

# What a line can name; `runner image list --json` and `runner runs` know the others.
_SHOWN = 5


def list_images(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """List the guest images, and how many runs of this store started from each."""
    from runner.cli.output import put, put_json, say
    from runner.cli.text import columns

    held = _held()
    if json:
        put_json({"version": 1, "images": [_object(image) for image in held]})
    elif held:
        head = ("image", "id", "size", "Python", "bundle", "runs", "")
        put("\n".join(columns([_cells(image) for image in held], head=head, right=(2, 5))))
    else:
        say("no images; the first run in docker builds one")
    return ExitCode.DONE


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Also images that runs of this store started from.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --all: although runs need them.")] = False,
) -> int:
    """Remove guest images that no new run starts from and no run of this store needs."""
    from runner.cli.output import put, say
    from runner.cli.text import plural, size
    from runner.engine.images import prunable, remove

    chosen = prunable(_held(), named=all_)
    needed = sorted({run for image in chosen for run in image.runs}, reverse=True)
    if needed:
        say(_breaks(needed))
    if needed and not (yes or dry_run):
        raise UsageError("nothing was removed: runs need these images", hint="runner image prune --all --yes")
    gone, used = (chosen, []) if dry_run else asyncio.run(remove(chosen))
    if gone:
        put("\n".join(image.facts.id for image in gone))
    for image in used:
        say(f"{image.facts.tag} stays: a container uses it")
    # Images of several versions share the interpreter's layer: what becomes free may be less.
    total = f", at most {size(sum(image.facts.size for image in gone))}" if gone else ""
    say(f"{'would remove' if dry_run else 'removed'} {plural(len(gone), 'image')}{total}")
    return ExitCode.DONE


def _held() -> list[HeldImage]:
    from runner.cli.runs import opened
    from runner.engine.images import held_images

    with opened() as runner:
        return asyncio.run(held_images(runner.store))


def _breaks(runs: list[str]) -> str:
    from runner.cli.text import plural

    more = f" and {len(runs) - _SHOWN} older" if len(runs) > _SHOWN else ""
    return (
        f"{plural(len(runs), 'run')} can then no longer be replayed or resumed with the image that they started from: "
        f"{', '.join(runs[:_SHOWN])}{more}"
    )


def _object(image: HeldImage) -> dict[str, object]:
    facts = image.facts
    return {
        "tags": list(image.tags), "id": facts.id, "size": facts.size, "python": facts.python, "bundle": facts.bundle,
        "current": image.current, "runs": len(image.runs),
    }  # fmt: skip


def _cells(image: HeldImage) -> tuple[str, ...]:
    from runner.cli.text import size
    from runner.printable import clean

    facts = image.facts
    more = f" and {len(image.tags) - 1} more" if len(image.tags) > 1 else ""
    return (
        facts.tag + more, facts.id.removeprefix("sha256:")[:12], size(facts.size), clean(facts.python, limit=20),
        clean(facts.bundle[:12]), f"{len(image.runs):,}", "current" if image.current else "",
    )  # fmt: skip
