"""docs/backends.md, held to the code: a section whose heading is a backend has its keys, and examples that load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runner.policy import load_policy_text
from runner.policy.backends import BACKENDS
from runner.policy.fields import _WITHIN

PAGE = (Path(__file__).parents[2] / "docs/backends.md").read_text()
SECTIONS = {
    heading: text
    for heading, text in re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    if heading in BACKENDS
}
EXAMPLES = [(backend, block) for backend, text in SECTIONS.items() for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


def keys_of(section: str) -> list[str]:
    """Return the first cells of the first table."""
    table = re.search(r"^\| key \|.*\n\|[-|]+\n((?:\|.*\n)+)", section, re.MULTILINE)
    return re.findall(r"^\| `([^`]+)`", table[1], re.MULTILINE) if table is not None else []


@pytest.mark.parametrize("backend", SECTIONS)
def test_each_key_of_a_backend_is_documented_and_each_documented_key_exists(backend: str) -> None:
    assert sorted(keys_of(SECTIONS[backend])) == sorted(_WITHIN[backend].model_fields)


@pytest.mark.parametrize("backend", SECTIONS)
def test_each_section_has_a_policy_and_says_what_isolation_and_deadline_mean(backend: str) -> None:
    section = SECTIONS[backend]

    assert any(name == backend for name, _ in EXAMPLES)
    assert all(word in section.lower() for word in ("isolation", "deadline", "credential", "errors"))


@pytest.mark.parametrize("backend", SECTIONS)
def test_each_documented_policy_loads_without_a_warning(backend: str, tmp_path: Path) -> None:
    found = []
    files = re.findall(r"```\w+\n# (\S+\.\w+)\n(.*?)```", SECTIONS[backend], re.DOTALL)
    for name, text in files:
        (tmp_path / name).write_text(text)
    for name, text in EXAMPLES:
        if name == backend and "version:" in text:
            policy = load_policy_text(text, folder=tmp_path, name="docs/backends.md")
            assert policy.warnings == ()
            found += [entry.backend for entry in policy.agents.values()]

    assert backend in found
