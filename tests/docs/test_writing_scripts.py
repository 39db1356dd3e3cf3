"""docs/writing-scripts.md: all of the stub text stands there and nothing else, and every script on it gives what it says."""

from __future__ import annotations

import ast
import asyncio
import io
import json
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner import Runner, Script
from runner.broker import chain
from runner.check import check
from runner.check.stub_text import stub_tree
from runner.guest.errors import ERRORS
from runner.guest.options import Retry
from runner.guest.wire import RETRIED
from runner.models import OutcomeKind, RunState, Severity
from runner.policy import load_policy
from tests.docs.test_pages import ROOT, blocks

PAGE = (ROOT / "docs/writing-scripts.md").read_text()
POLICY = load_policy(ROOT / "benchmarks/first_try/policy.yaml")


def section(name: str) -> str:
    """Return what stands below a heading, up to the next of its level or above."""
    heading = re.search(rf"^(#+) {re.escape(name)}\n", PAGE, re.MULTILINE)
    assert heading, f"the page has no heading {name!r}"
    return re.split(rf"^#{{1,{len(heading[1])}}} ", PAGE[heading.end() :], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str, columns: int) -> list[list[str]]:
    """Return the rows of all tables with so many columns, without heads."""
    bodies = re.findall(r"^\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    found = [[cell.strip() for cell in line.strip("|").split("|")] for body in bodies for line in body.splitlines()]
    return [row for row in found if len(row) == columns]


# --- the reference is the stub text ----------------------------------------------------------


def told_of_the_stub() -> dict[str, str]:
    """Return what the page's signatures say, each definition by name."""
    return definitions(ast.parse("\n".join(blocks(PAGE, "pyi"))))


def definitions(tree: ast.Module) -> dict[str, str]:
    """Return the functions, classes and values of a stub as they are, but for their texts."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            node.body = [one for one in node.body if not (isinstance(one, ast.Expr) and _is_text(one))] or [ast.Pass()]
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = ast.unparse(node)
        elif isinstance(node, (ast.AnnAssign, ast.Assign)):
            found[ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])] = ast.unparse(node)
    return found


def _is_text(node: ast.Expr) -> bool:
    return isinstance(node.value, ast.Constant) and isinstance(node.value.value, (str, type(...)))


STUB = definitions(stub_tree())


def test_every_name_of_the_stub_text_stands_on_the_page_as_it_is_and_no_other():
    assert told_of_the_stub() == STUB


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("spawn", ["spawn"]), ("gather", ["gather"]), ("Trying again", ["Retry", "Fallback"]), ("Handles", ["Handle"]),
        ("Limits, time, randomness, log", ["_Limits", "log"]), ("Failures", ["SpawnError", "TooFewResults"]),
    ],
)  # fmt: skip
def test_every_option_and_member_has_a_row_of_its_own(heading: str, names: list[str]):
    told = {word for first, _ in rows(section(heading), 2) for word in re.findall(r"`(?:limits\.)?(\w+)", first)}

    assert told == {member for name in names for member in members(name)}


def members(name: str) -> set[str]:
    """Return the options of a function, or what objects of a class have and its constructor takes."""
    (node,) = ast.parse(STUB[name]).body
    if isinstance(node, ast.FunctionDef):
        return {name} if name == "log" else arguments(node)
    found = set()
    for one in node.body:
        if isinstance(one, ast.AnnAssign):
            found.add(ast.unparse(one.target))
        elif isinstance(one, ast.FunctionDef):
            found |= arguments(one) - {"self"} if one.name == "__init__" else {one.name}
    return found - {"__getitem__"}


def arguments(node: ast.FunctionDef) -> set[str]:
    told = node.args
    return {one.arg for one in (*told.posonlyargs, *told.args, *told.kwonlyargs, told.vararg) if one is not None}


def test_the_names_in_place_are_listed():
    listed = section("The names in place")

    assert [name for name in STUB if name != "_Limits" and f"`{name}`" not in listed + section("Failures")] == []


def test_the_table_of_failures_is_that_of_the_code():
    told = {cls: (kind, again, then) for cls, kind, _, again, then in rows(section("Failures").replace("`", ""), 5)}
    default = Retry().on
    unknown = "on request, if the policy lets"

    def again(kind: str) -> str:
        if kind == "outcome_unknown":
            return unknown
        return "by default" if kind in default else "on request" if kind in RETRIED else "never"

    def falls_back(kind: str) -> str:
        return "the same" if kind == "outcome_unknown" else "never" if OutcomeKind(kind) in chain._FINAL else "yes"

    assert told == {
        error.__name__: (error.kind, again(error.kind), falls_back(error.kind)) if error.kind else ("None", "", "")
        for error in ERRORS[1:]
    }
    assert [kind for kind in RETRIED if f"`{kind}`" not in section("Trying again")] == []


def test_what_the_page_names_in_passing_exists():
    words = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```|## Wrong and right.*", "", PAGE, flags=re.DOTALL))
    options = {option for name in ("spawn", "gather", "log", "Retry", "Fallback") for option in members(name)}

    assert {word for text in words for word in re.findall(r"\bh\.(\w+)", text)} <= members("Handle")
    assert {word for text in words for word in re.findall(r"^[A-Z]\w+(?=$|\()", text)} <= {*STUB, "True", "None"}
    assert {word for text in words for word in re.findall(r"\b(\w+)=", text)} <= options


def test_the_agents_of_the_page_are_those_of_the_policy():
    told = {name.strip("`"): re.findall(r"`(\w+)`", takes) for name, takes, _ in rows(PAGE.split("## The names")[0], 3)}

    assert told == {name: list(entry.input_schema["properties"]) for name, entry in POLICY.agents.items()}


# --- what is shown is so ---------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """One script of the page."""

    heading: str
    source: str
    runs: list[tuple[Any, Any]]
    """Inputs and result, where the text below the script says them."""


def shown() -> list[Shown]:
    found = []
    for fence in re.finditer(r"^```python\n(.*?)^```\n(.*?)(?=^```|^#|\Z)", PAGE, re.MULTILINE | re.DOTALL):
        heading = re.findall(r"^#+ (.*)$", PAGE[: fence.start()], re.MULTILINE)[-1]
        runs = re.findall(r"^With `(.*)` it gives `(.*)`\.$", fence[2], re.MULTILINE)
        found.append(Shown(heading, fence[1], [(json.loads(given), json.loads(gives)) for given, gives in runs]))
    return found


SHOWN = shown()


def expectations(source: str) -> dict[int, tuple[str, str]]:
    """Return what comments say, by line: "→" or "raises", and of what."""
    said = (
        (token.start[0], re.match(r"# (→|raises) (.*)", token.string))
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    )
    return {line: (match[1], match[2]) for line, match in said if match}


def telling(source: str) -> str:
    """Return the script with each expression that has an expectation told instead, in order, as its result."""
    lines, expected = source.splitlines(), expectations(source)
    seen = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Expr) and node.end_lineno in expected:
            how, text = expected[node.end_lineno][0], ast.unparse(node.value)
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno)
            told = f"_told.append(repr({text}))"
            caught = f'{text}; _told.append("nothing")\nexcept Exception as _e: _told.append(f"{{type(_e).__name__}}: {{_e}}")'
            lines.insert(node.lineno - 1, told if how == "→" else f"try: {caught}")
            seen.add(node.end_lineno)
    assert seen == set(expected), "an expectation stands beside what is no expression of one line"
    return "\n".join(["_told = []", *lines, "result = _told"])


async def differences(runner: Runner, one: Shown) -> list[str]:
    """Run a script of the page and say what is not as told there."""
    if one.runs:
        ends = [await result_of(runner, one.source, given) for given, _ in one.runs]
        return [f"{end!r}, not {gives!r}" for end, (_, gives) in zip(ends, one.runs, strict=True) if end != gives]
    told, expected = await result_of(runner, telling(one.source), {}), list(expectations(one.source).values())
    if not isinstance(told, list):
        return [str(told)]
    return [
        f"{got}, not {text}"
        for got, (how, text) in zip(told, expected, strict=True)
        if not (got == text if how == "→" else got.startswith(text))
    ]


async def result_of(runner: Runner, source: str, inputs: Any) -> Any:
    ran = await runner.run(Script("page", source.encode()), policy=POLICY, inputs=inputs, seed=1)
    return ran.result if ran.state is RunState.DONE else f"{ran.state}: {ran.error}"


async def test_every_script_of_the_page_runs_and_gives_what_it_says(own_home: Path):
    at_once = asyncio.Semaphore(4)

    async def look(one: Shown) -> list[str]:
        async with at_once:
            return [f"{one.heading}: {what}" for what in await differences(runner, one)]

    async with Runner(home=own_home, sandbox="process") as runner:
        wrong = await asyncio.gather(*map(look, SHOWN))

    assert "\n".join(what for each in wrong for what in each) == ""
    assert all(one.runs or expectations(one.source) for one in SHOWN)


def test_there_is_a_pattern_for_each_need_and_the_check_has_nothing_to_say_on_any():
    headings = re.findall(r"^### (.*)$", section("Patterns"), re.MULTILINE)
    patterns = [one for one in SHOWN if one.heading in headings]

    assert len(headings) >= 9
    assert [one.heading for one in patterns if one.runs] == headings
    assert [found for one in patterns for found in check(Script("page", one.source.encode()), POLICY).findings] == []


# --- wrong and right -------------------------------------------------------------------------

BEFORE = """\
import time
n, end, texts, handles = 0, time.time() + 1, inputs["texts"], []
h = spawn("read_page", {"url": "https://wiki.test/tea"})
a, b = spawn("archive", {"vendor": "Acme"}), spawn("archive", {"vendor": "Flux"})
log(h, others=[a, b])
"""
WRONG = [[cell.replace("`", "").replace("⏎", "\n") for cell in row] for row in rows(section("Wrong and right").split("What it cannot")[0], 3)]


@pytest.mark.parametrize(("wrong", "right", "rule"), WRONG)
def test_the_check_finds_what_is_shown_as_wrong_and_takes_what_is_right(wrong: str, right: str, rule: str):
    found, left = (check(Script("page", f"{BEFORE}{text}\n".encode()), POLICY).findings for text in (wrong, right))

    assert rule in [one.rule for one in found]
    assert rule not in [one.rule for one in left]
    assert [one for one in left if one.severity is Severity.ERROR] == []
