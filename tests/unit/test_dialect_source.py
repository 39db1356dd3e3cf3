"""What is refused before the parser sees it, and that nothing makes the compiler raise."""


from __future__ import annotations

import ast
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.guest.dialect import Remark, compile_script, extract_fence
from runner.guest.dialect.source import MAX_BRACKETS, MAX_BYTES, MAX_DEPTH, MAX_LINES, MAX_TOKENS


def only(source: str | bytes) -> Remark:
    compiled = compile_script(source)

    assert compiled.code is None
    assert len(compiled.remarks) == 1, compiled.remarks
    return compiled.remarks[0]


@pytest.mark.parametrize(
    ("source", "place", "message"),
    [
        (b"x = 1\ny = '\xff'", (2, 6), "a script is UTF-8 text; byte 11 is 0xff"),
        (b"\xef\xbb\xbfx = 1", (1, 1), "a script is UTF-8 text; it begins with a byte order mark"),
        ("x = '\ud800'", (1, 6), "a script is UTF-8 text; it has a lone surrogate"),
        ("x = 1\0", (1, 6), "a script is UTF-8 text; it has a NUL character"),
        ("x = 1\ry = 2", (1, 6), "a script is UTF-8 text; it has a carriage return that ends no line"),
        ("# \u202e reversed", (1, 3), "a script is UTF-8 text; it has a bidirectional control character"),
        ("x = 'a\u2066b'", (1, 7), "a script is UTF-8 text; it has a bidirectional control character"),
        ("x = 1\x0c", (1, 6), None),
        ("x = '\x1b[31m'", (1, 6), "a script is UTF-8 text; it has a control character"),
        ("# -*- coding: latin-1 -*-\nx = 1", (1, 1), 'a script is UTF-8 text; its coding cookie says "latin-1"'),
        ("\n# vim: set fileencoding=utf-7 :", (2, 1), 'a script is UTF-8 text; its coding cookie says "utf-7"'),
    ],
)
def test_text_that_does_not_show_what_it_is_is_refused(source: str | bytes, place: tuple[int, int], message: str | None) -> None:
    if message is None:
        assert compile_script(source).remarks == ()
        return
    found = only(source)

    assert (found.rule, found.line, found.column, found.message) == ("not-text", *place, message)


def test_windows_line_ends_and_a_utf8_cookie_are_accepted() -> None:
    compiled = compile_script(b"# -*- coding: UTF-8 -*-\r\nx = '\xc3\xa9'\r\n")

    assert compiled.remarks == ()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("#" * (MAX_BYTES + 1), f"the script has {MAX_BYTES + 1:,} bytes; at most {MAX_BYTES:,} are read"),
        ("\n" * MAX_LINES, f"the script has {MAX_LINES + 1:,} lines; at most {MAX_LINES:,} are read"),
        ("x=[" + "1," * MAX_TOKENS + "]", f"the script has {2 * MAX_TOKENS + 4:,} tokens; at most {MAX_TOKENS:,} are read"),
    ],
)
def test_a_script_beyond_its_size_is_refused(source: str, message: str) -> None:
    found = only(source)

    assert (found.rule, found.message) == ("too-big", message)


BOMBS = {
    "brackets": "(" * 10_000,
    "brackets inside brackets": "x = " + "[" * (MAX_BRACKETS + 1) + "]" * (MAX_BRACKETS + 1),
    "braces without an end": "{" * 90,
    "signs": "x = " + "-" * 90_000 + "1",
    "not": "x = " + "not " * 20_000 + "1",
    "additions": "x = " + "+".join("1" * 40_000),
    "powers": "x = " + "**".join("2" * 20_000),
    "attributes": "x" + ".a" * 45_000,
    "calls": "x" + "()" * 40_000,
    "items": "x" + "[0]" * 30_000,
    "lambdas": "lambda: " * 20_000 + "1",
    "conditions": "x = " + "1 if 1 else " * 15_000 + "1",
    "elif": "if 1: pass\n" + "elif 1: pass\n" * 15_000,
    "indentation": "".join(" " * n + "if 1:\n" for n in range(150)) + " " * 150 + "pass",
    "comparisons of lambdas": "(lambda x=(lambda x=(lambda x=" * 20 + "1" + ")))" * 20,
    "f-strings": "f'{" * 50 + "1" + "}'" * 50,
    "strings": "x = " + "'a' " * 90_000,
    "functions": "".join(" " * n + f"def f{n}():\n" for n in range(98)) + " " * 98 + "pass",
    "comprehensions": "x = " + "[" * 60 + "1" + " for x in y]" * 60,
    "comprehensions inside loops": "".join(" " * n + "for x in y:\n" for n in range(12)) + " " * 12 + "[" * 12 + "1" + " for x in y]" * 12,
    "comprehensions in conditions": "x = " + "[1 for x in y if " * 40 + "y" + "]" * 40,
    "decorators": "@x\n" * 19_000 + "def f(): pass",
    "huge number": "x = " + "9" * 100_000,
    "huge power": "x = 10 ** 10 ** 8",
    "huge repeat": "x = 'a' * 10 ** 12",
    "huge shift": "x = 1 << 10 ** 12",
    "huge annotations": "x: " + "-" * 30_000 + "1 = 2",
    "stars": "f(" + "*" * 90_000,
    "yields": "def f(): " + "yield " * 20_000,
    "awaits": "async def f(): " + "await " * 20_000 + "x",
    "patterns": "match x:\n case " + "[" * 60 + "]" * 60 + ": pass",
    "pattern alternatives": "match x:\n case " + "|".join("1" * 30_000) + ": pass",
    "unfinished triple quotes": "'''" * 9_999,
    "invalid nested brackets": "a = " + "f(" * 60 + "1 1" + ")" * 60,
    "dictionary of nothing": "x = " + "{**" * 60,
    "backslashes": "\\\n" * 15_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_parser_bomb_becomes_remarks_within_seconds(name: str) -> None:
    began = time.process_time()
    compiled = compile_script(BOMBS[name])

    assert time.process_time() - began < 5
    assert (compiled.code is None) == any(one.severity == "error" for one in compiled.remarks)


def test_blocks_are_counted_with_those_that_the_rewrite_adds() -> None:
    deepest = "".join(" " * n + "try:\n" for n in range(9))
    closed = "".join(" " * n + "except E: pass\n" for n in reversed(range(9)))

    fits = compile_script(deepest + " " * 9 + "pass\n" + closed)
    deep = only("".join(" " * n + "with a, b, c, d:\n" for n in range(3)) + " " * 3 + "pass")

    assert fits.remarks == ()
    assert (deep.rule, deep.message) == ("too-nested", "too many blocks stand inside each other")


def test_depth_is_counted_on_the_tree() -> None:
    fits = compile_script("x = " + "+".join("1" * (MAX_DEPTH - 10)))
    deep = only("x = " + "+".join("1" * (MAX_DEPTH + 10)))

    assert fits.remarks == ()
    assert (deep.rule, deep.message) == ("too-nested", f"the syntax is nested more than {MAX_DEPTH} levels deep")


@pytest.mark.parametrize("source", ["", "\n\n", "# only a comment", "   \n\t"])
def test_a_script_without_a_statement_is_refused(source: str) -> None:
    assert only(source).rule == "empty"


@pytest.mark.parametrize(
    ("source", "place", "message"),
    [
        ("x = 1\nx = = 2", (2, 5), "this is not valid Python: invalid syntax"),
        ("def f():\nreturn 1", (2, 1), "this is not valid Python: expected an indented block after function definition on line 1"),
        ("x = 'abc", (1, 5), "this is not valid Python: unterminated string literal (detected at line 1)"),
        ("break", (1, 1), "this is not valid Python: 'break' outside loop"),
        ("def f(a, a): pass", (1, 1), None),
        ("nonlocal x", (1, 1), "this is not valid Python: nonlocal declaration not allowed at module level"),
        ("class A:\n    return 1", (2, 5), "this is not valid Python: 'return' outside function"),
        ("f(**a, *b)", (1, 1), None),
        ("print 'hello'", (1, 1), None),
    ],
)
def test_a_syntax_error_is_a_remark_at_its_place(source: str, place: tuple[int, int], message: str | None) -> None:
    found = only(source)

    assert found.rule == "syntax"
    if message is not None:
        assert (found.line, found.column, found.message) == (*place, message)


def test_an_invalid_escape_prints_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    compiled = compile_script("x = '\\d' is 1\nassert (x, 'always')")

    assert compiled.remarks == ()
    assert list(recwarn) == []


FENCED = "Here is the script:\n\n```python\nresult = 1\n```\nIt works.\n"


def test_one_code_fence_is_a_remark_of_its_own_and_can_be_taken_out() -> None:
    found = only(FENCED)

    assert (found.rule, found.line, found.column) == ("code-fence", 1, 1)
    assert "--extract" in found.fix
    assert extract_fence(FENCED) == "result = 1\n"


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("```\nx = 1\n\n```", "x = 1\n\n"),
        ("````python\nx = '''\n````", "x = '''\n"),
        ("~~~py\nx = 1\n~~~\n", "x = 1\n"),
        ("```python\nx = 1\n```\n```python\ny = 1\n```", None),
        ("```python\nx = 1", None),
        ("x = 1", None),
        ("```python\nx = 1\n~~~", None),
        ("```python\nx = 1\n```python", None),
    ],
)
def test_exactly_one_fence_is_taken_out(text: str, inside: str | None) -> None:
    assert extract_fence(text) == inside


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_no_text_makes_the_compiler_raise(source: str | bytes) -> None:
    compiled = compile_script(source)

    assert (compiled.code is None) == any(one.severity == "error" for one in compiled.remarks)


PIECES = st.sampled_from(
    ["def", "f(x):", "class", "A:", "return", "yield", "x", "=", "1", "+", "**", "[", "]", "(", ")", "{", "}", "lambda", ":", ",", ".", "*", "@", "async", "await", "match", "case", "_", "__x__", "_y_", "try", "except", "finally", "with", "as", "import", "from", "global", "nonlocal", "if", "else", "elif", "for", "in", "while", "break", "del", "f'{x!r:>3}'", "'\\x'", "#", "\n", "\n", "", "\n\t", ":=", "->", "...", "None", "print", "self", "super()", "raise", "assert", "not", "and", "or", "is", "<", "<=", ";", "\\", "0x", "1j", "'''"]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=30))
def test_no_sequence_of_python_pieces_makes_the_compiler_raise(pieces: list[str]) -> None:
    compiled = compile_script(" ".join(pieces))

    assert (compiled.code is None) == any(one.severity == "error" for one in compiled.remarks)
    assert all(one.line >= 1 and one.column >= 1 and one.fix for one in compiled.remarks)


def test_the_tree_that_the_check_gets_is_as_parsed() -> None:
    source = "class A:\n    x: int = 1\nA.x += 1\ntry:\n    import json\nfinally:\n    pass"

    tree = compile_script(source).tree

    assert tree is not None
    assert ast.dump(tree) == ast.dump(ast.parse(source))
