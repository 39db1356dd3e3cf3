"""docs/backends.md, held to the code: a section whose heading is a backend has its keys, and examples that load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

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


# --- what holds where nothing is written -----------------------------------------------------

POLICY_PAGE = (Path(__file__).parents[2] / "docs/policy.md").read_text()
ENTRIES = {
    "python": {"python": "m:f"}, "command": {"command": ["true"]}, "http": {"http": "http://127.0.0.1:9"},
    "mcp": {"mcp": {"url": "http://127.0.0.1:9", "tool": "t"}},
    "mcp server by command": {"mcp": {"command": ["true"], "tool": "t"}},
    "anthropic": {"anthropic": {"model": "m"}}, "openai": {"openai": {"model": "m"}}, "claude": {"claude": {"model": "m"}},
    "langgraph": {"langgraph": "m:g"}, "langgraph in processes": {"langgraph": "m:g", "isolation": "process"},
    "crewai": {"crewai": "m:c"}, "script": {"script": {"file": "inner.py", "policy": "inner.yaml"}},
}  # fmt: skip
RUNS_PARALLEL = 70


def default_of(key: str) -> str:
    """Return what docs/policy.md says of an agent's key where it is not written."""
    section = POLICY_PAGE[POLICY_PAGE.index("one backend must be written") :]
    (line,) = re.findall(rf"^\| `{key}` \|.*\| ([^|]+) \|$", section, re.MULTILINE)
    return line


def test_each_backend_has_a_section() -> None:
    assert set(SECTIONS) == set(BACKENDS) - {"python", "command"}


def test_parallel_and_isolation_of_each_backend_are_what_the_page_says_of_them(tmp_path: Path) -> None:
    (tmp_path / "inner.py").write_text("result = 1\n")
    (tmp_path / "inner.yaml").write_text("version: 1\nagents: {}\n")
    common = {"description": "d", "input": {"type": "object"}, "output": {"type": "object"}}
    agents = {name.replace(" ", "_"): {**common, **written} for name, written in ENTRIES.items()}
    text = yaml.safe_dump({"version": 1, "limits": {"parallel": RUNS_PARALLEL}, "agents": agents})
    found = load_policy_text(text, folder=tmp_path, name="p").agents

    numbers = {}
    for number, names, more in re.findall(r"(\d+) for ((?:`\w+`(?:, | and )?)+)( in processes)?", default_of("parallel")):
        numbers |= {f"{name}{more}": int(number) for name in re.findall(r"`(\w+)`", names)}
    # Where a server runs does not change how many of them: the page says one number of both.
    numbers["mcp server by command"] = numbers["mcp"]
    apart = {*re.findall(r"`(\w+)`", default_of("isolation").partition(" and ")[0])[1:], "langgraph in processes"}
    assert default_of("parallel").startswith("the run's `parallel`; less for heavy backends: ")
    assert default_of("isolation").startswith("`process` for ")
    assert default_of("isolation").endswith(" and an `mcp` server by `command`, else `none`")

    assert {one.partition(" ")[0] for one in ENTRIES} == set(BACKENDS)
    assert {name: (found[name.replace(" ", "_")].parallel, found[name.replace(" ", "_")].isolation) for name in ENTRIES} == {
        name: (numbers.get(name, RUNS_PARALLEL), "process" if name in {*apart, "mcp server by command"} else "none")
        for name in ENTRIES
    }
