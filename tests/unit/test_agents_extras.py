"""A backend's library: which versions are taken, and what is said of every other, for each of them alike."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from runner.agents import Setting, build_agent
from runner.agents.extras import TESTED, require_version
from runner.errors import PolicyError
from runner.policy.backends import BACKENDS
from tests.unit.agents_by_hand import entry

WITH_LIBRARY = {rule.extra: backend for backend, rule in BACKENDS.items() if rule.extra}
OPTIONS: dict[str, dict[str, Any]] = {
    "mcp": {"url": "http://127.0.0.1:9", "tool": "t"}, "langgraph": {"graph": "m:g"}, "crewai": {"crew": "m:c"},
}  # fmt: skip
CASES = [(extra, isolation) for extra, backend in WITH_LIBRARY.items() for isolation in BACKENDS[backend].may_be]


def refusal(folder: Path, extra: str, isolation: str) -> PolicyError:
    found = entry(WITH_LIBRARY[extra], OPTIONS.get(extra, {"model": "m"}), isolation=isolation, line=7)
    with pytest.raises(PolicyError) as raised:
        build_agent(found, Setting(folder, read_reference=lambda reference: "k"))
    assert raised.value.hint == f'install it: pip install "spawn-runner[{extra}]"'
    return raised.value


def test_the_versions_that_are_taken_are_those_that_are_installed_with_the_extra() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = {name: needs for name, needs in project["optional-dependencies"].items() if name != "dev"}

    assert extras == {name: [f"{library}>={lowest},<{below}"] for name, (library, lowest, below) in TESTED.items()}
    assert set(WITH_LIBRARY) == set(TESTED)


@pytest.mark.parametrize(("extra", "isolation"), CASES)
def test_a_library_that_is_missing_is_named_with_its_extra(tmp_path, monkeypatch, extra, isolation):
    monkeypatch.setitem(TESTED, extra, ("no-such-library", *TESTED[extra][1:]))

    assert refusal(tmp_path, extra, isolation).message == ':7: agent "a" needs no-such-library, which is not installed'


@pytest.mark.parametrize("which", ["too old", "too new"])
@pytest.mark.parametrize(("extra", "isolation"), CASES)
def test_a_version_that_was_not_tested_is_refused(tmp_path, monkeypatch, extra, isolation, which):
    library, lowest, below = TESTED[extra]
    version = below_of(lowest) if which == "too old" else f"{below}.0"
    monkeypatch.setattr(metadata, "version", lambda name: version)

    assert refusal(tmp_path, extra, isolation).message == (
        f':7: agent "a" needs {library} from {lowest} to below {below}; {version} is installed'
    )


@pytest.mark.parametrize("extra", TESTED)
def test_the_lowest_and_the_last_version_are_taken(monkeypatch, extra):
    _, lowest, below = TESTED[extra]
    for version in (lowest, f"{lowest}.0", f"{below_of(below)}"):
        monkeypatch.setattr(metadata, "version", lambda name, version=version: version)
        require_version(entry(WITH_LIBRARY[extra], {}))


def below_of(version: str) -> str:
    """Return a version below another one, with any number behind it."""
    *most, last = version.split(".")
    return ".".join([*most, str(int(last) - 1), "9999"])
