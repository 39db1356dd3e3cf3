"""docs/integrations.md: its programs print what is shown, its tables are those of the code."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import anthropic as sdk
import httpx2
import pytest

from runner.integrations import envelope, orchestrate
from runner.integrations.core import MOST_BYTES, Caller
from runner.integrations.langgraph import script_node
from runner.integrations.writing import DEFAULT_TRIES
from runner.models import RunResult, RunState
from tests.docs.test_pages import ROOT, blocks

PAGE = (ROOT / "docs/integrations.md").read_text()
SHOWN = re.findall(r"^```python\n((?:(?!```).*\n)*)```\n\n```text\n((?:(?!```).*\n)*)```$", PAGE, re.MULTILINE)
LIBRARIES_ELSEWHERE = ("integrations.crewai", "integrations.claude")


def printed(program: str) -> str:
    """Return what a program prints. It runs here: the libraries are imported once."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(program, "docs/integrations.md", "exec"), {"__name__": "__main__"})
    return out.getvalue()


@pytest.fixture(autouse=True)
def _in_the_process_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs let runner choose; a container takes longer to start, and is tested elsewhere."""
    from runner import Runner

    as_it_is = Runner.__init__
    monkeypatch.setattr(Runner, "__init__", lambda self, **given: as_it_is(self, **{**given, "sandbox": "process"}))
    monkeypatch.chdir(ROOT / "examples" / "migrate")


@pytest.mark.parametrize(("program", "shown"), SHOWN, ids=["orchestrate", "tools", "langgraph"])
def test_a_program_of_the_page_prints_what_is_shown(program: str, shown: str) -> None:
    assert printed(program) == shown


def test_the_program_with_a_client_runs_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    (program,) = (block for block in blocks(PAGE, "python") if "AsyncAnthropic()" in block)
    text = 'result = spawn("sanctions", {"vendor": "grove"}).result()["listed"]'
    said = {
        "id": "m", "type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1}, "content": [{"type": "text", "text": text}],
    }  # fmt: skip
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=said))
    whole = sdk.AsyncAnthropic
    monkeypatch.setattr(sdk, "AsyncAnthropic", lambda: whole(api_key="k", http_client=httpx2.AsyncClient(transport=transport)))

    assert printed(program) == "True\n"


def test_every_program_is_executed_here_or_where_its_library_is() -> None:
    executed = {program for program, _ in SHOWN} | {block for block in blocks(PAGE, "python") if "AsyncAnthropic()" in block}
    elsewhere = [block for block in blocks(PAGE, "python") if any(name in block for name in LIBRARIES_ELSEWHERE)]
    tested = "".join(path.read_text() for path in (Path(__file__).parents[1] / "backends").glob("test_callers_*.py"))

    assert executed | set(elsewhere) == set(blocks(PAGE, "python"))
    assert len(elsewhere) == tested.count("program_of_the_page(") - tested.count("def program_of_the_page(") == 2


def test_what_the_modules_are_said_to_give_is_there() -> None:
    rows = re.findall(r"^\| `(runner\.integrations[.a-z]*)` \| (.*?) \|", PAGE, re.MULTILINE)

    assert len(rows) == 6
    for module, gives in rows:
        for name in re.findall(r"`(\w+)`", gives):
            assert callable(getattr(import_module(module), name)), f"{module}.{name}"


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def parameters(text: str) -> list[str]:
    """Return the names in the first column of a section's table."""
    return [name for cell in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)]


@pytest.mark.parametrize(
    ("title", "function", "others"),
    [("orchestrate", orchestrate, set()), ("LangGraph", script_node, {"options"}), ("Options of all", Caller.__init__, {"self", "policy", "runner"})],
)
def test_the_tables_of_parameters_are_those_of_the_code(title: str, function: Any, others: set[str]) -> None:
    assert parameters(section(title)) == [name for name in inspect.signature(function).parameters if name not in others]


def test_the_defaults_that_are_told_are_those_of_the_code() -> None:
    assert f"| {DEFAULT_TRIES} |" in section("orchestrate")
    assert f"| {MOST_BYTES:,} |" in section("Options of all")


def test_the_fields_that_come_back_are_those_of_the_code() -> None:
    told = envelope.of_result(RunResult("r", RunState.DONE), agents=(), most_bytes=10)

    assert set(parameters(section("What comes back"))) == set(told)
