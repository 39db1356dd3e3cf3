"""The guest image: what is in it, what is not, and that it is made once."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from runner.guest import warm
from runner.sandbox import image
from runner.sandbox.bundle import GUEST_ENVIRONMENT, PYTHON_FLAGS, base_python, bundle, bundle_digest, sources
from runner.sandbox.engine_api import Engine
from runner.sandbox.rootfs import write_guest, write_interpreter, write_tar
from tests.integration.docker_guests import guest, said

WARMED = """
import os, sys
sys.path.insert(0, '/guest')
from runner.guest import __main__ as guest
guest.warm.import_lazy_modules()
os.write(1, repr(sorted(sys.modules)).encode())
os._exit(0)
"""
SHELLS_AND_INSTALLERS = {"sh", "bash", "dash", "busybox", "env", "pip", "ensurepip", "apt", "perl"}


@pytest.fixture(scope="module")
def tars(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The layers as they go into an image: the interpreter and the bundle."""
    return [_tar(tmp_path_factory.mktemp("root"), write) for write in (write_interpreter, write_guest)]


@pytest.fixture(scope="module")
def layers(tars: list[bytes]) -> dict[str, tarfile.TarInfo]:
    """The files of both layers by name."""
    found = {}
    for data in tars:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            found.update({entry.name: entry for entry in tar})
    return found


def _tar(folder: Path, write) -> bytes:
    write(folder)
    stream = io.BytesIO()
    write_tar(folder, stream)
    return stream.getvalue()


def test_the_image_holds_no_shell_no_installer_and_no_program_but_python(layers):
    programs = [name for name, entry in layers.items() if entry.isfile() and entry.mode & 0o111 and ".so" not in name]

    assert [Path(name).name.startswith("python3.") for name in programs] == [True]
    assert not SHELLS_AND_INSTALLERS & {Path(name).name for name in layers}


def test_the_image_holds_no_set_user_id_file_no_device_and_no_foreign_owner(layers):
    assert not [entry.name for entry in layers.values() if entry.mode & 0o7000]
    assert all(entry.isfile() or entry.isdir() or entry.issym() for entry in layers.values())
    assert {(entry.uid, entry.gid, entry.uname, entry.mtime) for entry in layers.values()} == {(0, 0, "", 0)}
    assert [entry.linkname for entry in layers.values() if entry.issym()] == [Path(base_name(layers)).name]


def base_name(layers: dict[str, tarfile.TarInfo]) -> str:
    return next(name for name in layers if name.startswith("usr/bin/python3."))


def test_the_image_takes_less_than_sixty_megabytes(layers):
    assert sum(entry.size for entry in layers.values()) < 60 * 2**20


def test_the_image_holds_nothing_that_could_reach_a_network(layers):
    absent = {"_ssl", "_socket", "ssl", "http", "urllib.request", "smtplib", "ftplib", "asyncio", "multiprocessing"}
    names = {Path(name).name.partition(".")[0] for name in layers}

    assert names & absent <= {"_socket"}  # the nursery of the process sandbox imports it; in here no call reaches it


def test_the_same_interpreter_and_bundle_give_the_same_bytes(tars, tmp_path):
    for data, write in zip(tars, (write_interpreter, write_guest), strict=True):
        folder = tmp_path / write.__name__
        folder.mkdir()

        assert hashlib.sha256(_tar(folder, write)).digest() == hashlib.sha256(data).digest()


def test_the_bundle_holds_the_guest_and_restricted_python_and_nothing_of_the_host():
    tops = {name.split("/")[0] if "guest" not in name else "runner/guest" for name in sources()}
    imported = {
        node.module or ""
        for data in (data for name, data in sources().items() if name.endswith(".py"))
        for node in ast.walk(ast.parse(data))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("runner")
    }

    assert tops == {"runner/guest", "RestrictedPython", "runner"}
    assert sources()["runner/__init__.py"] == b'"""Inside a sandbox there is only `runner.guest`."""\n'
    assert all(name == "runner.guest" or name.startswith("runner.guest.") for name in imported)


def test_the_bundle_is_made_once_readable_by_everyone_and_found_again(own_home):
    first = bundle()
    made = first.path.stat().st_mtime_ns
    modes = {path.stat().st_mode & 0o777 for path in first.path.rglob("*") if path.is_file()}

    assert modes == {0o644}
    assert first.path.stat().st_mode & 0o777 == 0o755
    assert bundle() == first and first.path.stat().st_mtime_ns == made
    assert (own_home / "cache").stat().st_mode & 0o777 == 0o700
    assert first.digest == bundle_digest()


def test_the_bundle_is_not_taken_from_a_folder_that_others_may_write_to(own_home):
    from runner.errors import SandboxUnavailable

    (own_home / "cache").unlink()
    (own_home / "cache").mkdir()
    (own_home / "cache").chmod(0o777)

    with pytest.raises(SandboxUnavailable, match="others may write to it"):
        bundle()


def test_every_module_that_a_guest_imports_is_compiled_in_its_bundle(own_home):
    text = f"import sys; sys.path.insert(0, {str(bundle().path)!r}); import runner.guest.__main__\n"
    text += "print([m for m, v in sys.modules.items() if m.startswith(('runner', 'Restricted')) and not v.__cached__])"
    text += "; print([v.__spec__.cached for v in sys.modules.values() if 'guest' in v.__name__][0])"
    listed, cached = _output_of(text).splitlines()

    assert listed == "[]"
    assert os.path.exists(cached)


@pytest.mark.docker
async def test_the_image_has_every_module_that_this_machines_guest_has(own_home):
    async with guest(WARMED) as channel:
        inside = set(ast.literal_eval((await said(channel)).decode()))
    here = _output_of(WARMED.replace("/guest", str(bundle().path)))
    missing = set(ast.literal_eval(here)) - inside

    # OpenSSL's half of hashlib is left out, and what it alone brings.
    assert missing <= {"_hashlib", "_uuid"}
    assert set(warm._LAZY) & set(ast.literal_eval(here)) <= inside


@pytest.mark.docker
async def test_an_image_is_built_with_an_id_of_its_contents_and_then_found(tars):
    engine = await Engine.find()
    told: list[str] = []
    try:
        built = await image.build_image(engine, told.append)
        found = await image.find_image(engine)
        driver = str((await engine.call("GET", "/info")).json().get("DriverStatus"))
        ensured = await image.ensure_image(engine, lambda text: pytest.fail("built again"))
    finally:
        engine.close()

    assert built == found == ensured
    digests = [hashlib.sha256(data).hexdigest() for data in tars]
    if "io.containerd" not in driver:  # that one's ids are of a manifest it makes itself
        assert built.id == f"sha256:{hashlib.sha256(image.image_config(digests)).hexdigest()}"
    assert built.tag == image.image_tag()
    assert built.bundle == bundle_digest()
    assert built.size <= image.MAX_IMAGE_BYTES
    assert told[0].startswith("building the guest image from Python 3.")


@pytest.mark.docker
async def test_an_image_that_was_removed_meanwhile_is_made_again(monkeypatch):
    # A bundle of another digest, so that no image that others use is removed.
    monkeypatch.setattr(image, "REPOSITORY", "runner-guest-removed")
    from runner.sandbox.docker import DockerSandbox
    from tests.integration.docker_guests import LIMITS

    sandbox = DockerSandbox(store="tests", host="tests")
    engine, facts = await sandbox._open()
    monkeypatch.setattr(sandbox, "_opened", (engine, image.ImageFacts("sha256:" + "0" * 64, "", 0, "", "")))
    try:
        channel = await sandbox.start(LIMITS)
        assert channel.facts.image == facts.id
    finally:
        await sandbox.close()
        engine = await Engine.find()
        await engine.call("DELETE", f"/images/{facts.tag}", allowed=(404,))
        engine.close()


def _output_of(text: str) -> str:
    command = [base_python(), *PYTHON_FLAGS, "-c", text]
    return subprocess.run(command, env=GUEST_ENVIRONMENT, capture_output=True, text=True, check=True).stdout


def test_a_module_that_only_a_from_import_names_is_taken_along():
    from runner.sandbox.rootfs import _imported_by_bundle

    assert {"urllib.parse", "collections.abc"} <= _imported_by_bundle()
