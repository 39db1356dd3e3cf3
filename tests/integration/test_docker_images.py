"""Images of several versions: a run can start from the one that a journal names, and the others can be removed.

All of them are in a repository of the test's own, so that no image that others use is listed or removed.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.cli import call
from runner.engine.sandboxes import Sandboxes
from runner.errors import SandboxUnavailable
from runner.events import EventKind
from runner.models import Limits, digest_of
from runner.policy.model import Policy, SandboxRule
from runner.sandbox import bundle, image, rootfs
from runner.sandbox.docker import DockerSandbox
from runner.sandbox.engine_api import Engine
from runner.sandbox.image import ImageFacts
from tests.integration.docker_guests import LIMITS
from tests.support import converse
from tests.unit.journals_by_hand import begin, open_store

pytestmark = pytest.mark.docker

REPOSITORY = f"runner-guest-test-{os.getpid()}"
POLICY = Policy("p", {}, Limits(), SandboxRule("docker"), None, Path("."), "{}", "d")


async def engine_call(method: str, path: str, **more: object) -> int:
    engine = await Engine.find()
    try:
        return (await engine.call(method, path, allowed=(404, 409), **more)).status
    finally:
        engine.close()


async def build() -> ImageFacts:
    engine = await Engine.find()
    try:
        return await image.build_image(engine)
    finally:
        engine.close()


async def is_there(name: str) -> bool:
    return await engine_call("GET", f"/images/{name}/json") == 200


def of_another_version(patch: pytest.MonkeyPatch, word: str) -> None:
    """Let this process make the images of a runner whose guest has one more file."""
    files = {**bundle.sources(), "runner/guest/another.py": f'"""{word}"""\n'.encode()}
    digest = bundle.digest_of_files(files)
    patch.setattr(bundle, "sources", lambda: files)
    for module in ("bundle", "image", "rootfs"):
        patch.setattr(f"runner.sandbox.{module}.bundle_digest", lambda: digest)


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What of the interpreter is in each of these images: gathering it takes a second."""
    folder = tmp_path_factory.mktemp("interpreter")
    rootfs.write_interpreter(folder)
    return folder


@pytest.fixture(autouse=True)
def own_repository(interpreter: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(image, "REPOSITORY", REPOSITORY)
    monkeypatch.setattr(image, "write_interpreter", lambda root: shutil.copytree(interpreter, root, symlinks=True, dirs_exist_ok=True))
    yield
    monkeypatch.undo()
    asyncio.run(remove_all())


async def remove_all() -> None:
    engine = await Engine.find()
    filters = json.dumps({"reference": [REPOSITORY, f"{REPOSITORY}-of-others"]})
    try:
        found = (await engine.call("GET", "/images/json", query={"filters": filters})).json()
        for tag in [tag for each in found for tag in each["RepoTags"]]:
            await engine.call("DELETE", f"/images/{tag}", allowed=(404, 409))
    finally:
        engine.close()


@pytest.fixture
def old() -> ImageFacts:
    """An image of another version of runner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image, "REPOSITORY", REPOSITORY)
        of_another_version(patch, "old")
        return asyncio.run(build())


@pytest.fixture
def current(old: ImageFacts) -> ImageFacts:
    return asyncio.run(build())


def run_that_names(home: Path, run: str, digest: str) -> None:
    """Write the beginning of a run whose guest started from an image."""
    store = open_store(home)

    async def write() -> None:
        journal = begin(store, run)
        journal.append(EventKind.SANDBOX_STARTED, {"kind": "docker", "image": digest, "lock": "verified"})
        await journal.close()

    asyncio.run(write())
    store.close()


# --- starting from one -----------------------------------------------------------------------


async def test_a_sandbox_can_be_chosen_that_starts_guests_from_the_image_that_a_journal_names() -> None:
    with pytest.MonkeyPatch.context() as patch:
        of_another_version(patch, "old")
        old = await build()
    chosen = Sandboxes(asked="process", store="s", host="h", alive=lambda host: True, waiting_guests=2, progress=None)
    sandbox = await chosen.choose(POLICY, kind="docker", image=old.id)
    try:
        channel = await sandbox.start(LIMITS)
        talk = await converse(channel, "result = 6 * 7", limits=LIMITS)

        assert talk.last.result == 42
        assert (channel.facts.image, channel.facts.bundle) == (old.id, old.bundle)
        assert old.bundle != bundle.bundle_digest()
        assert await chosen.choose(POLICY, image=old.id) is sandbox
        assert await chosen.choose(POLICY, kind="docker") is not sandbox
    finally:
        await chosen.close()


@pytest.mark.parametrize("name", ["sha256:" + "0" * 64, "runner-guest:latest", "../containers/x"])
async def test_an_image_that_the_engine_does_not_have_is_refused_with_the_way_to_have_it(name: str) -> None:
    sandbox = DockerSandbox(store="tests", host="tests", image=name)
    try:
        with pytest.raises(SandboxUnavailable) as refused:
            await sandbox.start(LIMITS)
    finally:
        await sandbox.close()

    assert refused.value.message == f'docker has no image "{name}"'
    assert refused.value.hint == "`runner image build` makes it again, with the version of runner and Python that made it"


async def test_an_image_without_our_labels_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image, "BUNDLE_LABEL", "somebody.else")
        foreign = await build()
    sandbox = DockerSandbox(store="tests", host="tests", image=foreign.id)
    try:
        with pytest.raises(SandboxUnavailable, match="it is not one that runner made"):
            await sandbox.start(LIMITS)
    finally:
        await sandbox.close()


# --- listing and removing --------------------------------------------------------------------


def test_images_are_listed_with_the_runs_that_started_from_them(old, current, own_home, capfd) -> None:
    for run in ("run-1", "run-2"):
        run_that_names(own_home, run, old.id)

    assert call(["image", "list", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found == {
        "version": 1,
        "images": [
            {"tags": [facts.tag], "id": facts.id, "size": facts.size, "python": facts.python, "bundle": facts.bundle, "current": now, "runs": runs}
            for facts, now, runs in ((current, True, 0), (old, False, 2))
        ],
    }  # fmt: skip
    assert call(["image", "list"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].split() == ["image", "id", "size", "Python", "bundle", "runs"]
    assert lines[1].startswith(current.tag) and lines[1].endswith("0  current")
    assert lines[2].startswith(old.tag) and lines[2].rstrip().endswith(f"{old.bundle[:12]}     2")


def test_only_what_no_run_needs_and_nothing_starts_from_is_removed(old, current, own_home, capfd) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image, "REPOSITORY", REPOSITORY)
        of_another_version(patch, "unused")
        unused = asyncio.run(build())
    run_that_names(own_home, "run-1", old.id)
    run_that_names(own_home, "run-2", "")

    assert call(["image", "prune", "--dry-run"]) == 0
    assert capfd.readouterr().out == f"{unused.id}\n"
    assert asyncio.run(is_there(unused.id))
    assert call(["image", "prune"]) == 0
    told = capfd.readouterr()
    assert told.out == f"{unused.id}\n"
    assert told.err.startswith("removed 1 image, at most ")
    assert [asyncio.run(is_there(each.id)) for each in (old, current, unused)] == [True, True, False]
    assert call(["image", "prune"]) == 0
    assert capfd.readouterr().err == "removed 0 images\n"


def test_what_runs_need_goes_only_when_it_was_said_what_that_breaks(old, current, own_home, capfd) -> None:
    for n in range(7):
        run_that_names(own_home, f"run-{n}", old.id)

    assert call(["image", "prune", "--all"]) == 2
    told = capfd.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "7 runs can then no longer be replayed or resumed with the image that they started from: "
        "run-6, run-5, run-4, run-3, run-2 and 2 older",
        "usage: nothing was removed: runs need these images",
        "hint: runner image prune --all --yes",
    ]
    assert asyncio.run(is_there(old.id))
    assert call(["image", "prune", "--all", "--yes"]) == 0
    assert capfd.readouterr().out == f"{old.id}\n"
    assert [asyncio.run(is_there(each.id)) for each in (old, current)] == [False, True]


def test_an_image_that_a_container_uses_stays(old, current, own_home, capfd) -> None:
    async def prune_while_it_runs() -> int:
        sandbox = DockerSandbox(store="tests", host="tests", image=old.id)
        try:
            await sandbox.start(LIMITS)
            return await asyncio.to_thread(call, ["image", "prune"])
        finally:
            await sandbox.close()

    assert asyncio.run(prune_while_it_runs()) == 0
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", f"{old.tag} stays: a container uses it\nremoved 0 images\n")
    assert asyncio.run(is_there(old.id))


def test_of_an_image_that_somebody_else_has_named_too_only_our_name_goes(old, current, own_home, capfd) -> None:
    query = {"repo": f"{REPOSITORY}-of-others", "tag": "kept"}
    assert asyncio.run(engine_call("POST", f"/images/{old.id}/tag", query=query)) == 201

    assert call(["image", "prune"]) == 0
    assert asyncio.run(is_there(f"{REPOSITORY}-of-others:kept"))
    assert not asyncio.run(is_there(old.tag))


def test_an_image_with_two_of_our_names_is_one_image(old, current, own_home, capfd) -> None:
    query = {"repo": REPOSITORY, "tag": digest_of("again")[:12]}
    assert asyncio.run(engine_call("POST", f"/images/{current.id}/tag", query=query)) == 201

    assert call(["image", "prune"]) == 0
    assert capfd.readouterr().out == f"{old.id}\n"
    assert call(["image", "list", "--json"]) == 0
    (found,) = json.loads(capfd.readouterr().out)["images"]
    assert found["tags"] == [current.tag, f"{REPOSITORY}:{query['tag']}"]
