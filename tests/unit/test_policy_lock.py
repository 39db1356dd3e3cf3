"""The lock beside a policy: when it is read, what it is part of, and when it is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.check import check
from runner.cli.policy import policy_lines
from runner.errors import LockStale, PolicyError
from runner.models import Script
from runner.policy import load_policy
from runner.policy.archived import archived_policy
from runner.policy.diff import policy_diff
from runner.policy.lock import fingerprint_of, lock_beside, lock_form, lock_text, require_locked
from runner.policy.model import LockedAgent, Policy

TEXT = """
version: 1
sandbox: process
agents:
  one:
    description: Does one thing.
    python: agents:one
    input: {}
    output: {}
  two:
    description: Does another.
    command: [./two]
    input: {}
    output: {}
"""
ONE = {"call": "agents:one", "code": "1" * 64}
TWO = {"command": "3" * 64, "program": "two", "code": "2" * 64}


def locked(backend: str, facts: dict[str, str], **more: Any) -> LockedAgent:
    return LockedAgent(backend, fingerprint_of(backend, facts), facts, **more)


AGENTS = {"one": locked("python", ONE), "two": locked("command", TWO)}


def write(folder: Path, text: str = TEXT, agents: dict[str, LockedAgent] = AGENTS) -> Path:
    """Write a policy and its lock, and return the policy's file."""
    file = folder / "own.yaml"
    file.write_text(text)
    lock_beside(file).write_text(lock_text(lock_form(load_policy(file, locked=False).digest, agents)))
    return file


def test_a_lock_beside_the_file_is_read_and_its_digest_covers_it(tmp_path):
    file = write(tmp_path)
    found, without = load_policy(file), load_policy(file, locked=False)

    assert (found.lock, without.lock) == (AGENTS, None)
    assert found.digest != without.digest
    assert json.loads(found.resolved) == {**json.loads(without.resolved), "lock": json.loads(lock_beside(file).read_text())}
    assert found.agents == without.agents


def test_without_a_lock_a_policy_has_the_digest_that_it_had(tmp_path):
    file = write(tmp_path)
    without = load_policy(file, locked=False)
    lock_beside(file).unlink()

    assert load_policy(file) == without
    assert "lock" not in json.loads(without.resolved)


def test_another_lock_is_another_digest(tmp_path):
    file = write(tmp_path)
    before = load_policy(file)
    write(tmp_path, agents={**AGENTS, "one": locked("python", {**ONE, "code": "9" * 64})})

    assert load_policy(file).digest != before.digest


def test_the_archive_holds_the_lock(tmp_path):
    schema = {"type": "string"}
    found = load_policy(write(tmp_path, agents={**AGENTS, "one": locked("python", ONE, input_schema=schema, output_schema=schema)}))
    again = archived_policy(found.resolved, name="own", folder=str(tmp_path), file=found.file)

    assert (again.lock, again.digest) == (found.lock, found.digest)
    assert again.lock is not None and again.lock["one"].input_schema == schema


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("Does one thing.", "Does 1 thing."), '{file} was changed after it was locked'),
        (("version: 1", "version: 1\nlimits: {spawns: 7}"), '{file} was changed after it was locked'),
        (("  one:", "  three:"), 'it locks agents that the policy does not have: "one"'),
        (("agents:\n", "agents:\n  three: {description: x, python: 'a:b', input: {}, output: {}}\n"), 'it lacks agents that the policy has: "three"'),
    ],
)  # fmt: skip
def test_a_policy_that_was_changed_since_is_refused_until_it_is_locked_again(tmp_path, change, message):
    file = write(tmp_path)
    file.write_text(TEXT.replace(*change))

    with pytest.raises(LockStale) as caught:
        load_policy(file)

    assert caught.value.message == f"{file}.lock: " + message.format(file=f'"{file}"')
    assert caught.value.hint == f"look at what changed, then `runner policy lock {file}`"
    assert load_policy(file, locked=False).lock is None


def test_comments_and_spelling_do_not_make_a_lock_stale(tmp_path):
    file = write(tmp_path)
    file.write_text("# a comment\n" + TEXT.replace("sandbox: process", "sandbox: {demand: process}"))

    assert load_policy(file).lock == AGENTS


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def altered(text: str) -> str:
        value = json.loads(text)
        change(value)
        return json.dumps(value)

    return altered


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (changed(lambda lock: lock.update(version=2)), "not a lock of version 1: version: input should be 1"),
        (changed(lambda lock: lock.pop("policy")), "not a lock of version 1: policy: field required"),
        (changed(lambda lock: lock.update(more=1)), "not a lock of version 1: more: extra inputs are not permitted"),
        (changed(lambda lock: lock["agents"]["one"].update(facts={"code": 1})), "not a lock of version 1: agents.one.facts.code: input should be a valid string"),
        (changed(lambda lock: lock["agents"]["one"]["facts"].update(code="9" * 64)), 'agent "one" has a fingerprint that is not of its facts'),
        (lambda text: "<<<<<<< ours\n" + text, "not JSON: "),
        (lambda text: "[]", "not a lock of version 1: the whole: "),
        (lambda text: text.replace('"version"', '"version": 1, "version"'), "not JSON: the key"),
        (lambda text: "[" * 2000, "nested more than"),
    ],
)  # fmt: skip
def test_what_is_no_lock_or_was_edited_is_refused(tmp_path, alter, message):
    file = write(tmp_path)
    lock = lock_beside(file)
    lock.write_text(alter(lock.read_text()))

    with pytest.raises(PolicyError) as caught:
        load_policy(file)

    assert caught.value.message.startswith(f"{lock}:") and message in caught.value.message


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("nowhere", path)])
def test_what_is_no_file_is_refused_and_not_taken_for_no_lock(tmp_path, make):
    file = write(tmp_path)
    lock_beside(file).unlink()
    make(lock_beside(file))

    with pytest.raises(PolicyError):
        load_policy(file)


def test_a_policy_that_is_a_text_has_no_lock_and_locks_of_included_files_are_not_read(tmp_path):
    included = write(tmp_path)
    lock_beside(included).write_text("no lock")
    (tmp_path / "main.yaml").write_text("version: 1\ninclude: [own.yaml]\n")

    assert load_policy(tmp_path / "main.yaml").lock is None


@pytest.mark.parametrize(
    ("backend", "facts", "told"),
    [
        ("python", ONE, ""),
        ("python", {**ONE, "code": "9" * 64}, "code is 999999999999, was locked as 111111111111"),
        ("python", {**ONE, "version": "2"}, "version is 2, was locked as not said"),
        ("python", {"call": "agents:one"}, "code is not said, was locked as 111111111111"),
        ("command", {"call": "b"}, "backend is command, was locked as python; call is b, was locked as agents:one; code is not said, was locked as 111111111111"),
        ("python", {"unknown": "OSError"}, "call is not said, was locked as agents:one; code is not said, was locked as 111111111111; unknown is OSError, was locked as not said"),
    ],
)  # fmt: skip
def test_an_agent_that_is_another_one_is_refused_with_what_differs(tmp_path, backend, facts, told):
    policy = load_policy(write(tmp_path))
    if not told:
        require_locked(policy, "one", backend, facts)
        return

    with pytest.raises(PolicyError) as caught:
        require_locked(policy, "one", backend, facts)

    assert caught.value.message == f'agent "one" is not what the lock of policy "own" says: {told}'
    assert caught.value.hint == f"look at what changed, then `runner policy lock {policy.file}`"


def test_an_agent_that_the_lock_does_not_hold_is_refused_and_without_a_lock_none_is(tmp_path):
    file = write(tmp_path)
    require_locked(load_policy(file, locked=False), "three", "python", {})

    with pytest.raises(PolicyError, match='agent "three" is not in the lock of policy "own"'):
        require_locked(load_policy(file), "three", "python", {})


def policies(tmp_path: Path) -> tuple[Policy, Policy, Policy]:
    """Return a policy without a lock, with one, and with one of other code."""
    file = write(tmp_path)
    first = load_policy(file)
    write(tmp_path, agents={**AGENTS, "two": locked("command", {**TWO, "code": "7" * 64, "argument 1": "8" * 64})})
    return load_policy(file, locked=False), first, load_policy(file)


def test_a_lock_narrows_and_other_code_in_it_counts_as_widened(tmp_path):
    without, first, second = policies(tmp_path)
    told = [
        [(str(entry.kind), entry.message) for entry in policy_diff(one, other).entries]
        for one, other in ((without, first), (first, without), (first, second))
    ]

    assert told == [
        [("narrowed", "lock is new: other code is refused")],
        [("widened", "lock is gone: any code is taken")],
        [("changed", 'lock has other code of agent "two": code, argument 1')],
    ]


def test_check_shows_what_a_lock_holds(tmp_path):
    without, first, _ = policies(tmp_path)

    assert policy_lines(without)[-1] == "lock: none"
    assert policy_lines(first)[-3:] == [
        "lock: 2 agents", f"  one: python, sha256 {AGENTS['one'].fingerprint[:12]}", f"  two: command, sha256 {AGENTS['two'].fingerprint[:12]}"
    ]  # fmt: skip


def test_checking_comparing_and_showing_a_locked_policy_imports_no_agent(tmp_path):
    file = write(tmp_path)
    (tmp_path / "agents.py").write_text("raise SystemExit('imported')\n")
    code = f"""
import sys
from runner.cli import call
codes = [call(words) for words in (["policy", "check", {str(file)!r}], ["policy", "diff", {str(file)!r}, {str(file)!r}], ["prompt", "--policy", {str(file)!r}])]
print([int(code) for code in codes], [name for name in sys.modules if name.startswith("runner.agents") or name == "agents"])
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert said.stdout.splitlines()[-1] == "[0, 0, 0] []"
    assert check(Script("s", b"result = spawn('one', {}).result()"), load_policy(file)).accepted
