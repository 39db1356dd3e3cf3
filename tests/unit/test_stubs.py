"""The stubs: mypy finds exactly the wrong lines of a script, and nothing that a policy says becomes code."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.check.schema_types import type_of
from runner.check.stub_text import stub_tree
from runner.check.stubs import stubs
from runner.check.typed_dicts import TypedDicts
from runner.cli import call
from runner.models import Json
from runner.policy import load_policy_text
from runner.policy.model import Policy


def policy_of(agents: dict[str, Any]) -> Policy:
    return load_policy_text(json.dumps({"version": 1, "agents": agents}), folder=Path("."), name="test")


def agent(**more: Any) -> dict[str, Any]:
    return {"description": "Looks.", "python": "m:f", "input": {"type": "object"}, "output": True, **more}


def record(*required: str, **properties: Json) -> dict[str, Json]:
    return {"type": "object", "properties": properties, "required": list(required)}


TEXT, NUMBER = {"type": "string"}, {"type": "number"}
TEXTS = {"type": "array", "items": TEXT}
POLICY = {
    "research": agent(
        scopes=["crm:read"],
        input=record("vendor", vendor=TEXT, tags=TEXTS, depth={"enum": ["quick", "thorough"]}),
        output=record("text", "score", text=TEXT, score=NUMBER, hits={"type": "array", "items": record("url", url=TEXT)}),
    ),
    "summarise": agent(input=record("doc", doc=record("text", text=TEXT)), output=TEXT),
    "ping": agent(input={"type": "object", "properties": {"host": TEXT}}, output={"type": ["integer", "null"]}),
}

# Each line that ends in "# wrong" is one, and no other.
SCRIPT = '''\
"""Everything that the stubs know of."""
from dataclasses import dataclass

vendors: list[str] = inputs["vendors"]
handles = [spawn("research", {"vendor": vendor, "tags": ["a", "b"]}) for vendor in inputs["vendors"]]
tags = ["x", "y"]
one = spawn("research", {"vendor": "Acme", "tags": tags, "depth": "quick"}, timeout=5, retry=Retry(attempts=2), label="x")
spawn("research", {"vendor": "Acme", "tags": "abc"})  # wrong
spawn("research", {"vendr": "Acme"})  # wrong
spawn("research", {"vendor": 3})  # wrong
spawn("research", {})  # wrong
spawn("research")  # wrong
spawn("research", {"vendor": "x", "depth": "deep"})  # wrong
spawn("reserch", {"vendor": "Acme"})  # wrong
spawn("research", {"vendor": "x"}, scopes=["crm:write"])  # wrong
spawn("research", {"vendor": "x"}, scopes=["crm:read"])
spawn("ping", scopes=["crm:read"])  # wrong
spawn("ping", scopes=[])
spawn("ping", retries=2)  # wrong
spawn("ping", fallback="pong")  # wrong
spawn("ping", {"host": "x"}, timeout="5")  # wrong
spawn("ping", {"host": one["text"]}, accept={"type": "integer"})

# Handles compose: whole, in part, in texts, in what an earlier one gave.
spawn("summarise", {"doc": one})
spawn("summarise", {"doc": {"text": one["text"]}})
spawn("summarise", {"doc": {"text": f"{one} and {one['text']}"}})
spawn("summarise", {"doc": {"text": "a " + one["text"] + " b"}})
spawn("summarise", {"doc": one.result()})
spawn("summarise", {"doc": spawn("ping")["x"]})
short = spawn("summarise", one.then(lambda found: {"doc": {"text": found["text"]}}))
one.then(lambda found: found["txt"])  # wrong
either = spawn("research", {"vendor": "x"}, fallback=["summarise", Fallback("ping", scopes=["a"])])
either.result()["whatever"]

found = gather(handles)
found[0]["text"].upper()
found[0]["txt"]  # wrong
found[0]["score"].upper()  # wrong
short.result().upper()
some = gather(handles, on_error="none")
some[0]["text"]  # wrong
[each["text"] for each in some if each is not None]
gather(handles, min_ok=2)[0]["text"]  # wrong
gather(handles, enough=0.5, timeout=3)
gather(handles, on_error="nones")  # wrong
caught = gather(handles, return_exceptions=True)
caught[0]["text"]  # wrong
[each["text"] for each in caught if not isinstance(each, SpawnError)]
by_name = gather({vendor: one for vendor in vendors})
by_name["Acme"]["score"] + 1
by_name["Acme"]["socre"]  # wrong
a, b = gather(one, short)
first_ok(handles)["score"] + 1
first_ok(handles)["nope"]  # wrong
for handle in as_completed(handles):
    if handle.ok:
        handle.result()["hits"]
        handle.result()["hit"]  # wrong
    elif handle.error is not None and handle.error.kind == "denied":
        log(handle.error.message, agent=handle.agent, attempts=handle.error.attempts)
if one in handles:
    handles.remove(one)
    one.cancel()
one.cancl()  # wrong
sleep(limits.seconds_left / 2)
sleep("2")  # wrong


@dataclass
class Ranked:
    vendor: str
    score: float


try:
    ranked = [Ranked(vendor, each["score"]) for vendor, each in by_name.items()]
except TooFewResults as error:
    log(str(error.results))
except (SpawnDenied, LimitReached) as error2:
    log(error2.message)
result = {"ranked": [each.vendor for each in ranked], "budget": limits.spawns_left}
'''
WRONG = [n for n, line in enumerate(SCRIPT.splitlines(), 1) if line.endswith("# wrong")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What mypy keeps of the standard library: read anew it would cost each call two seconds."""
    return str(tmp_path_factory.mktemp("cache"))


def mypy(folder: Path, cache: str, *words: str) -> list[str]:
    """Return what mypy says in a folder, its errors only."""
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context", "--cache-dir", cache, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if ": error: " in line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stubs of the policy."""
    folder = tmp_path_factory.mktemp("stubs")
    (folder / "runner_script.pyi").write_text(stubs(policy_of(POLICY)))
    return folder


def test_mypy_finds_exactly_the_wrong_lines_of_a_script_as_it_stands(folder, cache):
    (folder / "script.py").write_text(SCRIPT)
    # As docs/cli.md says: the names come in below the last line, in a copy that stands for the script.
    (folder / "shadow.txt").write_text(f"{SCRIPT}\nfrom runner_script import *\n")
    errors = mypy(folder, cache, "--shadow-file", "script.py", "shadow.txt", "script.py")

    assert sorted({int(error.split(":")[1]) for error in errors}) == WRONG
    assert all(error.startswith("script.py:") for error in errors)


def test_mypy_finds_the_same_where_the_script_itself_imports_the_names_for_type_checkers(folder, cache):
    head = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from runner_script import *\n"
    docstring, _, rest = SCRIPT.partition("\n")
    (folder / "own.py").write_text(f"{docstring}\n{head}{rest}")
    errors = mypy(folder, cache, "own.py")

    assert sorted({int(error.split(":")[1]) - 3 for error in errors}) == WRONG


def test_a_script_with_that_import_is_accepted_and_runs_as_without_it():
    from runner.check import check
    from runner.models import Script

    source = b"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from runner_script import *\nresult = 1\n"

    assert check(Script("own", source), policy_of(POLICY)).findings == ()


HOSTILE_KEYS = ['"] = 1; import os #', "a b", "class", "é", "\u202e", "\ud800", "x\ny", "__class__", "'''", "{0}", ""]


def test_names_and_keys_of_a_policy_are_data_whatever_they_say(tmp_path, cache):
    hostile = {key: {"enum": [key, 1, None, True]} for key in HOSTILE_KEYS if key != "\ud800"}
    said = stubs(policy_of({
        "a-b": agent(description='"""\n\\\nimport os\n"""', input=record(*hostile, **hostile), output=record(**hostile)),
        "a.b": agent(input=record(x={"type": "object", "properties": hostile})), "0": agent(), "T": agent(),
        "None": agent(scopes=['it\'s;import_os', "\\x22"[1:]]),
    }))  # fmt: skip
    tree = ast.parse(said)

    assert said.isascii()
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert imported == ["collections.abc", "typing", "typing_extensions"]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert called == {"TypeVar", "TypedDict"}
    assert all(key in said for key in ("'a b': ", "'class': ", "'\\xe9': ", "'\\u202e': ", "'x\\ny': "))
    (tmp_path / "runner_script.pyi").write_text(said)
    assert mypy(tmp_path, cache, "runner_script.pyi") == []


@pytest.mark.parametrize("agents", [{}, {"one": agent()}, {"one": agent(input=False, output=False)}, POLICY], ids=len)
def test_the_stubs_of_any_policy_are_sound_by_themselves(agents, tmp_path, cache):
    (tmp_path / "runner_script.pyi").write_text(stubs(policy_of(agents)))

    assert mypy(tmp_path, cache, "runner_script.pyi") == []


@pytest.mark.parametrize(
    ("schema", "asked", "given"),
    [
        (True, "Any", "Any"),
        (TEXT, "str | Handle[str]", "str"),
        ({"type": ["integer", "null"]}, "int | None | Handle[int | None]", "int | None"),
        ({"enum": ["a", 1, None]}, "Literal['a', 1, None] | Handle[str | int | None]", "Literal['a', 1, None]"),
        ({"const": 1.5}, "float | Handle[float]", "float"),
        (TEXTS, "_Listed[str | Handle[str]] | Handle[Any]", "list[str]"),
        ({"type": "array"}, "_Listed[Any] | Handle[Any]", "list[Any]"),
        ({"type": "object"}, "Mapping[str, Any] | Handle[Any]", "dict[str, Any]"),
        ({"type": "object", "additionalProperties": TEXT}, "Mapping[str, str | Handle[str]] | Handle[Any]", "dict[str, str]"),
        ({**record(a=TEXT), "additionalProperties": True}, "Mapping[str, Any] | Handle[Any]", "dict[str, Any]"),
        ({"anyOf": [TEXT, TEXTS]}, "str | _Listed[str | Handle[str]] | Handle[Any]", "str | list[str]"),
        ({"anyOf": [TEXT, True]}, "Any", "Any"),
        (record(a=TEXT), "_x | Handle[Any]", "_x"),
    ],
)  # fmt: skip
def test_a_schema_is_a_type_that_takes_handles_as_input(schema, asked, given):
    assert TypedDicts().asked(type_of(schema), "x") == asked
    assert TypedDicts().output(type_of(schema), "x") == given


def test_objects_are_typed_dicts_with_names_of_their_own():
    dicts = TypedDicts()
    schema = record("a b", **{"a b": record(c=TEXT), "d": {"type": "array", "items": record(c=TEXT)}, "e": record(c=NUMBER)})

    assert dicts.output(type_of(schema), "in out") == "_in_out"
    assert dicts.definitions() == (
        "_in_out_a_b = TypedDict(\"_in_out_a_b\", {'c': NotRequired[str]})",
        "_in_out_e = TypedDict(\"_in_out_e\", {'c': NotRequired[float]})",
        "_in_out = TypedDict(\"_in_out\", {'a b': _in_out_a_b, 'd': NotRequired[list[_in_out_a_b]], 'e': NotRequired[_in_out_e]})",
    )
    assert dicts.output(type_of(record(c=TEXT, d=TEXT)), "in.out") == "_in_out_2"


def test_every_name_of_the_stub_text_is_in_them_with_its_docstring():
    names = {getattr(node, "name", "") or ast.unparse(getattr(node, "target", ast.Name("")))
             for node in stub_tree().body if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AnnAssign))}  # fmt: skip
    tree = ast.parse(stubs(policy_of(POLICY)))
    told = {getattr(node, "name", "") or ast.unparse(getattr(node, "target", ast.Name("")))
            for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AnnAssign))}  # fmt: skip

    assert names - told == set()
    assert told - names == {"_Listed", "result"}
    spawns = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "spawn"]
    assert len(spawns) == 2 * len(POLICY)
    assert all((ast.get_docstring(node) or "").startswith("Looks.\n\nAsk for one call of an agent") for node in spawns)
    options = {argument.arg for node in stub_tree().body if getattr(node, "name", "") == "spawn" for argument in node.args.kwonlyargs}  # type: ignore[attr-defined]
    assert all({argument.arg for argument in node.args.kwonlyargs} == options for node in spawns)


def test_the_same_policy_gives_the_same_text(tmp_path, capsys):
    (tmp_path / "policy.yaml").write_text(json.dumps({"version": 1, "agents": POLICY}))

    assert call(["stubs", "--policy", str(tmp_path / "policy.yaml")]) == 0
    assert capsys.readouterr().out == stubs(policy_of(POLICY))
