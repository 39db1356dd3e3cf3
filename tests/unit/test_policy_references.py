"""Values kept elsewhere: read at use, refused where others can read them, in no error and no text."""

# Tables of whole messages read better unbroken.
# ruff: noqa: E501

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from runner.errors import PolicyError
from runner.policy import references
from runner.policy.model import Reference
from runner.policy.references import parse_reference, read_reference, redact

VALUE = "s3cr3t/väl+ue"


def kept(folder: Path, data: bytes, mode: int = 0o600) -> Reference:
    path = folder / "token"
    path.write_bytes(data)
    path.chmod(mode)
    return Reference("file", ("token",))


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("env:TOKEN", Reference("env", ("TOKEN",))),
        ("file:~/token", Reference("file", ("~/token",))),
        ("file:a:b", Reference("file", ("a:b",))),
        ("TOKEN", None),
        ("https://example.com", None),
        ("environment:x", None),
    ],
)
def test_a_text_is_a_reference_by_its_beginning(text, reference):
    assert parse_reference(text) == reference


@pytest.mark.parametrize("text", ["env:", "env:A B", "env:1A", "env:A=B", "file:", "file: ", "file:a\0b"])
def test_a_broken_reference_is_no_literal(text):
    with pytest.raises(ValueError):
        parse_reference(text)


def test_a_variable_is_read_at_use(monkeypatch, tmp_path):
    reference = Reference("env", ("TOKEN",))
    monkeypatch.setenv("TOKEN", VALUE)
    first = read_reference(reference, tmp_path)
    monkeypatch.setenv("TOKEN", "another")

    assert (first, read_reference(reference, tmp_path)) == (VALUE, "another")


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_files_last_line_end_does_not_belong_to_its_value(tmp_path, end):
    assert read_reference(kept(tmp_path, VALUE.encode() + end), tmp_path) == VALUE


def test_a_path_from_home_and_an_absolute_one_are_read(tmp_path, monkeypatch):
    kept(tmp_path, VALUE.encode())
    monkeypatch.setenv("HOME", str(tmp_path))

    assert read_reference(Reference("file", ("~/token",)), Path("/")) == VALUE
    assert read_reference(Reference("file", (f"{tmp_path}/token",)), Path("/")) == VALUE


def test_a_command_is_run_in_the_policys_folder_without_input(tmp_path):
    (tmp_path / "here").write_text(VALUE)
    reference = Reference("command", ("sh", "-c", "cat; cat here; echo"))

    assert read_reference(reference, tmp_path) == VALUE


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_can_read_or_write_is_refused(tmp_path, mode):
    with pytest.raises(PolicyError) as caught:
        read_reference(kept(tmp_path, VALUE.encode(), mode), tmp_path)

    assert caught.value.message == f"file:token can be read or written by others (mode {mode:04o})"
    assert caught.value.hint == "chmod 600 token"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path):
    reference = kept(tmp_path, VALUE.encode())
    os.chown(tmp_path / "token", 65534, 65534)
    with pytest.raises(PolicyError, match="file:token belongs to another user"):
        read_reference(reference, tmp_path)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (Reference("env", ("RUNNER_TEST_NOT_SET",)), "env:RUNNER_TEST_NOT_SET is not set"),
        (Reference("file", ("nowhere",)), "file:nowhere cannot be read: no such file or directory"),
        (Reference("file", (".",)), "file:. is not a file"),
        (Reference("command", ("no-such-program-here",)),
         "command:no-such-program-here cannot be started: no such file or directory"),
        (Reference("command", ("sh", "-c", "echo s3cr3t; echo s3cr3t >&2; exit 3")), "command:sh ended with status 3"),
        (Reference("command", ("sh", "-c", "head -c 70000 /dev/zero | tr '\\0' x")), "command:sh has more than 65,536 bytes"),
        (Reference("command", ("true",)), "command:true is empty"),
        (Reference("command", ("printf", "s3cr3t\\377")), "command:printf is not UTF-8"),
        (Reference("command", ("printf", "s3cr3t\\0x")), "command:printf is no text: it has a NUL character"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_without_a_value(tmp_path, reference, message):
    with pytest.raises(PolicyError) as caught:
        read_reference(reference, tmp_path)

    assert caught.value.message == message
    assert "s3cr3t" not in f"{caught.value!r} {caught.value.hint}"


def test_a_command_that_hangs_is_killed_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(references, "COMMAND_TIMEOUT_SECONDS", 0.3)
    reference = Reference("command", ("sh", "-c", "sleep 60 & echo $! >child; wait"))
    with pytest.raises(PolicyError) as caught:
        read_reference(reference, tmp_path)

    assert caught.value.message == "command:sh took longer than 0.3 s"
    assert _gone(int((tmp_path / "child").read_text()))


def _gone(pid: int) -> bool:
    """Say whether a process is dead, once init has had a minute to reap it."""
    for _ in range(6_000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(
    "form",
    [VALUE, json.dumps(VALUE)[1:-1], quote(VALUE, safe=""), base64.b64encode(VALUE.encode()).decode(),
     base64.urlsafe_b64encode(VALUE.encode()).decode().rstrip("=")],
)  # fmt: skip
def test_a_value_is_taken_out_of_a_text_however_it_is_written(form):
    assert redact(f"before {form} after", [VALUE]) == "before [redacted] after"


def test_the_longer_of_two_values_is_taken_out_whole():
    assert redact("abcdef abc", ["abc", "abcdef", ""]) == "[redacted] [redacted]"


def test_a_reference_shows_where_a_value_is_and_of_a_command_only_the_program():
    assert [str(Reference("env", ("A",))), str(Reference("command", ("pass", "show", "x")))] == ["env:A", "command:pass"]
