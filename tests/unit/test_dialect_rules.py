
"""Every rule, with the whole remark that it makes."""

from __future__ import annotations

import ast

import pytest

from runner.guest.dialect import MODULES, compile_script
from runner.guest.dialect.remarks import (
    ADVICE,
    BUILTIN_ADVICE,
    DUNDER_ADVICE,
    METHOD_ADVICE,
    MODULE_ADVICE,
    NAME_ADVICE,
)
from runner.guest.dialect.rules import CHECKS
from tests.scripts.escapes.inside import run

REMARKS: list[tuple[str, str, tuple[int, int], str, str, str]] = [
    # source, rule, place, text, message, fix
    ("x = 1\nasync def f(a):\n    pass", "no-async", (2, 1), "async def f(a):", "scripts are synchronous: spawn() returns at once and gather() waits for all", "def f(a):"),
    ("x = await f(1)", "no-async", (1, 1), "x = await f(1)", "scripts are synchronous: spawn() returns at once and gather() waits for all", "x = f(1)"),
    ("x = 1\nimport asyncio", "no-async", (2, 1), "import asyncio", "scripts are synchronous: spawn() returns at once and gather() waits for all", "# asyncio is not needed: spawn() returns at once and gather() waits"),
    ("try: pass\nexcept* ValueError: pass", "no-except-star", (1, 1), "try: pass", "`except*` is not part of the dialect", "use `except`: gather() raises one error at a time"),
    ("class A(metaclass=B): pass", "no-metaclass", (1, 9), "metaclass=B", "a class cannot choose its metaclass", "remove `metaclass=`; use a decorator or a plain function"),
    ("from abc import ABC\nclass A(metaclass=ABCMeta): pass", "no-metaclass", (2, 9), "metaclass=ABCMeta", "a class cannot choose its metaclass", "derive from ABC: `from abc import ABC`"),
    ("class A(x=1): pass", "class-keyword", (1, 9), "x=1", "a class takes no keyword but `total`", "remove `x=`"),
    ("x = a.__dict__", "no-dunder", (1, 5), "a.__dict__", "`__dict__` is not offered", "vars(a)"),
    ("x = __file__", "no-dunder", (1, 5), "__file__", "`__file__` is not offered", "leave it out: a script has no file"),
    ("f(__class__=1)", "no-dunder", (1, 3), "__class__=1", "`__class__` is not offered", "use a name without double underscores"),
    ("a.__name__ = 'x'", "no-dunder", (1, 1), "a.__name__", "`__name__` is not offered", "use a name without double underscores"),
    ("self.__items = []", "private-name", (1, 1), "self.__items", "`__items`: names with two leading underscores are not offered", "self._items"),
    ("def __helper(): pass", "private-name", (1, 1), "def __helper(): pass", "`__helper`: names with two leading underscores are not offered", "helper"),
    ("_read_ = 1", "reserved-name", (1, 1), "_read_", "names of the form `_x_` belong to the dialect", "read"),
    ("class A:\n    def __del__(self): pass", "dunder-method", (2, 5), "def __del__(self): pass", "a script cannot define `__del__`", "write `__exit__` and use `with`"),
    ("x = g.gi_frame", "unsafe-attribute", (1, 5), "g.gi_frame", "`gi_frame` leads into the interpreter and is not offered", "remove the access to `.gi_frame`"),
    ("x = open('f')", "no-builtin", (1, 5), "open", "`open` is not offered", "a script has no files; pass the data through `inputs` or spawn an agent that reads it"),
    ("raise SystemExit(0)", "fatal-name", (1, 7), "SystemExit", "`SystemExit` ends the run at once and cannot be caught or raised", "catch or raise `Exception` or one of your own classes"),
    ("from json import jumps", "import-name", (1, 18), "jumps", 'module "json" has no "jumps" here', "from json import dumps"),
    ("from math import *", "import-star", (1, 18), "*", "`import *` is not offered", "import math"),
    ("from . import x", "import-relative", (1, 1), "from . import x", "a script has no package to import from", "remove the import; a script is one file"),
    ("def f():\n    try: pass\n    finally:\n        return 1", "finally-jump", (4, 9), "return 1", "`return` inside `finally` would swallow what is being raised", "move `return` after the try statement"),
    ("yield 1", "outside-function", (1, 1), "yield 1", "`yield` stands outside a function", "move it into a `def`"),
    ("match x:\n    case P(parser=p): pass", "class-pattern", (2, 10), "P(parser=p)", "`parser` cannot be read in a pattern", "match the class alone, then read the attribute"),
    ("class A: __slots__ = names", "class-constant", (1, 10), "__slots__", "`__slots__` takes a literal here", '__slots__ = ("first", "second")'),
]


@pytest.mark.parametrize(("source", "rule", "place", "text", "message", "fix"), REMARKS)
def test_a_rule_says_where_what_and_what_to_write_instead(source: str, rule: str, place: tuple[int, int], text: str, message: str, fix: str) -> None:
    (found,) = compile_script(source).remarks

    assert (found.rule, (found.line, found.column), found.text) == (rule, place, text)
    assert (found.message, found.fix, found.severity) == (message, fix, "error")


def test_every_rule_of_the_table_has_a_test() -> None:
    elsewhere = {"syntax", "code-fence", "not-text", "too-big", "too-nested", "empty", "not-in-dialect", "import-not-allowed"}

    assert {one[1] for one in REMARKS} | elsewhere == set(ADVICE)


NOT_OFFERED = [
    ("import numpy", "numpy", "write the function into the script, or spawn an agent for it"),
    ("import ssl", "ssl", "write the function into the script, or spawn an agent for it"),
    ("import dateutil", "dateutil", "import datetime"),
    ("from collection import deque", "collection", "import collections"),
    ("import urllib", "urllib", "import urllib.parse"),
    ("from urllib import request", "urllib", "a script has no network: spawn an agent that fetches it"),
    ("from urllib import parse, request", "urllib", "a script has no network: spawn an agent that fetches it"),
    ("from urllib.error import URLError", "urllib.error", "a script has no network: spawn an agent that fetches it"),
]


@pytest.mark.parametrize(("source", "name", "fix"), NOT_OFFERED, ids=[one[0] for one in NOT_OFFERED])
def test_a_module_that_is_not_offered_names_the_one_that_is_near_or_what_to_do(source: str, name: str, fix: str) -> None:
    (found,) = compile_script(source).remarks

    assert (found.rule, found.message, found.fix) == ("import-not-allowed", f'module "{name}" is not offered', fix)


def test_what_is_near_is_one_that_the_policy_allows() -> None:
    (found,) = compile_script("import dateutil", imports=frozenset({"json"})).remarks
    (own,) = compile_script("import math\nfrom __future__ import annotations", imports=frozenset({"json"})).remarks

    assert found.fix == "write the function into the script, or spawn an agent for it; offered: json"
    assert (own.line, own.message) == (1, 'module "math" is not offered')


@pytest.mark.parametrize("name", sorted(NAME_ADVICE))
def test_a_name_that_a_module_has_not_has_advice_in_the_check_and_while_it_runs(name: str) -> None:
    module, _, part = name.partition(".")
    (found,) = compile_script(f"from {module} import {part}").remarks
    ran = run(f"import {module}\nx = {name}")

    assert (found.rule, found.fix) == ("import-name", NAME_ADVICE[name])
    assert str(ran.error) == f"module '{module}' has no attribute '{part}' here: {NAME_ADVICE[name]}"


@pytest.mark.parametrize("source", ["import urllib.parse", "from urllib import parse", "import urllib.parse as up", "from urllib.parse import quote"])
def test_a_module_of_a_package_is_imported_where_the_policy_allows_that_module(source: str) -> None:
    allowed, other = frozenset({"urllib.parse"}), frozenset({"json"})

    assert run(source, imports=allowed).error is None and run(source, imports=allowed).rules == []
    assert run(source, imports=other).rules == ["import-not-allowed"]


def test_a_package_has_only_the_modules_that_the_policy_allows() -> None:
    ran = run("import collections.abc\nresult = collections.abc.Sized.__name__, hasattr(collections, 'deque')", imports=frozenset({"collections.abc"}))

    assert ran.result == ("Sized", False)


def test_the_guest_holds_the_allowed_imports_when_the_rules_did_not() -> None:
    code = compile_script("import math").code
    assert code is not None
    ran = run("x = 1", imports=frozenset({"json"}))

    with pytest.raises(ImportError, match='module "math" is not offered'):
        exec(code, ran.names)


@pytest.mark.parametrize("name", sorted(MODULE_ADVICE))
def test_a_module_that_models_reach_for_has_advice(name: str) -> None:
    (found,) = compile_script(f"import {name}.part").remarks

    assert (found.rule, found.fix) == ("import-not-allowed", MODULE_ADVICE[name])
    assert name not in MODULES


@pytest.mark.parametrize("name", sorted(DUNDER_ADVICE))
def test_a_dunder_name_that_models_reach_for_has_advice(name: str) -> None:
    (found,) = compile_script(f"x = y.{name}").remarks

    assert (found.rule, found.fix) == ("no-dunder", DUNDER_ADVICE[name].format("y"))


@pytest.mark.parametrize("name", sorted(METHOD_ADVICE))
def test_a_method_that_cannot_be_defined_has_advice(name: str) -> None:
    (found,) = compile_script(f"class A:\n    def {name}(self): pass").remarks

    assert (found.rule, found.fix) == ("dunder-method", METHOD_ADVICE[name])


@pytest.mark.parametrize("name", sorted(BUILTIN_ADVICE))
def test_a_builtin_without_an_offer_has_advice_unless_the_script_has_its_own(name: str) -> None:
    used = compile_script(f"x = {name}(1)").remarks
    own = compile_script(f"def {name}(x): return x\nx = {name}(1)").remarks
    argument = compile_script(f"def f({name}): return {name}").remarks

    assert [(one.rule, one.fix) for one in used] == [("no-builtin", BUILTIN_ADVICE[name])]
    assert own == argument == ()


def test_all_remarks_come_in_one_pass_in_the_order_of_the_source() -> None:
    found = compile_script("import os\nx = a.__dict__; y = open\nasync def f(): pass\nclass A(metaclass=M):\n    def __new__(c): pass").remarks

    assert [(one.line, one.column, one.rule) for one in found] == [
        (1, 8, "import-not-allowed"), (2, 5, "no-dunder"), (2, 21, "no-builtin"), (3, 1, "no-async"), (4, 9, "no-metaclass"), (5, 5, "dunder-method"),
    ]  # fmt: skip


def test_columns_count_characters_not_bytes() -> None:
    (found,) = compile_script("é = 'äöü'; x = a.__dict__").remarks

    assert (found.column, found.text) == (16, "a.__dict__")


@pytest.mark.parametrize("fix", [fix for _, rule, *_, fix in REMARKS if rule in ("no-async", "private-name", "import-name", "import-star")])
def test_a_fix_that_is_code_is_accepted_as_printed(fix: str) -> None:
    source = fix + (" pass" if fix.endswith(":") else "\nx = 1")

    assert compile_script(source).remarks == ()


@pytest.mark.parametrize("source", ["type X = int", "def f[T](x): pass", "class A[T]: pass", "type X[T] = list[T]"])
def test_syntax_of_newer_pythons_is_refused_everywhere(source: str) -> None:
    rules = {one.rule for one in compile_script(source).remarks}

    assert rules <= {"syntax", "not-in-dialect"}
    assert rules


# Not judged under their own kind: names are judged with their import, or the whole construct is refused.
_ELSEWHERE = {"ImportFrom", "alias", "TypeVar", "ParamSpec", "TypeVarTuple", "AsyncFunctionDef"}
_SUMS = {"stmt", "expr", "pattern", "excepthandler", "type_param"}


def test_every_identifier_of_the_grammar_is_judged() -> None:
    fields = set()
    for kind in vars(ast).values():
        if isinstance(kind, type) and issubclass(kind, ast.AST) and kind.__doc__ and "identifier" in kind.__doc__:
            named = [part.strip() for part in kind.__doc__.partition("(")[2].rstrip(")").split(",")]
            fields |= {(kind, part.split()[1]) for part in named if part.startswith("identifier")}

    kinds = {kind for kind, _ in fields if kind.__name__ not in _ELSEWHERE | _SUMS}

    assert kinds <= set(CHECKS)
    assert len(kinds) >= 12


def test_only_known_modules_are_offered() -> None:
    expected = (
        "__future__ abc base64 bisect collections collections.abc contextlib copy dataclasses datetime decimal difflib enum fractions "
        "functools graphlib hashlib heapq itertools json math operator pathlib random re statistics string textwrap time typing unicodedata urllib.parse uuid"
    )

    assert sorted(MODULES) == expected.split()
