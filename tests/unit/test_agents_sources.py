"""Modules that are looked at and not imported, and what workers tell of usage."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from runner.agents import Setting, build_agent
from runner.agents.sources import Source
from runner.errors import AgentFault, PolicyError
from runner.models import digest_of
from runner.seams import ModelUsage
from tests.unit.agents_by_hand import call, entry, python_agent

AGENT = entry("crewai", {"crew": "crews:make"}, line=5)


def source(folder: Path, path: str = "crews:make") -> Source:
    return Source(AGENT, path, "crew", folder)


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        file = folder / f"{name.replace('__in__', '/')}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


def test_a_module_is_not_executed_and_its_file_is_digested(tmp_path):
    write(tmp_path, crews="def make(): pass\nraise SystemExit")

    assert source(tmp_path).facts() == {"call": "crews:make", "code": digest_of((tmp_path / "crews.py").read_bytes())}


@pytest.mark.parametrize("text", [
    "class make: pass", "make = 1", "from elsewhere import make", "import x as make", "from elsewhere import *",
    "try:\n    import make\nexcept ImportError:\n    pass", "if 1:\n    def make(): pass", "for make in (): pass",
    "def __getattr__(name): pass", "a, (b, make) = 1, (2, 3)", "with x as make: pass",
])  # fmt: skip
def test_a_name_that_may_be_there_is_taken_to_be_there(tmp_path, text):
    write(tmp_path, crews=text)

    assert source(tmp_path).facts()["call"] == "crews:make"


@pytest.mark.parametrize(
    ("files", "path", "why"),
    [
        ({}, "crews:make", 'there is no module "crews"'),
        ({"crews": "def other(): make = 1"}, "crews:make", 'the module has no "make"'),
        ({"pack__in__crews": "def make(): pass"}, "pack.other:make", 'there is no module "pack.other"'),
        ({"crews": "def"}, "crews:make", "SyntaxError: invalid syntax (<unknown>, line 1)"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(tmp_path, files, path, why):
    write(tmp_path, **files)
    with pytest.raises(PolicyError) as refused:
        source(tmp_path, path)

    assert refused.value.message == f':5: agent "a" calls "{path}", which cannot be imported: {why}'
    assert refused.value.hint == f'correct "crew" of agent "a"; its module is looked for in {tmp_path} first'


@pytest.mark.parametrize("changed", ["shared", "pack__in__deep", "pack____init__", "late"])
def test_a_change_in_what_a_module_imports_of_its_folder_is_a_change_of_it(tmp_path, changed):
    write(
        tmp_path, crews="import shared\nfrom pack import deep\ndef make():\n    import late", shared="import json, crews",
        pack__in____init__="", pack__in__deep="from . import nothing", late="", other="",
    )  # fmt: skip
    before = source(tmp_path).facts()
    write(tmp_path, other="changed = 1")
    same = source(tmp_path).facts()
    write(tmp_path, **{changed.replace("pack____init__", "pack__in____init__"): "changed = 1"})
    after = source(tmp_path).facts()

    assert sorted(before) == ["call", "code", "folder_code"]
    assert before == same
    assert before["code"] == after["code"] and before["folder_code"] != after["folder_code"]


def test_a_module_of_a_package_tells_its_version(tmp_path):
    facts = source(tmp_path, "pydantic.main:BaseModel").facts()

    assert (facts["package"], facts["version"]) == ("pydantic", metadata.version("pydantic"))


@pytest.mark.parametrize(("backend", "options"), [("crewai", {"crew": "crews:make"}), ("langgraph", {"graph": "crews:make"})])
def test_a_library_that_is_not_there_names_its_extra(tmp_path, monkeypatch, backend, options):
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("runner.agents.extras.metadata.version", missing)
    with pytest.raises(PolicyError) as refused:
        build_agent(entry(backend, options, isolation="process"), Setting(tmp_path))

    assert refused.value.message == f'agent "a" needs {backend}, which is not installed'
    assert refused.value.hint == f'install it: pip install "spawn-runner[{backend}]"'


# --- what a worker tells of usage ------------------------------------------------------------

TELLING = """
from runner.agents.facts import tell_usage
def f(inputs, call):
    tell_usage(call, **inputs)
    if inputs.get("fail"): raise ValueError
    return "done"
"""


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"model": "m", "input_tokens": 5, "output_tokens": 7}, ModelUsage("m", 5, 7)),
        ({"input_tokens": 5, "cost_usd": 0.25}, ModelUsage("", 5, 0, 0.25)),
        ({"input_tokens": 5, "fail": 1}, ModelUsage("", 5, 0)),
        ({"model": ["m"], "input_tokens": -5, "output_tokens": 1e9, "cost_usd": -1.0}, ModelUsage()),
        ({"model": "m\x1b[31m" + "x" * 500, "input_tokens": True, "output_tokens": 10**13}, ModelUsage("m[31m" + "x" * 195)),
        ({"model": "x" * 5000}, None),
    ],
)
async def test_usage_that_a_worker_tells_is_taken_as_far_as_it_can_be_so(tmp_path, told: Any, usage: ModelUsage | None):
    agent, one = python_agent(tmp_path, TELLING), call(told)
    try:
        assert await agent.run(one) == "done"
    except AgentFault as fault:
        assert fault.message == 'agent "a" raised ValueError'
    await agent.close()

    assert one.usage == usage


HOSTILE = """
import os, sys, threading
def f(inputs):
    frames = inputs.encode("latin-1")
    for number in range(3, 10):
        try: os.write(number, frames)
        except OSError: pass
    return "done"
"""


@pytest.mark.parametrize("payload", [b"[1]", b"{", b"\xff", b"5"])
async def test_usage_that_is_none_is_left_out(tmp_path, payload: bytes):
    agent, one = python_agent(tmp_path, HOSTILE), call((len(payload).to_bytes(4, "big") + b"u" + payload).decode("latin-1"))

    assert await agent.run(one) == "done"
    assert one.usage is None
    await agent.close()


async def test_a_worker_that_tells_more_usage_than_there_can_be_is_killed(tmp_path):
    agent, one = python_agent(tmp_path, HOSTILE), call(((10**6).to_bytes(4, "big") + b"u").decode("latin-1"))
    with pytest.raises(AgentFault) as raised:
        await agent.run(one)
    await agent.close()

    assert raised.value.kind == "invalid_output"


def test_what_a_factory_of_crews_returns_is_a_crew_or_has_one():
    from types import SimpleNamespace as Made

    from runner.agents.crewai_worker import _crew_of

    crew = Made(kickoff=print)

    assert _crew_of(lambda: crew) is crew
    assert _crew_of(lambda: Made(crew=lambda: crew)) is crew
    with pytest.raises(TypeError, match="it returns a int, and no crew"):
        _crew_of(lambda: 5)
