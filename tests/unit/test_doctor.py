"""What a machine can run is told by facts, and what was not tested is refused."""

from __future__ import annotations

import pytest

from runner.cli.machine import diagnosis_lines, verdict_line
from runner.doctor import Diagnosis, Level, can_run
from runner.doctor.machine import (
    cgroups,
    component,
    engine_version,
    kernel,
    machine,
    python,
    runc_version,
    store,
    user_namespaces,
)

WELL = [Diagnosis(subject, Level.OK, "") for subject in ("python", "processor", "kernel", "store")]
VERSION = {
    "Version": "20.10.24", "ApiVersion": "1.41",
    "Components": [{"Name": "containerd", "Version": "1.6.20"}, {"Name": "runc", "Version": "1.1.5+ds1"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("minor", "level"),
    [((3, 10), "failed"), ((3, 11), "ok"), ((3, 12), "ok"), ((3, 13), "ok"), ((3, 14), "failed"), ((4, 0), "failed")],
)
def test_a_python_minor_that_was_not_tested_is_refused(minor, level):
    assert python(minor, "x").level == level


@pytest.mark.parametrize(("name", "level"), [("x86_64", "ok"), ("aarch64", "failed"), ("riscv64", "failed")])
def test_a_processor_that_was_not_tested_is_refused_as_unverified(name, level):
    found = machine(name)

    assert found.level == level
    assert level == "ok" or "unverified" in found.fact


@pytest.mark.parametrize(
    ("actions", "level"), [("kill_process trap errno", "ok"), ("trap errno", "failed"), ("", "failed")]
)
def test_a_kernel_without_a_filter_that_kills_is_refused(actions, level):
    assert kernel("6.1", actions).level == level


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ("1.1.5+ds1", "warning"), ("1.1.15", "warning"), ("1.2.7", "warning"), ("1.2.8", "ok"), ("1.2.10", "ok"),
        ("1.3.2", "warning"), ("1.3.3", "ok"), ("1.4.0", "ok"), ("2.0.0", "ok"), ("v1.3.4", "ok"),
        ("unknown", "warning"),
    ],
)  # fmt: skip
def test_a_runc_with_known_escapes_is_warned_of(version, level):
    found = runc_version(version)

    assert found.level == level
    assert level == "ok" or version == "unknown" or "CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881" in found.fact


def test_the_engines_parts_are_told_with_their_versions():
    assert engine_version(VERSION).fact == "20.10.24, API 1.41, containerd 1.6.20"
    assert component(VERSION, "runc") == "1.1.5+ds1"
    assert component({"Components": None}, "runc") == "unknown"


def test_a_store_that_others_can_read_is_warned_of(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    home.chmod(0o755)

    assert store(home) == Diagnosis(
        "store", Level.WARNING, f"{home} has mode 0755: others can read what agents returned", f"chmod 700 {home}"
    )
    home.chmod(0o700)
    assert store(home).level is Level.OK
    assert store(home / "not" / "there" / "yet").level is Level.OK


@pytest.mark.parametrize(
    ("files", "own", "fact"),
    [
        ([], "4:memory:/x\n0::/\n", "version 1 or hybrid"),
        (["cgroup.controllers"], "0::/\n", "version 2, not delegated"),
        (["cgroup.controllers", "user/cgroup.subtree_control"], "0::/user\n", "version 2, delegated"),
    ],
)
def test_the_version_and_delegation_of_cgroups_is_told(tmp_path, files, own, fact):
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()

    assert cgroups(tmp_path, own).fact.startswith(fact)


@pytest.mark.parametrize(("most", "fact"), [("96365\n", "at most 96,365"), ("0", "none"), ("", "none")])
def test_user_namespaces_are_told(most, fact):
    assert user_namespaces(most).fact.startswith(fact)


@pytest.mark.parametrize(
    ("more", "able"),
    [
        ([], False),
        ([Diagnosis("sandbox process", Level.WARNING, "")], True),
        ([Diagnosis("sandbox process", Level.FAILED, ""), Diagnosis("sandbox docker", Level.OK, "")], True),
        ([Diagnosis("sandbox process", Level.FAILED, ""), Diagnosis("docker engine", Level.OK, "")], False),
        ([Diagnosis("sandbox process", Level.OK, ""), Diagnosis("docker engine", Level.FAILED, "")], True),
        ([Diagnosis("sandbox process", Level.OK, ""), Diagnosis("python", Level.FAILED, "")], False),
    ],
)
def test_a_run_could_work_where_one_sandbox_was_proved_and_nothing_needed_failed(more, able):
    by_subject = {diagnosis.subject: diagnosis for diagnosis in [*WELL, *more]}

    assert can_run(by_subject.values()) is able


def test_the_printed_diagnoses_name_each_fix_below_its_subject():
    found = [
        Diagnosis("python", Level.OK, "3.11.7", "not shown"),
        Diagnosis("container runtime", Level.WARNING, "runc \x1b[31m1.1.5", "update runc"),
        Diagnosis("sandbox docker", Level.FAILED, "no answer", "start it"),
    ]

    assert [*diagnosis_lines(found), verdict_line(True, found)] == [
        "ok      python: 3.11.7",
        "warning container runtime: runc 1.1.5",
        "        fix: update runc",
        "FAILED  sandbox docker: no answer",
        "        fix: start it",
        "runs can run here (1 failed, 1 with a warning)",
    ]


def test_an_engine_that_refuses_is_named_as_what_auto_stumbles_over():
    assert verdict_line(True, [*WELL, Diagnosis("docker engine", Level.FAILED, "")]) == (
        "runs can run here with --sandbox process only, until the engine is mended (1 failed, 0 with a warning)"
    )


def test_a_frozen_host_is_told_with_who_and_why(tmp_path):
    from runner.doctor.machine import frozen
    from runner.journal import freeze, open_store

    assert frozen(tmp_path / "nowhere") == []
    store = open_store(tmp_path / "home")
    assert frozen(store.home) == []
    freeze.freeze(store, by="ada", reason="incident 7")

    assert [(one.level, one.fact, one.fix) for one in frozen(store.home)] == [
        (Level.WARNING, "no spawn and no token begins; by ada: incident 7", "runner unfreeze")
    ]
    store.close()
