"""How often marked calls of a script run: at least, and at most.

Counts hold for a run in which nothing raises. Functions, lambdas and methods are followed where a call reaches them for
certain; what is passed on, decorated or calls itself has no upper bound.

Not here: how long a loop is (lengths), which function a call reaches (following).
"""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from runner.check.facts import COMPREHENSIONS, Use
from runner.check.following import Function
from runner.check.lengths import Known, Lengths
from runner.check.literals import whole
from runner.check.sizes import ANY, NOTHING, ONE, Bound, Size, number
from runner.check.subject import Subject

# Deeper calls of functions than any script has; then no bound is told.
MAX_CALLS = 20
# Expressions that one count looks at: ten times those of a long script.
MAX_STEPS = 50_000
# Lists whose appends are counted, inside of each other and in all.
MAX_DEPTH = 4
MAX_COUNTS = 32

_EAGER = frozenset(
    {"gather", "list", "tuple", "set", "as_completed", "first_ok", "sum", "max", "min", "sorted", "dict"}
)
_LEAVING = (ast.Break, ast.Continue, ast.Return, ast.Raise)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True, slots=True)
class Marked:
    """A call that is counted, the function around it, and how much it counts."""

    call: ast.Call
    function: ast.AST | None
    bound: Bound = ONE


def count(subject: Subject, marked: Iterable[Marked], depth: int = 0) -> Bound:
    """Return how often the marked calls run, of one run of the script."""
    counter = Counter(subject, {one.call: one for one in marked}, depth)
    return counter.script()


class Counter:
    """Counts marked calls of one script."""

    def __init__(self, subject: Subject, marked: Mapping[ast.Call, Marked], depth: int) -> None:
        self._reading = subject.reading
        self._following = subject.following
        self._marked = marked
        self._steps = MAX_STEPS
        self._calls: list[Function] = []
        self._bodies: dict[tuple[object, ...], Bound] = {}
        self._leaving: dict[ast.AST, bool] = {}
        self._known = Known()
        self._hidden = False
        self._lines = sorted(self._counted_lines())

        def appended(uses: list[Use]) -> Bound:
            if depth >= MAX_DEPTH or subject.appends_counted >= MAX_COUNTS:
                return ANY
            subject.appends_counted += 1
            puts = [subject.use_of(use.parent) for use in uses if isinstance(use.parent, ast.Attribute)]
            calls = [Marked(put.call, put.around.function) for put in puts if put.call is not None]
            return count(subject, calls, depth + 1) if len(calls) == len(uses) else ANY

        self._lengths = Lengths(subject.reading, appended)

    def script(self) -> Bound:
        """Return the bound of the whole script."""
        try:
            found = self._block(self._reading.tree.body)
        except RecursionError:
            # Deep expressions in functions that call each other, each below its own limit.
            return ANY
        if self._steps <= 0:
            return ANY
        return Bound(found.least, None) if self._hidden else found

    def _counted_lines(self) -> Iterator[int]:
        """Yield the lines of what is counted: marked calls, and what reaches the functions that hold them."""
        open_ = [one.function for one in self._marked.values()]
        yield from (call.lineno for call in self._marked)
        seen: set[Function] = set()
        while open_:
            function = open_.pop()
            if not isinstance(function, (ast.FunctionDef, ast.Lambda)) or function in seen:
                continue
            seen.add(function)
            uses = self._following.uses(function)
            if uses is None:
                # A lambda where it is called, or handed to what calls it, is counted in its place.
                self._hidden = self._hidden or not isinstance(function, ast.Lambda) or function not in self._in_place
                uses = []
                if isinstance(function, ast.Lambda):
                    open_.extend(self._in_place.get(function, ()))
                    yield function.lineno
            for use in uses:
                self._hidden = self._hidden or not self._is_followed(use, function)
                yield use.node.lineno
                open_.append(use.around.function)

    @cached_property
    def _in_place(self) -> dict[ast.Lambda, list[ast.AST | None]]:
        """Return the lambdas that stand where they are called or mapped, each with the function around."""
        found: dict[ast.Lambda, list[ast.AST | None]] = {}
        for use in (*self._reading.uses.get("map", ()), *self._reading.attributes.get("then", ())):
            if use.call is not None and use.call.args and isinstance(use.call.args[0], ast.Lambda):
                found[use.call.args[0]] = [use.around.function]
        return found

    def _is_followed(self, use: Use, function: Function) -> bool:
        if use.call is not None:
            return function in self._following.targets(use.call)
        parent = use.parent
        return isinstance(parent, ast.Call) and _callee(parent) is use.node

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

    # Statements

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
            rounds = self._block(node.body).times(self._lengths.of(node.iter, self._known))
            left_early = any(self._may_leave(statement) for statement in node.body)
            after = self._block(node.orelse).maybe()
            return self._expression(node.iter) + (rounds.maybe() if left_early else rounds) + after
        if isinstance(node, ast.While):
            rounds = self._rounds(node)
            # The test is asked once more than the body runs.
            asked = self._expression(node.test).times(rounds + ONE)
            return asked + self._block(node.body).times(rounds) + self._block(node.orelse).maybe()
        if isinstance(node, ast.Try):
            handlers = sum((self._block(handler.body).maybe() for handler in node.handlers), NOTHING)
            body = self._block(node.body) + self._block(node.orelse)
            return body + handlers + self._block(node.finalbody)
        if isinstance(node, ast.Match):
            either = NOTHING
            for case in node.cases:
                guard = self._expression(case.guard).maybe() if case.guard else NOTHING
                either = guard + (either | self._block(case.body))
            return self._expression(node.subject) + either
        if isinstance(node, (ast.With, ast.AsyncWith)):
            return self._each(item.context_expr for item in node.items) + self._block(node.body)
        if isinstance(node, ast.ClassDef):
            return self._each([*node.decorator_list, *node.bases]) + self._block(node.body)
        return self._each(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))

    def _rounds(self, node: ast.While) -> Bound:
        """Return how often a `while` goes round, where a counter from a number to a number ends it."""
        tests = (
            node.test.values if isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.And) else [node.test]
        )
        for test in tests:
            if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.left, ast.Name):
                most = self._counted_up(node, test.left.id, test.ops[0], test.comparators[0])
                if most is not None:
                    return Bound(Size(), number(most))
        return ANY

    def _counted_up(self, loop: ast.While, name: str, operator: ast.cmpop, end: ast.expr) -> int | None:
        if not isinstance(operator, (ast.Lt, ast.LtE)) or any(_continues(one) for one in loop.body):
            return None
        steps = [
            one.value
            for one in loop.body
            if isinstance(one, ast.AugAssign) and isinstance(one.op, ast.Add) and _is_name(one.target, name)
        ]
        starts = self._reading.values.get(name, ())
        if len(steps) != 1 or len(starts) != 1 or self._reading.counts[name] != 2:
            return None
        start, last, step = (whole(one, self._reading) for one in (starts[0], end, steps[0]))
        if start is None or last is None or step is None or step < 1:
            return None
        return max(0, -(-(last - start + isinstance(operator, ast.LtE)) // step))

    # Expressions

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
        if node in self._marked:
            total += self._marked[node].bound
        callee = _callee(node)
        if callee is not None:
            bodies = self._bodies_of(self._following.referred(callee), None, certain=False)
            rounds = self._lengths.of(node.args[1], self._known) if name == "map" and len(node.args) > 1 else ONE
            return total + bodies.times(rounds).maybe()
        targets = self._following.targets(node)
        return total + self._bodies_of(targets, node, certain=self._following.certain(node)) if targets else total

    def _bodies_of(self, targets: tuple[Function, ...], node: ast.Call | None, *, certain: bool) -> Bound:
        """Return the bound of one call that runs one of these functions, or for a class all of its constructors.

        Without the call nothing is known of what they are given.
        """
        constructs = node is not None and isinstance(node.func, ast.Name) and node.func.id in self._reading.classes
        found: Bound | None = None
        for target in targets:
            one = self._body_of(target, node)
            found = one if found is None else found + one if constructs else found | one
        if found is None:
            return NOTHING
        return found if certain else found.maybe()

    def _body_of(self, function: Function, node: ast.Call | None) -> Bound:
        body: list[ast.stmt] | list[ast.expr] = (
            function.body if isinstance(function, ast.FunctionDef) else [function.body]
        )
        if all(map(self._quiet, body)):
            return NOTHING
        if function in self._calls or len(self._calls) >= MAX_CALLS:
            return ANY
        known = self._parameters(function, node) if node is not None else Known()
        key = (function, known.key)
        if key not in self._bodies:
            outer, self._known = self._known, known
            self._calls.append(function)
            found = self._expression(function.body) if isinstance(function, ast.Lambda) else self._block(function.body)
            self._calls.pop()
            self._known = outer
            lazy = function in self._reading.generators
            self._bodies[key] = found.maybe() if lazy else found
        return self._bodies[key]

    def _parameters(self, function: Function, node: ast.Call) -> Known:
        """Return what is known of the parameters at this call."""
        site = self._following.site(function, node)
        given = {name: value for name, value in site.given.items() if name not in self._bound_inside(function)}
        lengths = {name: self._lengths.of(value, self._known) for name, value in given.items()}
        values = {name: self._lengths.number(value, self._known) for name, value in given.items()}
        return Known(
            {name: bound for name, bound in lengths.items() if bound != ANY},
            {name: bound for name, bound in values.items() if bound != ANY},
        )

    def _bound_inside(self, function: Function) -> set[str]:
        """Return the names that a function binds anew or changes: what it was given is then not what it has."""
        key = "bound inside", function
        if key not in self._reading.memo:
            found: set[str] = set()
            for inner in ast.walk(function):
                if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load):
                    found.add(inner.id)
                elif isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name):
                    found.add(inner.value.id)
            self._reading.memo[key] = found
        known: set[str] = self._reading.memo[key]
        return known

    def _comprehension(self, node: ast.expr) -> Bound:
        assert isinstance(node, COMPREHENSIONS)
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        inside = self._each(parts)
        for generator in reversed(node.generators):
            conditions = self._each(generator.ifs)
            inside = conditions + (inside.maybe() if generator.ifs else inside)
            inside = inside.times(self._lengths.of(generator.iter, self._known)) + self._expression(generator.iter)
        return inside


def _callee(node: ast.Call) -> ast.expr | None:
    """Return what `map(f, ...)` and `h.then(f)` call."""
    name = (
        node.func.id
        if isinstance(node.func, ast.Name)
        else node.func.attr
        if isinstance(node.func, ast.Attribute)
        else ""
    )
    return node.args[0] if name in ("map", "then") and node.args else None


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _continues(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Continue) or any(_continues(below) for below in _statements_below(statement))


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
