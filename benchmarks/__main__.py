"""Measure, print a table, write JSON: `python -m benchmarks [--only WORD] [--json FILE]`.

Figures with a bound say whether they keep it. Ratios are of one run of this program; absolute figures
stand beside a raw baseline of the same run.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks import backends, check, cold, credentials, dialect, journal, replay, review, spawns, waiting
from benchmarks.measure import Figure

GROUPS = {
    "spawns": spawns.figures,
    "credentials": credentials.figures,
    "check": check.figures,
    "dialect": dialect.figures,
    "journal": journal.figures,
    "replay": replay.figures,
    "review": review.figures,
    "waiting": waiting.figures,
    "backends": backends.figures,
    "cold": cold.figures,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=GROUPS, help="measure one group")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    figures = list(measured(options.only))
    if options.json:
        told = {"python": platform.python_version(), "machine": platform.machine()}
        told["figures"] = [{**asdict(figure), "kept": figure.kept} for figure in figures]
        options.json.write_text(json.dumps(told, indent=2) + "\n")


def measured(only: str | None) -> Iterator[Figure]:
    print(f"{'figure':52} {'measured':>14}  {'bound':>10}  kept  beside", flush=True)
    for name, group in GROUPS.items():
        if only in (None, name):
            for figure in group():
                print(row(figure), flush=True)
                yield figure


def row(figure: Figure) -> str:
    kept = {True: "yes", False: "NO", None: "-"}[figure.kept]
    return (
        f"{figure.name:52} {figure.value:>8.3g} {figure.unit:5}  {figure.bound:>10}  {kept:4}  {figure.baseline}"
    ).rstrip()


if __name__ == "__main__":
    sys.exit(main())
