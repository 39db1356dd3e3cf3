"""The script line by line, with what was seen of each: reached in rehearsal, in a failure alone, or not at all.

A line counts where a statement begins. One that goes over several lines is reached with any of them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from runner.review.report import SourceLine


def source_lines(text: str, rehearsed: frozenset[int], faulty: frozenset[int]) -> tuple[SourceLine, ...]:
    """Return the lines of a script that parses; `rehearsed` and `faulty` are those that were reached."""
    tree = ast.parse(text)
    spans = dict(_statements(tree))
    sites = spawn_sites(tree)
    return tuple(
        SourceLine(number, line, _reached(spans.get(number), rehearsed, faulty), number in sites)
        for number, line in enumerate(text.splitlines(), 1)
    )


def unread_lines(text: str) -> tuple[SourceLine, ...]:
    """Return the lines of a script of which nothing was seen."""
    return tuple(SourceLine(number, line, "", spawns=False) for number, line in enumerate(text.splitlines(), 1))


def spawn_sites(tree: ast.Module) -> frozenset[int]:
    """Return the lines on which a spawn is written."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return frozenset(call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "spawn")


def _statements(tree: ast.Module) -> Iterator[tuple[int, range]]:
    """Yield the first line of each statement that is executed, and the lines that are its own."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt) or isinstance(node, (ast.Global, ast.Nonlocal)) or _is_text(node):
            continue
        body = getattr(node, "body", None)
        last = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno or node.lineno
        yield node.lineno, range(node.lineno, max(node.lineno, last) + 1)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _reached(span: range | None, rehearsed: frozenset[int], faulty: frozenset[int]) -> str:
    if span is None:
        return ""
    if not rehearsed.isdisjoint(span):
        return "rehearsal"
    return "fault" if not faulty.isdisjoint(span) else "no"
