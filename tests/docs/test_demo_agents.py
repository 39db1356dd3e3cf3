"""The demo's agents count what they say they count."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from runner.agents import AgentError
from runner.agents.imports import load

POLICIES = Path(__file__).parents[2] / "policies"


def of_demo(name: str) -> Callable[..., object]:
    return load(f"demo.agents:{name}", POLICIES)


@pytest.mark.parametrize(
    ("source", "complexity", "depth"),
    [
        ("return 1", 1, 0),
        ("if a: pass", 2, 1),
        ("if a: pass\n elif b: pass\n else: pass", 3, 1),
        ("if a and b or c: pass", 4, 1),
        ("for x in y:\n  while z:\n   if a: pass", 4, 3),
        ("try: pass\n except A: pass\n except B: pass", 3, 1),
        ("return [x for x in y if x]", 2, 0),
        ("return 1 if a else 2", 2, 0),
        ("match a:\n  case 1: pass\n  case 2: pass", 3, 1),
        ("def inner():\n  if a: pass\n return inner", 1, 0),
        ("with a:\n  pass", 1, 1),
    ],
)
def test_complexity_counts_each_way_that_control_can_part(source: str, complexity: int, depth: int) -> None:
    function = ast.parse(f"def f(a):\n {source}").body[0]

    assert of_demo("_complexity")(function) == complexity
    assert of_demo("_depth")(function) == depth


def test_measure_tells_of_a_module_that_is_known_by_heart() -> None:
    found = of_demo("measure")({"module": "this"})

    assert isinstance(found, dict)
    assert (found["functions"], found["classes"], found["imports"]) == (0, 0, [])


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("pydoc_data", "a generated table"),
        ("os.path", "has no module 'os.path'"),
        ("../../etc/passwd", "has no module '../../etc/passwd'"),
        ("runner", "has no module 'runner'"),
        ("_thread", "no Python source"),
    ],
)
def test_what_is_no_source_of_the_library_is_refused_in_words(module: str, message: str) -> None:
    with pytest.raises(AgentError, match=message):
        of_demo("measure")({"module": module})


def test_blast_radius_finds_private_names_and_heirs() -> None:
    found = of_demo("blast_radius")({"module": "enum", "importers": ["re", "ssl", "this", "pydoc_data"]})

    assert isinstance(found, dict)
    assert found["private"] == [{"name": "_simple_enum", "by": ["re", "ssl"]}]
    assert found["heirs"] == ["ssl"]
    assert found["unread"] == ["pydoc_data"]


def test_dissect_finds_lines_that_stand_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = "\n".join(f"    value_{n} = compute(value, {n})" for n in range(6))
    (tmp_path / "this.py").write_text(f"def f(value):\n{block}\n\ndef g(value):\n{block}\n")
    monkeypatch.setattr(source_of_demo(), "LIBRARY", tmp_path)

    found = of_demo("dissect")({"module": "this", "places": ["this.py:1"]})

    assert isinstance(found, dict)
    assert [function["name"] for function in found["functions"]] == ["f"]
    assert found["copies"] and found["copies"][0]["places"] == ["this.py:2", "this.py:10"]


def source_of_demo() -> ModuleType:
    """Return the module that the agents read with: a private one of their folder."""
    import sys

    return sys.modules[of_demo("texts").__module__]
