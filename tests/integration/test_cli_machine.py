"""`runner doctor` proves what it says by starting guests; `runner image build` makes what they start from."""

from __future__ import annotations

import json

import pytest

from runner.cli import call


def diagnoses(out: str) -> dict[str, dict[str, str]]:
    return {diagnosis["subject"]: diagnosis for diagnosis in json.loads(out)["diagnoses"]}


def test_doctor_starts_a_guest_and_says_what_holds_it(capfd, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")

    assert call(["doctor", "--json"]) == 0
    found = diagnoses(capfd.readouterr().out)
    assert found["sandbox process"]["level"] in ("ok", "warning")
    assert "lock verified; held by " in found["sandbox process"]["fact"]
    assert "seccomp-lock" in found["sandbox process"]["fact"]
    assert found["docker engine"]["level"] == "failed"
    assert "nothing.sock" in found["docker engine"]["fact"]
    assert found["docker engine"]["fix"]
    assert "sandbox docker" not in found


def test_doctor_is_exit_6_where_no_run_could_work(capfd, monkeypatch):
    monkeypatch.setattr("runner.doctor.machine.TESTED_PYTHONS", ((3, 10),))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")

    assert call(["doctor"]) == 6
    out = capfd.readouterr().out
    assert out.splitlines()[-1].startswith("no run can run here (2 failed")
    assert "fix: run it with one of Python 3.10" in out


@pytest.mark.docker
def test_the_image_is_built_and_doctor_starts_a_guest_from_it(capfd):
    assert call(["image", "build"]) == 0
    built = capfd.readouterr()
    digest = built.out.strip()

    assert digest.startswith("sha256:")
    assert call(["doctor", "--json"]) == 0
    found = diagnoses(capfd.readouterr().out)
    assert digest in found["sandbox image"]["fact"]
    assert "lock verified; held by " in found["sandbox docker"]["fact"]
    assert found["container runtime"]["fact"].startswith("runc ")
