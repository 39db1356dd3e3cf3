"""A file that somebody hands over, and what runner may do with the run in it: nothing that its maker decides."""

from __future__ import annotations

import asyncio
import json
import platform
from pathlib import Path
from typing import Any

import pytest

from runner import Handed, Runner
from runner.archive.importing import import_file
from runner.archive.signing import archive_key
from runner.engine.submission import Reuse
from runner.errors import RecordBroken, ReviewNeeded, UsageError
from runner.events import EventKind
from runner.guest.dialect import VERSION as DIALECT
from runner.journal import open_store
from runner.models import digest_of
from runner.policy import load_policy_text
from runner.policy.archived import archived_policy
from runner.policy.model import Policy, SandboxRule
from tests.crash.cut import cut as cut_at
from tests.integration.test_review_runs import ECHO, REQUIRED
from tests.runs import run_script
from tests.unit.archives_by_hand import exported
from tests.unit.journals_by_hand import FINISHED, SUBMITTED, Failures

SCRIPT = "result = spawn('evil', {}).result()"
ANY = {"type": "object", "additionalProperties": True}


def hostile_policy(folder: Path, entry: dict[str, Any]) -> Policy:
    text = json.dumps(
        {
            "version": 1, "sandbox": "process",
            "agents": {"evil": {"description": "x", "input": ANY, "output": ANY, "effects": "none", **entry}},
        }
    )  # fmt: skip
    return load_policy_text(text, folder=folder, name="x")


def handed_over(home: Path, policy: Policy, file: Path, *, run: str = "r1", policy_file: str = "") -> Path:
    """Write the file of a run that was submitted and never went on, as its maker likes it."""
    store = open_store(home)

    async def write() -> None:
        journal = store.open_run(run, on_failure=Failures())
        value = {
            "script": SCRIPT, "policy": policy.resolved, "inputs": {}, "folder": str(policy.folder),
            "policy_file": policy_file,
        }  # fmt: skip
        body = {
            **SUBMITTED, "python": platform.python_version(), "policy_digest": policy.digest,
            "script_digest": digest_of(SCRIPT),
        }  # fmt: skip
        journal.append(EventKind.RUN_SUBMITTED, body, json.dumps(value))
        await journal.close()

    asyncio.run(write())
    exported(store, run, file)
    store.close()
    return file


def taken_in(home: Path, file: Path, key: str | None = None) -> str:
    store = open_store(home)
    try:
        return import_file(store.archive, file, by="me", key=key).run
    finally:
        store.close()


def resumed(home: Path, run: str, **options: Any) -> Any:
    async def go() -> Any:
        async with Runner(home=home, sandbox="process") as runner:
            return await runner.resume(run, by="me", **options)

    return asyncio.run(go())


def test_no_command_of_a_policy_that_was_handed_over_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    policy = hostile_policy(tmp_path, {"command": ["/bin/sh", "-c", f"echo >{mark}; echo '{{}}'"], "unsafe_same_uid": True})
    file = handed_over(tmp_path / "theirs", policy, tmp_path / "r1.zip")
    run = taken_in(tmp_path / "ours", file)
    with pytest.raises(UsageError) as refused:
        resumed(tmp_path / "ours", run)

    assert not mark.exists()
    assert "nobody vouches" in refused.value.message
    assert "--key" in refused.value.hint


def test_nor_where_the_host_is_asked_to_go_on_with_all_runs(tmp_path: Path) -> None:
    policy = hostile_policy(tmp_path, {"command": ["/bin/false"], "unsafe_same_uid": True})
    taken_in(tmp_path / "ours", handed_over(tmp_path / "theirs", policy, tmp_path / "r1.zip"))
    store = open_store(tmp_path / "ours")

    assert store.interrupted() == []
    assert [row.state for row in store.runs()] == ["interrupted"]
    store.close()


def test_no_module_beside_a_policy_that_was_handed_over_is_imported(tmp_path: Path) -> None:
    """The file that it names is there, and says what the record says: who made the one made the other."""
    theirs = tmp_path / "shared"
    theirs.mkdir()
    (theirs / "wicked.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\ndef call(inputs): return {{}}\n")
    policy = hostile_policy(theirs, {"python": "wicked:call"})
    written = {
        "version": 1, "sandbox": "process",
        "agents": {"evil": {"description": "x", "input": ANY, "output": ANY, "effects": "none", "python": "wicked:call"}},
    }  # fmt: skip
    (theirs / "policy.json").write_text(json.dumps(written))
    file = handed_over(tmp_path / "theirs", policy, tmp_path / "r1.zip", policy_file=str(theirs / "policy.json"))
    run = taken_in(tmp_path / "ours", file)
    for options in ({}, {"old_policy": True}):
        with pytest.raises(UsageError, match="nobody vouches"):
            resumed(tmp_path / "ours", run, **options)

    assert not (tmp_path / "executed").exists()


def test_a_demanded_key_vouches_and_a_policy_that_is_not_here_wants_a_word_of_its_own(tmp_path: Path) -> None:
    policy = hostile_policy(tmp_path, {"command": ["/bin/sh", "-c", "echo '{}'"], "unsafe_same_uid": True})
    file = handed_over(tmp_path / "theirs", policy, tmp_path / "r1.zip")
    run = taken_in(tmp_path / "ours", file, archive_key(tmp_path / "theirs").fingerprint)
    with pytest.raises(UsageError, match="names no policy file"):
        resumed(tmp_path / "ours", run)

    assert resumed(tmp_path / "ours", run, old_policy=True).result == {}


def test_who_signs_what_somebody_else_had_made_up_does_not_vouch_for_it(tmp_path: Path) -> None:
    policy = hostile_policy(tmp_path, {"command": ["/bin/false"], "unsafe_same_uid": True})
    first = handed_over(tmp_path / "theirs", policy, tmp_path / "first.zip")
    taken_in(tmp_path / "between", first)
    between = open_store(tmp_path / "between")
    exported(between, "r1", tmp_path / "second.zip")
    between.archive.prune("r1", by="me", reason="test")
    between.close()
    run = taken_in(tmp_path / "ours", tmp_path / "second.zip", archive_key(tmp_path / "between").fingerprint)
    taken_in(tmp_path / "between", tmp_path / "second.zip")
    for home in ("ours", "between"):
        with pytest.raises(UsageError, match="nobody vouches"):
            resumed(tmp_path / home, run, old_policy=True)


def test_a_run_that_was_begun_here_and_comes_back_is_ours(tmp_path: Path) -> None:
    policy = hostile_policy(tmp_path, {"command": ["/bin/sh", "-c", "echo '{}'"], "unsafe_same_uid": True})
    file = handed_over(tmp_path / "ours", policy, tmp_path / "r1.zip")
    store = open_store(tmp_path / "ours")
    store.archive.prune("r1", by="me", reason="test")
    store.close()
    run = taken_in(tmp_path / "ours", file)

    assert resumed(tmp_path / "ours", run).result == {}


async def test_outcomes_that_were_handed_over_are_not_taken(tmp_path: Path) -> None:
    script = "result = spawn('echo', {'said': 1}).result()"
    ran = await run_script(tmp_path / "theirs", script)
    theirs = open_store(tmp_path / "theirs")
    exported(theirs, ran.result.run, tmp_path / "run.zip")
    theirs.close()
    taken_in(tmp_path / "ours", tmp_path / "run.zip")
    with pytest.raises(UsageError, match="nobody vouches"):
        await run_script(tmp_path / "ours", script, reuse=Reuse(ran.result.run))

    taken_in(tmp_path / "vouched", tmp_path / "run.zip", archive_key(tmp_path / "theirs").fingerprint)
    again = await run_script(tmp_path / "vouched", script, reuse=Reuse(ran.result.run))

    assert again.result.usage.reused == 1


async def test_a_record_that_was_handed_over_chooses_neither_sandbox_nor_memory_of_its_guest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    policy = load_policy_text(
        json.dumps(
            {"version": 1, "sandbox": {"demand": "docker", "unsafe_unverified_lock": True, "runtime": "theirs"},
             "limits": {"memory": "900GB"}, "agents": {}}
        ), folder=tmp_path, name="x",
    )  # fmt: skip
    store = open_store(tmp_path / "theirs")
    journal = store.open_run("r1", on_failure=Failures())
    body = {**SUBMITTED, "python": platform.python_version()}
    journal.append(EventKind.RUN_SUBMITTED, body, json.dumps({"script": "result = 1", "policy": policy.resolved, "inputs": {}}))
    facts = {"kind": "docker", "image": "sha256:" + "5" * 64, "python": platform.python_version()}
    journal.append(EventKind.SANDBOX_STARTED, facts)
    journal.append(EventKind.RUN_STARTED, {"seed": 1, "now": 1_750_000_000.0, "dialect": DIALECT})
    journal.append(EventKind.RUN_FINISHED, FINISHED, '{"result":1}')
    await journal.close()
    exported(store, "r1", tmp_path / "r1.zip")
    store.close()
    taken_in(tmp_path / "ours", tmp_path / "r1.zip")
    asked: list[tuple[Policy, dict[str, str]]] = []

    async def choose(self: object, policy: Policy, **like: str) -> None:
        asked.append((policy, like))
        raise UsageError("seen")

    monkeypatch.setattr("runner.engine.sandboxes.Sandboxes.choose", choose)
    async with Runner(home=tmp_path / "ours") as runner:
        for again in (runner.replay("r1"), runner.what_if("r1", inputs={"a": 1})):
            with pytest.raises(UsageError, match="seen"):
                await again

    for found, like in asked:
        assert found.sandbox == SandboxRule("docker")
        assert found.limits.memory_bytes == 2**30
        assert not any(like.values())


@pytest.mark.parametrize(
    "change",
    [
        lambda form: form["limits"].update(memory_bytes="1"), lambda form: form["limits"].update(spawns=True),
        lambda form: form["limits"].update(wall_seconds=float("nan")), lambda form: form["limits"].update(frame_bytes=2**40),
        lambda form: form["limits"].update(bytes_in=10**400), lambda form: form["limits"].update(wall_seconds=1e400),
        lambda form: form["limits"].update(cpu_seconds=-1), lambda form: form["sandbox"].update(demand="none"),
        lambda form: form["sandbox"].update(runtime=1), lambda form: form["agents"]["evil"].update(max_retries="x"),
        lambda form: form["agents"]["evil"].update(scopes="crm"), lambda form: form["agents"]["evil"].update(scopes=[{}]),
        lambda form: form.update(imports="os"), lambda form: form.update(limits=[]),
    ],
)  # fmt: skip
def test_a_policy_that_no_file_can_say_is_refused_before_anything_reads_it(tmp_path: Path, change: Any) -> None:
    form = json.loads(hostile_policy(tmp_path, {"command": ["/bin/false"]}).resolved)
    change(form)
    with pytest.raises(RecordBroken, match="cannot be read"):
        archived_policy(json.dumps(form), name="x", folder="")


async def test_that_somebody_answered_at_a_terminal_elsewhere_is_no_review_here(tmp_path: Path) -> None:
    whole, theirs, ours = tmp_path / "whole", tmp_path / "theirs", tmp_path / "ours"
    whole.mkdir(mode=0o700)
    async with Runner(home=whole, sandbox="process") as runner:
        result = await runner.run(ECHO, policy=REQUIRED, inputs="hi", handed=Handed(prompted=True))
        started = next(event.seq for event in runner.events(result.run) if event.kind is EventKind.RUN_STARTED)
    cut_at(whole, theirs, result.run, started)
    store = open_store(theirs)
    exported(store, result.run, tmp_path / "run.zip")
    store.close()
    taken_in(ours, tmp_path / "run.zip", archive_key(theirs).fingerprint)
    async with Runner(home=ours, sandbox="process") as runner:
        with pytest.raises(ReviewNeeded):
            await runner.resume(result.run, by="me", old_policy=True)


# --- looking at it again calls nothing ----------------------------------------------------------

ALL = """
names = ["py", "cmd", "own", "attached", "external"]
result = [h.error.kind if h.error else h.result() for h in [spawn(n, {"n": inputs["n"]}) for n in names] if gather([h], on_error="none")]
"""


def trapped(tmp_path: Path) -> Policy:
    """Return a policy of which whatever is imported, started or read leaves a mark."""
    mark = tmp_path / "executed"
    (tmp_path / "wicked.py").write_text(f"open({str(mark)!r}, 'w')\ndef call(inputs): return {{}}\n")
    touch = ["/bin/sh", "-c", f"echo >{mark}; echo '{{}}'"]
    entry = {"description": "x", "input": ANY, "output": ANY, "effects": "none"}
    command = {**entry, "command": touch, "unsafe_same_uid": True}
    resource = {"url": "https://127.0.0.1:9"}
    return load_policy_text(
        json.dumps({
            "version": 1, "sandbox": "process",
            "issuers": {"idp": {"url": "https://127.0.0.1:9", "client_id": "c", "credential": {"command": touch}}},
            "resources": {
                "own": {**resource, "scopes": {"own:a": "GET /a"}},
                "attached": {**resource, "scopes": {"att:a": "GET /a"},
                             "credential": {"header": "X-Key", "value": {"command": touch}}},
                "external": {**resource, "issuer": "idp", "scopes": {"ext:a": "GET /a"}},
            },
            "agents": {
                "py": {**entry, "python": "wicked:call"}, "cmd": {**command, "env": {"WHO": {"command": touch}}},
                **{name: {**command, "scopes": [scope], "default_scopes": [scope]}
                   for name, scope in (("own", "own:a"), ("attached", "att:a"), ("external", "ext:a"))},
            },
        }), folder=tmp_path, name="x",
    )  # fmt: skip


async def test_a_replay_and_a_trial_of_a_record_that_was_handed_over_import_start_read_and_reach_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    policy = trapped(tmp_path)
    store = open_store(tmp_path / "theirs")
    journal = store.open_run("r1", on_failure=Failures())
    body = {**SUBMITTED, "python": platform.python_version()}
    value = {"script": ALL, "policy": policy.resolved, "inputs": {"n": 1}, "folder": str(tmp_path)}
    journal.append(EventKind.RUN_SUBMITTED, body, json.dumps(value))
    journal.append(EventKind.RUN_STARTED, {"seed": 1, "now": 1_750_000_000.0, "dialect": DIALECT})
    await journal.close()
    exported(store, "r1", tmp_path / "r1.zip")
    store.close()
    taken_in(tmp_path / "ours", tmp_path / "r1.zip")
    (tmp_path / "mocks.yaml").write_text(
        "version: 1\nagents: {py: [{output: {}}], cmd: [{output: {}}], own: [{output: {}}], attached: [{output: {}}], "
        "external: [{output: {}}]}\n"
    )

    def reached(*args: object, **options: object) -> None:
        (tmp_path / "executed").write_text("reached")
        raise AssertionError("reached")

    for place in (
        "runner.engine.backends.Backends.__init__", "runner.policy.references.read_reference",
        "runner.credentials.keys.Keys.__init__", "runner.credentials.revoker_host.Revoker.start",
        "runner.credentials.issuer.EmbeddedIssuer.issue",
    ):  # fmt: skip
        monkeypatch.setattr(place, reached)
    async with Runner(home=tmp_path / "ours", sandbox="process") as runner:
        replayed = await runner.replay("r1")
        tried = await runner.what_if("r1", inputs={"n": 2}, mocks=tmp_path / "mocks.yaml")

    assert replayed.state == "interrupted"
    assert len(tried.unmatched) == 5
    assert tried.state == "done"
    assert not (tmp_path / "executed").exists()
