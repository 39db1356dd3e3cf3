"""Journals that were recorded once, by the versions in their folder's name, replay for ever as they did."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from runner import Runner
from runner.errors import UsageError
from runner.guest.dialect import VERSION as DIALECT
from tests.journals.kept import load, put

HERE = Path(__file__).parent
FOLDERS = sorted(path.parent for path in HERE.glob("*/manifest.json"))
MANIFESTS: dict[Path, dict[str, Any]] = {folder: json.loads((folder / "manifest.json").read_text()) for folder in FOLDERS}
KEPT = [(folder, name) for folder in FOLDERS for name in MANIFESTS[folder]["journals"]]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_there_are_journals_of_the_first_version_with_every_way_to_diverge():
    kept = MANIFESTS[HERE / "dialect2-python3.11"]["journals"]

    assert len(kept) == 19
    assert {journal["state"] for journal in kept.values()} == {"done", "failed", "limit", "interrupted"}
    assert {journal["diverges"][0] for journal in kept.values() if journal["diverges"]} == {
        "spawn", "settled", "cancel", "wait", "finished",
    }  # fmt: skip
    assert {path.stem for folder in FOLDERS for path in folder.glob("*.jsonl")} == {name for _, name in KEPT}


@pytest.mark.parametrize(("folder", "name"), KEPT, ids=[f"{folder.name}-{name}" for folder, name in KEPT])
async def test_it_replays_where_the_versions_agree_and_is_refused_where_they_do_not(tmp_path, folder, name):
    manifest = MANIFESTS[folder]
    expected = manifest["journals"][name]
    put(tmp_path, "kept", load(folder / f"{name}.jsonl"))

    async with Runner(home=tmp_path, sandbox="process") as runner:
        runner.verify("kept")
        if (manifest["dialect"], manifest["python"]) != (DIALECT, PYTHON):
            with pytest.raises(UsageError, match="was made by another version"):
                await runner.replay("kept")
            return
        found = await runner.replay("kept")

    diverged = found.divergence and [found.divergence.what, found.divergence.handle]
    assert diverged == expected["diverges"], found.divergence
    if diverged is None:
        assert (found.state, found.notes) == (expected["state"], ())
