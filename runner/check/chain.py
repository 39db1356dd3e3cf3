"""The longest chain of a script: how many spawns wait for each other at most, one after the other.

A spawn waits for those whose handles stand in its inputs, and for all that the script had waited for before it was
made. So the script is gone through once with a depth for each name instead of a value: a spawn is one deeper than what
it needs, a wait lifts the floor on which later spawns stand. A loop is gone through again until nothing gets deeper;
where it never stops, the chain has no bound. Depths of names only grow, which makes it an upper bound.

Not here: how many spawns there are (counting).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

from runner.check.facts import COMPREHENSIONS
from runner.check.following import Function
from runner.check.lengths import Known, Lengths
from runner.check.sizes import ANY
from runner.check.subject import Subject

# Expressions and statements that are looked at, all rounds of all loops together: a long script takes a tenth.
MAX_STEPS = 60_000
MAX_CALLS = 16
# A loop of so many rounds is gone through round by round, and a longer one until nothing changes.
MAX_ROUNDS = 64
SETTLING_ROUNDS = 8

_WAITS = frozenset({"result", "ok", "error"})
_WAITING_CALLS = frozenset({"gather", "as_completed", "first_ok"})
_PUTTING = frozenset({"append", "add", "extend", "update", "insert", "setdefault", "appendleft", "put"})

# What holds no spawn and no name.
_EMPTY = (ast.Constant, ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)


class _Unbounded(Exception):
    """No bound can be told."""


def longest_chain(subject: Subject) -> int | None:
    """Return how many spawns wait for each other at most, or None where nothing in the text bounds it."""
    if not subject.written:
        return 0
    walk = _Walk(subject)
    try:
        walk.block(subject.reading.tree.body)
        walk.unreached()
    except (_Unbounded, RecursionError):
        return None
    return walk.deepest


class _Walk:
    """Goes through one script. `depths` says of each name how deep the deepest spawn is that it may stand for."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._following = subject.following
        self._lengths = Lengths(subject.reading, lambda uses: ANY)
        self._known = Known()
        self._depths: dict[str, int] = {}
        self._returned: dict[Function, int] = {}
        self._calls: list[Function] = []
        self._entered: set[ast.AST] = set()
        self._below: dict[ast.AST, list[ast.AST]] = {}
        self._steps = MAX_STEPS
        self._floor = 0
        self.deepest = 0

    def unreached(self) -> None:
        """Raise where a spawn stands in a function that is called in a way that was not followed."""
        for spawn in self._subject.written:
            function = spawn.around.function
            if isinstance(function, (ast.FunctionDef, ast.Lambda)) and function not in self._entered:
                uses = self._following.uses(function)
                if uses is None or uses:
                    raise _Unbounded

    # Statements

    def block(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        self._step()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return
        if isinstance(node, ast.ClassDef):
            self.block(node.body)
        elif isinstance(node, ast.Assign):
            self._bind(node.targets, self._depth(node.value))
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
            self._bind([node.target], self._depth(node.value) if node.value else 0)
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self._for(node)
        elif isinstance(node, ast.While):
            self._while(node)
        elif isinstance(node, ast.Return):
            depth = self._depth(node.value) if node.value else 0
            if self._calls:
                function = self._calls[-1]
                self._returned[function] = max(depth, self._returned.get(function, 0))
        else:
            self._others(node)

    def _others(self, node: ast.stmt) -> None:
        """Go through what is left as if all of it ran: branches, handlers and cases only make it deeper."""
        if isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                depth = self._depth(item.context_expr)
                if item.optional_vars is not None:
                    self._bind([item.optional_vars], depth)
        elif isinstance(node, ast.Match):
            depth = self._depth(node.subject)
            for case in node.cases:
                for part in ast.walk(case.pattern):
                    name = getattr(part, "name", None) or getattr(part, "rest", None)
                    if isinstance(name, str):
                        self._deepen(name, depth)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._depth(child)
        for name in ("body", "orelse", "finalbody"):
            self.block(getattr(node, name, ()))
        for inner in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            self.block(inner.body)

    def _while(self, node: ast.While) -> None:
        def once() -> None:
            self._depth(node.test)
            self.block(node.body)

        self._repeat(None, once)
        self.block(node.orelse)

    def _for(self, node: ast.For | ast.AsyncFor) -> None:
        drawn = self._depth(node.iter)
        waits = _is_call(node.iter, "as_completed")

        def once() -> None:
            # What is drawn from may have grown in the body, and as_completed() waits for that too.
            depth = max(drawn, self._held(node.iter))
            if waits:
                self._wait(depth)
            self._bind([node.target], depth)
            self.block(node.body)

        rounds = self._lengths.of(node.iter, self._known).most
        self._repeat(rounds.number if rounds is not None else None, once)
        self.block(node.orelse)

    def _repeat(self, rounds: int | None, once: Callable[[], None]) -> None:
        """Go through a loop until nothing gets deeper. Raises where it never stops and the rounds are not known."""
        most = SETTLING_ROUNDS + len(self._depths) if rounds is None or rounds > MAX_ROUNDS else rounds
        for _ in range(min(most, MAX_ROUNDS)):
            before = self._state()
            once()
            if self._state() == before:
                return
        if rounds is None or rounds > MAX_ROUNDS:
            raise _Unbounded

    def _state(self) -> tuple[int, int, dict[str, int]]:
        return self._floor, self.deepest, dict(self._depths)

    # Names

    def _bind(self, targets: Iterable[ast.expr], depth: int) -> None:
        for target in targets:
            if isinstance(target, ast.Name):
                self._deepen(target.id, depth)
            elif isinstance(target, ast.Attribute):
                self._deepen(f".{target.attr}", depth)
            elif isinstance(target, ast.Subscript):
                # A handle may be the key as well.
                self._bind([target.value], max(depth, self._depth(target.slice)))
            elif isinstance(target, ast.Starred):
                self._bind([target.value], depth)
            elif isinstance(target, (ast.Tuple, ast.List)):
                self._bind(target.elts, depth)

    def _held(self, node: ast.AST) -> int:
        """Return how deep what an expression holds is by now, without running it again."""
        return max((self._depth_of_name(inner) for inner in ast.walk(node)), default=0)

    def _depth_of_name(self, node: ast.AST) -> int:
        if isinstance(node, ast.Name):
            return self._depths.get(node.id, 0)
        return self._depths.get(f".{node.attr}", 0) if isinstance(node, ast.Attribute) else 0

    def _deepen(self, name: str, depth: int) -> None:
        if depth > self._depths.get(name, 0):
            self._depths[name] = depth

    # Expressions

    def _step(self) -> None:
        self._steps -= 1
        if self._steps <= 0:
            raise _Unbounded

    def _depth(self, node: ast.AST) -> int:
        """Return how deep the deepest spawn is that an expression may hold."""
        self._step()
        if isinstance(node, ast.Name):
            return self._depths.get(node.id, 0)
        if isinstance(node, (ast.Constant, ast.Lambda)):
            return 0
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Attribute):
            held = self._depth(node.value)
            if node.attr in _WAITS:
                self._wait(held)
            return max(held, self._depths.get(f".{node.attr}", 0))
        if isinstance(node, ast.NamedExpr):
            depth = self._depth(node.value)
            self._bind([node.target], depth)
            return depth
        if isinstance(node, COMPREHENSIONS):
            return self._comprehension(node)
        # A loop's body is gone through more than once.
        below = self._below.get(node)
        if below is None:
            below = self._below[node] = [n for n in ast.iter_child_nodes(node) if not isinstance(n, _EMPTY)]
        deepest = 0
        for child in below:
            deepest = max(deepest, self._depth(child))
        return deepest

    def _comprehension(self, node: ast.AST) -> int:
        assert isinstance(node, COMPREHENSIONS)
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        depth = 0
        first = self._depth(node.generators[0].iter)
        rounds = self._lengths.of(node, self._known).most if len(node.generators) == 1 else None

        def once() -> None:
            nonlocal depth
            for generator in node.generators:
                outer = generator is node.generators[0]
                self._bind([generator.target], first if outer else self._depth(generator.iter))
                for test in generator.ifs:
                    self._depth(test)
            depth = max([depth, *(self._depth(part) for part in parts)])

        self._repeat(rounds.number if rounds is not None else None, once)
        return depth

    def _call(self, node: ast.Call) -> int:
        held = [self._depth(argument) for argument in (*node.args, *(keyword.value for keyword in node.keywords))]
        given = max(held, default=0)
        function = node.func
        if isinstance(function, ast.Attribute):
            return self._method(node, function, given)
        if not isinstance(function, ast.Name):
            return max(given, self._depth(function))
        if function.id == "spawn":
            return self._spawned(given)
        if function.id in _WAITING_CALLS:
            self._wait(given)
            return given
        if function.id == "map" and node.args:
            return max(given, self._run(self._following.referred(node.args[0]), None, given))
        targets = self._following.targets(node)
        return max(given, self._run(targets, node, given)) if targets else max(given, self._depths.get(function.id, 0))

    def _method(self, node: ast.Call, function: ast.Attribute, given: int) -> int:
        receiver = self._depth(function.value)
        if function.attr in _WAITS:
            self._wait(receiver)
            return receiver
        if function.attr == "then" and node.args:
            # It runs when its handle is there, whatever the script waits for then.
            floor, self._floor = self._floor, max(self._floor, receiver)
            depth = max(receiver, self._run(self._following.referred(node.args[0]), None, receiver))
            self._floor = floor
            return depth
        if function.attr in _PUTTING:
            self._bind([function.value], given)
        targets = self._following.targets(node)
        ran = self._run(targets, node, given) if targets else 0
        return max(receiver, given, ran, self._depths.get(f".{function.attr}", 0))

    def _spawned(self, given: int) -> int:
        depth = max(self._floor, given) + 1
        self.deepest = max(self.deepest, depth)
        return depth

    def _wait(self, depth: int) -> None:
        self._floor = max(self._floor, depth)

    def _run(self, targets: tuple[Function, ...], node: ast.Call | None, given: int) -> int:
        """Go through the functions that a call may run, and return how deep what they give back is."""
        deepest = 0
        for function in targets:
            if function in self._calls or len(self._calls) >= MAX_CALLS:
                if function in self._subject.spawning:
                    raise _Unbounded
                continue
            self._pass(function, node, given)
            self._entered.add(function)
            self._calls.append(function)
            if isinstance(function, ast.Lambda):
                self._returned[function] = max(self._depth(function.body), self._returned.get(function, 0))
            else:
                self.block(function.body)
            self._calls.pop()
            deepest = max(deepest, self._returned.get(function, 0))
            if function in self._subject.reading.generators:
                # What it yields is not told apart.
                deepest = max(deepest, self.deepest)
        return deepest

    def _pass(self, function: Function, node: ast.Call | None, given: int) -> None:
        names = [one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
        named = self._following.site(function, node).given if node is not None else {}
        for name in names:
            depth = self._depth(named[name]) if name in named and isinstance(named[name], ast.Name) else given
            self._deepen(name, depth)
        for extra in (function.args.vararg, function.args.kwarg):
            if extra is not None:
                self._deepen(extra.arg, given)


def _is_call(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
