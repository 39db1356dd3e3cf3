"""The most a script could ask for: which agents, with which scopes, and how many spawns.

Counts hold for a run in which nothing raises. The lower bound is what it spawns at least, the upper what it cannot
exceed; where the text does not tell, the lower is 0 and the upper None. Functions are followed where they are called
by name; a function that calls itself, is passed on or is a method has no upper bound.

Not here: which of it the policy grants (rules).
"""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runner.check.literals import times
from runner.check.reading import COMPREHENSIONS, Reading
from runner.check.subject import Subject
from runner.models import Reach

# Deeper calls of functions than any script has; then no bound is told.
MAX_CALLS = 20
# Expressions that one count looks at: ten times those of a long script.
MAX_STEPS = 50_000

_EAGER = frozenset({"gather", "list", "tuple", "set", "as_completed", "sum", "max", "min", "sorted", "dict"})
_LEAVING = (ast.Break, ast.Continue, ast.Return, ast.Raise)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True, slots=True)
class Bound:
    """How many spawns: at least, and at most (None: unknown)."""

    least: int = 0
    most: int | None = 0

    def __add__(self, other: Bound) -> Bound:
        most = None if self.most is None or other.most is None else self.most + other.most
        return Bound(self.least + other.least, most)

    def __or__(self, other: Bound) -> Bound:
        """Either of the two."""
        most = None if self.most is None or other.most is None else max(self.most, other.most)
        return Bound(min(self.least, other.least), most)

    def maybe(self) -> Bound:
        """This, or nothing."""
        return Bound(0, self.most)

    def repeated(self, rounds: int | None) -> Bound:
        if rounds is None:
            return Bound(0, 0 if self.most == 0 else None)
        return Bound(self.least * rounds, None if self.most is None else self.most * rounds)


NOTHING = Bound()
ONE = Bound(1, 1)
ANY = Bound(0, None)


def reach_of(subject: Subject) -> Reach:
    """Return the reach of a script under a policy."""
    agents: dict[str, None] = {}
    scopes: dict[str, dict[str, None]] = {}
    passed_on = any(use.call is None for use in subject.reading.uses.get("spawn", ()))
    dynamic = passed_on
    for spawn in subject.spawns:
        agents.update(dict.fromkeys(spawn.names or ()))
        written = subject.scopes(spawn)
        for name in spawn.names or ():
            scopes.setdefault(name, {}).update(dict.fromkeys(scope for _, scope in written.written))
        dynamic = dynamic or spawn.names is None or spawn.open or written.computed
    bound = Counter(subject.reading).script()
    most = None if passed_on else bound.most
    limit = subject.policy.limits.spawns
    return Reach(
        agents=tuple(agents),
        dynamic=dynamic,
        scopes={name: tuple(found) for name, found in scopes.items() if found},
        spawns_at_least=min(bound.least, limit),
        spawns_at_most=most if most is not None and most < limit else None,
    )


def _used_as_value(parent: ast.AST | None, node: ast.Name) -> bool:
    return not (isinstance(parent, ast.Call) and parent.func is node)


def _computed_scopes(scopes: ast.expr | None, written: list[tuple[ast.expr, str]]) -> bool:
    if scopes is None or (isinstance(scopes, ast.Constant) and scopes.value is None):
        return False
    return not isinstance(scopes, (ast.List, ast.Tuple, ast.Set)) or len(written) != len(scopes.elts)


class Counter:
    """Counts the spawns of one script."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._steps = MAX_STEPS
        self._calls: list[str] = []
        self._bodies: dict[str, Bound] = {}
        self._functions = {
            node.name: node
            for node in reading.tree.body
            if isinstance(node, ast.FunctionDef) and reading.bound_once(node.name) and self._only_called(node)
        }
        self._lines = sorted(self._counted_lines())
        self._leaving: dict[ast.AST, bool] = {}

    def script(self) -> Bound:
        """Return the bound of the whole script. What stands in functions that are not followed is any number."""
        try:
            followed = self._block(self._reading.tree.body)
        except RecursionError:
            # Deep expressions in functions that call each other, each below its own limit.
            return ANY
        if self._steps <= 0:
            return ANY
        return Bound(followed.least, None) if self._hidden() else followed

    def _only_called(self, function: ast.FunctionDef) -> bool:
        uses = self._reading.uses.get(function.name, ())
        plain = all(use.call is not None for use in uses)
        return plain and not function.decorator_list and function not in self._reading.generators

    def _hidden(self) -> bool:
        """Say whether a spawn stands where the count does not go: methods, lambdas, nested and passed-on functions."""
        followed = {None, *self._functions.values()}
        return any(call.name == "spawn" and call.around.function not in followed for call in self._reading.calls)

    def _counted_lines(self) -> Iterator[int]:
        """Yield the lines of what is counted: spawns, and calls of functions that are followed."""
        yield from (call.node.lineno for call in self._reading.calls if call.name == "spawn")
        for name in self._functions:
            yield from (use.node.lineno for use in self._reading.uses.get(name, ()))

    def _quiet(self, node: ast.stmt | ast.expr) -> bool:
        """Say whether nothing that is counted stands on the lines of a node."""
        first = bisect_left(self._lines, node.lineno)
        return first == len(self._lines) or self._lines[first] > (node.end_lineno or node.lineno)

    def _may_leave(self, statement: ast.stmt) -> bool:
        """Say whether what follows this statement may be left out: it holds a break, continue, return or raise."""
        if statement not in self._leaving:
            self._leaving[statement] = isinstance(statement, _LEAVING) or any(
                self._may_leave(below) for below in _statements_below(statement)
            )
        return self._leaving[statement]

    def _block(self, statements: Iterable[ast.stmt]) -> Bound:
        total, leaving = NOTHING, False
        for statement in statements:
            bound = self._statement(statement)
            total += bound.maybe() if leaving else bound
            leaving = leaving or self._may_leave(statement)
        return total

    def _statement(self, node: ast.stmt) -> Bound:
        if self._quiet(node):
            return NOTHING
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return self._each([*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)])
        if isinstance(node, ast.If):
            return self._expression(node.test) + (self._block(node.body) | self._block(node.orelse))
        if isinstance(node, (ast.For, ast.AsyncFor)):
            rounds = self._block(node.body).repeated(times(node.iter, self._reading))
            left_early = any(self._may_leave(statement) for statement in node.body)
            return (
                self._expression(node.iter)
                + (rounds.maybe() if left_early else rounds)
                + self._block(node.orelse).maybe()
            )
        if isinstance(node, ast.While):
            inside = self._expression(node.test) + self._block(node.body)
            return inside.repeated(None) + self._block(node.orelse).maybe()
        if isinstance(node, ast.Try):
            handlers = sum((self._block(handler.body).maybe() for handler in node.handlers), NOTHING)
            body = self._block(node.body) + self._block(node.orelse)
            return body + handlers + self._block(node.finalbody)
        if isinstance(node, ast.Match):
            cases = sum((self._block(case.body).maybe() for case in node.cases), NOTHING)
            return self._expression(node.subject) + cases
        if isinstance(node, (ast.With, ast.AsyncWith)):
            return self._each(item.context_expr for item in node.items) + self._block(node.body)
        if isinstance(node, ast.ClassDef):
            return self._each([*node.decorator_list, *node.bases]) + self._block(node.body)
        return self._each(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))

    def _each(self, nodes: Iterable[ast.expr]) -> Bound:
        return sum((self._expression(node) for node in nodes), NOTHING)

    def _expression(self, node: ast.expr, *, eager: bool = False) -> Bound:
        self._steps -= 1
        if self._steps <= 0:
            return ANY
        if isinstance(node, (ast.Constant, ast.Name, ast.Lambda)) or self._quiet(node):
            return NOTHING
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, COMPREHENSIONS):
            found = self._comprehension(node)
            return found.maybe() if isinstance(node, ast.GeneratorExp) and not eager else found
        if isinstance(node, ast.IfExp):
            return self._expression(node.test) + (self._expression(node.body) | self._expression(node.orelse))
        if isinstance(node, ast.BoolOp):
            return self._expression(node.values[0]) + self._each(node.values[1:]).maybe()
        return self._each(_expressions(node))

    def _call(self, node: ast.Call) -> Bound:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        total = NOTHING if name else self._expression(node.func)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            total += self._expression(argument, eager=name in _EAGER)
        if name == "spawn":
            return total + ONE
        return total + self._body_of(name) if name in self._functions else total

    def _body_of(self, name: str) -> Bound:
        if name in self._bodies:
            return self._bodies[name]
        if name in self._calls or len(self._calls) >= MAX_CALLS:
            return ANY if self._spawns(name) else NOTHING
        self._calls.append(name)
        found = self._bodies[name] = self._block(self._functions[name].body)
        self._calls.pop()
        return found

    def _spawns(self, name: str) -> bool:
        """Say whether a function may spawn, itself or through others."""
        return any(not self._quiet(statement) for statement in self._functions[name].body)

    def _comprehension(self, node: ast.expr) -> Bound:
        assert isinstance(node, COMPREHENSIONS)
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        inside = self._each(parts)
        for generator in reversed(node.generators):
            conditions = self._each(generator.ifs)
            inside = conditions + (inside.maybe() if generator.ifs else inside)
            inside = inside.repeated(times(generator.iter, self._reading)) + self._expression(generator.iter)
        return inside


def _expressions(node: ast.AST) -> Iterable[ast.expr]:
    """Return the expressions right below one, through what is none itself (slices, keywords, format parts)."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.keyword):
            yield child.value


def _statements_below(statement: ast.stmt) -> Iterator[ast.stmt]:
    """Yield the statements right inside of one, but for those of a function."""
    if isinstance(statement, _DEFINITIONS):
        return
    for name in ("body", "orelse", "finalbody"):
        yield from getattr(statement, name, ())
    for inner in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        yield from inner.body
