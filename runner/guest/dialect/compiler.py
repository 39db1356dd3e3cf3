"""Turn the text of a script into code, or into remarks; never raise.

The order is that of trust: bytes and size, parser, rules, rewrite, compiler. CPython's parser and compiler raise
several kinds of errors on hostile text, and each becomes a remark.

Not here: what the code runs in (namespace).
"""

from __future__ import annotations

import ast
import types
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from runner.guest.dialect.guards import FILENAME
from runner.guest.dialect.namespace import MODULES
from runner.guest.dialect.remarks import Remark, remark
from runner.guest.dialect.rewrite import rewrite
from runner.guest.dialect.rules import judge
from runner.guest.dialect.source import decode, extract_fence, measure

# What CPython's parser and compiler raise: UnicodeError is a ValueError, IndentationError a SyntaxError.
_FROM_PARSER = (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError)


@dataclass(frozen=True, slots=True)
class Compiled:
    """What the dialect says about a script."""

    code: types.CodeType | None
    """None exactly when a remark is an error. Run it in a `namespace` only."""
    tree: ast.Module | None
    """As parsed, before any change; None when the text does not parse."""
    remarks: tuple[Remark, ...]
    """All of them, in the order of the source."""


def compile_script(source: str | bytes, *, imports: frozenset[str] | None = None) -> Compiled:
    """Compile a script of the dialect. Never raises, however hostile the text.

    `imports` are the modules that may be imported; None: all that the dialect has.
    """
    text, fault = decode(source)
    if text is None or fault is not None:
        return Compiled(None, None, (fault,) if fault else ())
    fault = measure(text)
    if fault is not None:
        return Compiled(None, None, (fault,))
    with warnings.catch_warnings():
        # A warning would be printed, and printing one opens the file that it names.
        warnings.simplefilter("ignore")
        return _compile_text(text, offered(imports))


def offered(imports: frozenset[str] | None) -> Mapping[str, frozenset[str]]:
    """Return the importable modules with their names."""
    if imports is None:
        return MODULES
    return {name: names for name, names in MODULES.items() if name in imports or name == "__future__"}


def _compile_text(text: str, modules: Mapping[str, frozenset[str]]) -> Compiled:
    try:
        tree = ast.parse(text, FILENAME)
    except _FROM_PARSER as error:
        return Compiled(None, None, (_parser_remark(error, text),))
    try:
        rules = judge(tree, text, modules)
    except _FROM_PARSER as error:
        return Compiled(None, tree, (_parser_remark(error, text),))
    remarks = tuple(rules.remarks)
    if any(one.severity == "error" for one in remarks):
        return Compiled(None, tree, remarks)
    try:
        # Parsing again is cheaper than copying the tree.
        changed, refused = rewrite(ast.parse(text, FILENAME), rules.stored)
        if refused:
            return Compiled(None, tree, (*remarks, remark("not-in-dialect", 1, 1, "", refused[0])))
        code = compile(changed, FILENAME, "exec", dont_inherit=True, optimize=0)
    except _FROM_PARSER as error:
        return Compiled(None, tree, (*remarks, _parser_remark(error, text)))
    return Compiled(code, tree, remarks)


def _parser_remark(error: Exception, text: str) -> Remark:
    if isinstance(error, (MemoryError, RecursionError)):
        return remark("too-nested", 1, 1, "", "the syntax is nested too deep for the parser")
    if extract_fence(text) is not None:
        return remark("code-fence", 1, 1, text.split("\n", 1)[0])
    line = max(1, getattr(error, "lineno", None) or 1)
    column = max(1, getattr(error, "offset", None) or 1)
    lines = text.split("\n")
    shown = lines[line - 1] if line <= len(lines) else ""
    return remark("syntax", line, column, shown.strip(), str(getattr(error, "msg", None) or error))
