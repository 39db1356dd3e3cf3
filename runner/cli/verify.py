"""`runner verify`, `runner archive head` and `runner archive key`: what proves a record, and what proves it later.

Not here: the proofs (journal.verify, archive).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.complete import is_file, run_ids
from runner.cli.runs import opened
from runner.errors import RunNotFound, UsageError
from runner.models import Json

if TYPE_CHECKING:
    from runner.engine import Runner

Key = Annotated[
    str | None,
    typer.Option("--key", metavar="FINGERPRINT|FILE", help="The key that must have signed it; a file has it in PEM."),
]  # fmt: skip


def verify(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[RUN|FILE]", help="A run of the store, or an exported file.", autocompletion=run_ids),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="The register and every run of the store.")] = False,
    head: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --all: nothing that this signed head knew may be gone.")
    ] = None,
    head_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --all: write the signed head of what was proven.")
    ] = None,
    key: Key = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was proven as JSON.")] = False,
) -> int:
    """Check that the record of a run, a file or the store is whole and unaltered."""
    from runner.cli.output import put_json, say

    if all_ == (what is not None):
        raise UsageError("nothing to verify", hint="a run, an exported file, or --all; one of them")
    if not all_ and (head or head_file):
        raise UsageError("--head and --head-file go with --all")
    with opened() as runner:
        if what is None:
            said, line = _all(runner, head, head_file, key)
        elif is_file(what):
            said, line = _file(runner, Path(what), key)
        else:
            if key is not None:
                raise UsageError("--key goes with a file or --head: a run of the store is not signed")
            said, line = _run(runner, what)
    if json:
        put_json({"version": 1, "whole": True, **said})
    say(line)
    return 0


def _all(runner: Runner, head: Path | None, head_file: Path | None, key: str | None) -> tuple[dict[str, Json], str]:
    from runner.cli.text import plural

    found = runner.verify_all(head=head, key=key)
    if head_file is not None:
        runner.write_head(head_file, found)
    known = f"; all that {head} knew is there" if head else ""
    said: dict[str, Json] = {"what": "store", "runs": found.runs, "seq": found.seq, "digest": found.digest}
    return said, f"{plural(found.runs, 'run')} and the register, whole and unaltered{known}"


def _file(runner: Runner, path: Path, key: str | None) -> tuple[dict[str, Json], str]:
    from runner.cli.files import imported_object, signer_words
    from runner.cli.text import plural

    found = runner.verify_file(path, key=key)
    line = f"run {found.run} in {path}: {plural(found.events, 'event')}, whole and unaltered; {signer_words(found)}"
    return {"what": "file", **imported_object(found)}, line


def _run(runner: Runner, what: str) -> tuple[dict[str, Json], str]:
    from runner.cli.text import plural

    try:
        found = runner.find(what)
    except RunNotFound:
        if runner.pruned(what) is None:
            raise
        runner.verify(what)
        pruned = runner.pruned(what)
        body = pruned.body if pruned else {}
        said = {"what": "run", "run": what, "events": 0, "pruned": body}
        return said, f'run {what} was pruned by "{body.get("by")}"; the register that says so is whole and unaltered'
    runner.verify(found)
    events = sum(1 for _ in runner.events(found))
    said = {"what": "run", "run": found, "events": events, "pruned": None}
    return said, f"run {found}: {plural(events, 'event')}, whole and unaltered"


def key(json: Annotated[bool, typer.Option("--json", help="Print key and fingerprint as JSON.")] = False) -> int:
    """Show the public key that signs exports and heads."""
    from runner.cli.output import put, put_json, say

    with opened() as runner:
        public, fingerprint = runner.archive_key()
    if json:
        put_json({"version": 1, "key": public, "fingerprint": fingerprint})
        return 0
    put(public.rstrip("\n"))
    say(f"fingerprint: {fingerprint}")
    return 0


def head(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it there instead of to stdout.")
    ] = None,
) -> int:
    """Sign the head of the register, so that a later loss can be proven."""
    from runner.cli.output import put, say

    with opened() as runner:
        if output is None:
            put(runner.signed_head().rstrip("\n"))
            return 0
        runner.write_head(output, runner.head())
    say(f"{output}: keep it elsewhere; `runner verify --all --head {output}` proves that nothing it knew is gone")
    return 0
