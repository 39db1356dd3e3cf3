"""The one stub text says what the API is: same names, same parameters, same members."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from runner.guest import api

STUB = ast.parse((Path(api.__file__).parent / "stub.pyi").read_text())
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
VALUES = {node.target.id for node in STUB.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}


def test_the_stub_names_what_a_script_has_and_nothing_else():
    public = {name for name in CLASSES if not name.startswith("_")}

    assert set(api.names(None)) == set(FUNCTIONS) | public | VALUES


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_of_the_stub_takes_what_the_function_takes(name):
    # Arguments that a function takes only to say what to write instead.
    taken = inspect.signature(api.FUNCTIONS[name]).parameters.values()
    real = [each for each in taken if each.name not in ("more", "others")]
    told = FUNCTIONS[name].args
    parameters = [(each.arg, "POSITIONAL_ONLY") for each in told.posonlyargs]
    parameters += [(each.arg, "POSITIONAL_OR_KEYWORD") for each in told.args]
    parameters += [(told.vararg.arg, "VAR_POSITIONAL")] if told.vararg else []
    parameters += [(each.arg, "KEYWORD_ONLY") for each in told.kwonlyargs]
    parameters += [(told.kwarg.arg, "VAR_KEYWORD")] if told.kwarg else []

    assert [(each.name, each.kind.name) for each in real] == parameters
    defaults = [ast.literal_eval(each) for each in [*told.defaults, *told.kw_defaults] if each is not None]
    assert [each.default for each in real if each.default is not inspect.Parameter.empty] == defaults


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_class_of_the_stub_has_the_members_that_the_class_has(name):
    real = api.RunLimits if name == "_Limits" else api.FUNCTIONS[name]
    told = {
        node.target.id if isinstance(node, ast.AnnAssign) else node.name
        for node in CLASSES[name].body
        if isinstance(node, (ast.AnnAssign, ast.FunctionDef))
    }
    told = {member for member in told if not member.startswith("_")}
    members = {member for member in vars(real) if not member.startswith("_")}
    if name == "SpawnError":
        members |= set(vars(real("x")))
    if name == "TooFewResults":
        members |= {"attempts", "results"} & set(vars(real("x", results=[1])))

    assert members - {"kind"} == told - {"kind"}
    assert all(ast.get_docstring(node) for node in [CLASSES[name]] if name != "_Limits")


def test_every_function_is_documented():
    assert all(ast.get_docstring(node) for node in FUNCTIONS.values())
