"""What events may say when they come from elsewhere, and that what is shown of them acts on no terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner.archive.forms import require_form
from runner.archive.importing import import_file
from runner.errors import RecordBroken
from runner.events import EventKind
from runner.journal import open_store
from tests.journals.kept import Row, put
from tests.unit.archives_by_hand import exported

KEPT = Path(__file__).parents[1] / "journals"
ESCAPE = "\x1b]0;title\x07\x1b[31m\u202e"


def rows_of(path: Path) -> list[Row]:
    return [Row(**json.loads(line)) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("path", sorted(KEPT.glob("dialect*/*.jsonl")), ids=lambda path: path.stem)
def test_what_runner_has_written_is_in_form(path: Path) -> None:
    for row in rows_of(path):
        require_form(EventKind(row.kind), json.loads(row.body), json.loads(row.value or "{}"))


@pytest.mark.parametrize(
    ("kind", "body", "value"),
    [
        ("spawn_settled", {"outcome": ESCAPE}, {}), ("spawn_settled", {"outcome": "fine"}, {}),
        ("spawn_settled", {"outcome": ["ok"]}, {}), ("spawn_settled", {"bytes": None}, {}),
        ("spawn_settled", {"spawn": True}, {}), ("spawn_settled", {"spawn": 2**70}, {}),
        ("spawn_settled", {"seconds": float("inf")}, {}), ("spawn_settled", {}, {"message": 1}),
        ("spawn_settled", {}, {"cause": [1, 2, 3, 4]}), ("spawn_settled", {}, {"cause": []}),
        ("run_submitted", {"trace": ESCAPE}, {}), ("run_submitted", {}, {"policy": {}}),
        ("spawn_requested", {"agent": -1}, {}), ("spawn_requested", {"scopes": "crm"}, {}),
        ("spawn_requested", {"line": ESCAPE}, {}), ("spawn_requested", {}, {"label": -1}),
        ("attempt_started", {"agent": {}}, {}), ("attempt_failed", {"backoff": {}}, {}),
        ("script_checked", {}, {"findings": None}), ("script_checked", {}, {"findings": [{"rule": "r"}]}),
        ("sandbox_started", {"hardening": 1}, {}), ("sandbox_started", {"image": ESCAPE}, {}),
        ("token_issued", {"token": ESCAPE}, {}), ("token_issued", {"issued_at": 1e18}, {}),
        ("token_closed", {"observed": ESCAPE}, {}), ("token_closed", {"used": 1}, {}),
        ("gateway_answered", {"failure": ESCAPE}, {}), ("gateway_used", {}, {"path": []}),
        ("run_finished", {"usage": {"attempts": "many"}}, {}), ("run_finished", {}, {"trace": [[1]]}),
        ("then_requested", {"of": "all"}, {}), ("wait_opened", {"of": [1]}, {}), ("answered", {"handles": ["1"]}, {}),
    ],
)  # fmt: skip
def test_what_nobody_has_written_is_refused(kind: str, body: dict[str, Any], value: dict[str, Any]) -> None:
    with pytest.raises(RecordBroken, match=kind):
        require_form(EventKind(kind), body, value)


def test_texts_that_may_say_anything_reach_no_terminal_as_they_are(
    tmp_path: Path, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    from runner.cli.app import command

    hostile = []
    for row in rows_of(KEPT / "dialect2-python3.11" / "attempts.jsonl"):
        texts = {name: f"{said}{ESCAPE}" for name, said in json.loads(row.body).items()
                 if name in ("script", "policy", "agent", "by") and type(said) is str}  # fmt: skip
        changed = row.with_body(**texts) if texts else row
        if row.value and "message" in row.value:
            changed = changed.with_value(message=ESCAPE, detail=ESCAPE)
        hostile.append(changed)
    put(tmp_path / "theirs", "r1", hostile)
    theirs = open_store(tmp_path / "theirs")
    exported(theirs, "r1", tmp_path / "r1.zip")
    theirs.close()
    put(own_home, "good", rows_of(KEPT / "dialect2-python3.11" / "spawns.jsonl"))
    ours = open_store(own_home)
    import_file(ours.archive, tmp_path / "r1.zip", by="me")
    ours.close()
    verbs = ("runs", "scripts", "show r1", "show r1 --effects", "show r1 --spawn 1", "show r1 --json", "journal r1", "audit r1",
             "diff r1 good", "diff r1 good --json", "archive prune r1 --dry-run")  # fmt: skip
    for verb in verbs:
        command().main(args=verb.split(), standalone_mode=False, prog_name="runner")
        told = "".join(capsys.readouterr())

        assert told
        assert not any(sign in told for sign in "\x1b\x07\u202e"), verb
