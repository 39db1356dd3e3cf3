"""`runner export` and `runner import`: a run as one file.

Not here: what is in the file (archive.manifest), what is checked (archive.checking).
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.runs import RunArgument, opened
from runner.cli.verify import Key
from runner.models import Json

if TYPE_CHECKING:
    from runner.archive.importing import Imported


def export(
    run: RunArgument,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The file to write.")],
    with_image: Annotated[
        bool, typer.Option("--with-image", help="Put the docker image in that the guest ran in.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> int:
    """Write a run to one signed file that can be imported elsewhere."""
    import asyncio

    from runner.cli.output import put_json, say
    from runner.cli.text import plural, size

    with opened() as runner:
        found = asyncio.run(runner.export(runner.find(run), output, force=force, with_image=with_image))
    if json:
        put_json({"version": 1, **asdict(found), "path": str(found.path)})
    say(f"{output}: run {found.run}, {plural(found.events, 'event')}, {size(found.size)}, signed by {found.signer}")
    return 0


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `runner export` wrote.")],
    key: Key = None,
    with_image: Annotated[
        bool, typer.Option("--with-image", help="Give the docker image in the file to the engine.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was imported as JSON.")] = False,
) -> int:
    """Prove an exported file, and put its run into the store."""
    import asyncio

    from runner.cli.output import put_json, say
    from runner.cli.text import plural
    from runner.cli.watch import user

    with opened() as runner:
        found = asyncio.run(runner.import_run(file, by=user(), key=key, with_image=with_image))
    if json:
        put_json({"version": 1, **imported_object(found)})
    done = "imported" if found.new else "is there already, and is the same"
    say(f"run {found.run} {done}: {found.state}, {plural(found.events, 'event')}; {signer_words(found)}")
    return 0


def imported_object(found: Imported) -> dict[str, Json]:
    """Return a file that was proven, as JSON."""
    return asdict(found)


def signer_words(found: Imported) -> str:
    """Return by whose key a file was signed, in words."""
    whose = {"own": "this home's key", "demanded": "the key that was demanded"}.get(found.known)
    if whose is None:
        return f"signed by the key {found.signer}, for which nobody vouches (--key demands one)"
    return f"signed by {whose}, {found.signer}"
