"""Rules on loops that nothing in the text ends: they spawn until the limit, or wait for a clock that stands still.

A bound is whatever the text shows: a comparison of numbers in the loop's test or before its `break`, or a list that
the loop takes from. All of them warn.

Not here: how many spawns a loop makes (counting).
"""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections.abc import Iterator

from runner.check.facts import Reading
from runner.check.following import Function
from runner.check.subject import Subject
from runner.models import Finding

_TAKING = frozenset({"pop", "popleft", "popitem", "remove", "discard", "clear"})
_ENDLESS = frozenset({"count", "cycle", "repeat"})
_CLOCK = frozenset({"time", "monotonic", "perf_counter", "now", "utcnow", "today", "time_ns", "monotonic_ns"})
_WAITING = frozenset({"result", "ok", "error", "sleep"})
_WAITING_CALLS = frozenset({"gather", "as_completed", "first_ok", "sleep"})


def endless_spawn(subject: Subject) -> Iterator[Finding]:
    message = "nothing in the text ends this loop: it may spawn until the run's limit"
    fix = "count the rounds: `for attempt in range(5):`, with a `break` when it is done"
    for loop in subject.reading.whiles:
        if _spawns_on_lines(subject, loop) and not _bounded(loop):
            yield subject.finding("endless-spawn", loop, message, fix, warning=True)
    for each, owner in subject.reading.fors:
        if not isinstance(each, ast.For) or not (_is_endless(subject.reading, each.iter) or _feeds_itself(each)):
            continue
        if _spawns_on_lines(subject, owner) and not _ends_counted(each):
            yield subject.finding("endless-spawn", each, message, fix, warning=True)


def _feeds_itself(loop: ast.For) -> bool:
    """Say whether each round of a loop over `as_completed(handles)` appends to these handles, whatever comes."""
    over = loop.iter
    follows = isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and over.func.id == "as_completed"
    if not follows or not isinstance(over, ast.Call) or not over.args or not isinstance(over.args[0], ast.Name):
        return False
    if any(isinstance(node, ast.Continue) for one in loop.body for node in ast.walk(one)):
        return False
    for one in loop.body:
        call = one.value if isinstance(one, ast.Expr) else None
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        if call.func.attr in ("append", "add") and _own_name(call.func.value) == over.args[0].id:
            return True
    return False


def _ends_counted(loop: ast.For) -> bool:
    """Say whether a number that moves ends a loop over something endless, such as the count itself."""
    counted = _counted(loop.body) | _roots(loop.target)
    return any(_is_counted(test, counted) for test in _ending_tests(loop.body))


def _spawns_on_lines(subject: Subject, loop: ast.AST) -> bool:
    """Say whether a spawn, or a call of a function that spawns, stands on the lines of a loop."""
    lines = subject.once("spawning lines", None, lambda: _spawning_lines(subject))
    first = bisect_left(lines, getattr(loop, "lineno", 0))
    return first < len(lines) and lines[first] <= getattr(loop, "end_lineno", 0)


def _spawning_lines(subject: Subject) -> list[int]:
    found = {spawn.node.lineno for spawn in subject.written}
    for function in subject.spawning:
        found.update(use.node.lineno for use in subject.following.uses(function) or ())
    return sorted(found)


def _bounded(loop: ast.While) -> bool:
    """Say whether the text shows what ends the loop."""
    tests = _ending_tests(loop.body)
    if not isinstance(loop.test, ast.Constant):
        tests.append(loop.test)
    counted, taken = _counted(loop.body), _taken(loop.body)
    return any(_is_counted(test, counted) or taken & _roots(test) for test in tests)


def _ending_tests(body: list[ast.stmt]) -> list[ast.expr]:
    """Return the tests that a break, return or raise stands below."""
    return [
        node.test
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.If) and (_leaves(node.body) or _leaves(node.orelse))
    ]


def _is_counted(test: ast.expr, counted: set[str]) -> bool:
    """Say whether a test compares a number that moves with each round: a counter, a length, the clock, the limits."""
    for node in ast.walk(test):
        if isinstance(node, ast.Name) and node.id == "limits":
            return True
        if isinstance(node, ast.Compare):
            sized = any(_is_clock(one) or _is_length(one) for one in ast.walk(node))
            if sized or counted & _roots(node):
                return True
    return False


def _is_length(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len"


def _roots(node: ast.AST) -> set[str]:
    """Return the names and attributes in an expression."""
    found = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return found | {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}


def _counted(body: list[ast.stmt]) -> set[str]:
    """Return the names and attributes that each round adds to, or takes from."""
    found: set[str] = set()
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.AugAssign) and isinstance(node.op, (ast.Add, ast.Sub)):
                found |= {_own_name(node.target)}
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and len(node.targets) == 1:
                name = _own_name(node.targets[0])
                found |= {name} & _roots(node.value)
    return found - {""}


def _taken(body: list[ast.stmt]) -> set[str]:
    """Return the names and attributes of lists that a round takes from, or filters."""
    found: set[str] = set()
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Attribute) and node.attr in _TAKING:
                found.add(_own_name(node.value))
            elif isinstance(node, ast.Call) and node.args and "heappop" in _roots(node.func):
                found.add(_own_name(node.args[0]))
            elif isinstance(node, ast.Delete):
                found.update(_own_name(one.value) for one in node.targets if isinstance(one, ast.Subscript))
            elif isinstance(node, ast.Assign):
                found.update(name for target, name in _filtered(node) if target == name)
    return found - {""}


def _filtered(node: ast.Assign) -> Iterator[tuple[str, str]]:
    """Yield the name that is bound, and the list it is a slice of or filtered from."""
    pairs = [(target, node.value) for target in node.targets]
    if len(node.targets) == 1 and isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
        pairs = list(zip(node.targets[0].elts, node.value.elts, strict=False))
    for target, value in pairs:
        if isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Slice):
            yield _own_name(target), _own_name(value.value)
        elif isinstance(value, (ast.ListComp, ast.DictComp, ast.SetComp)) and value.generators[0].ifs:
            for name in _roots(value.generators[0].iter):
                yield _own_name(target), name


def _own_name(node: ast.expr) -> str:
    while isinstance(node, ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _root_name(node: ast.expr) -> str:
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _leaves(body: list[ast.stmt]) -> bool:
    return any(isinstance(node, (ast.Break, ast.Return, ast.Raise)) for one in body for node in ast.walk(one))


def _is_endless(reading: Reading, over: ast.expr) -> bool:
    if not isinstance(over, ast.Call):
        return False
    name = (
        over.func.attr
        if isinstance(over.func, ast.Attribute)
        else over.func.id
        if isinstance(over.func, ast.Name)
        else ""
    )
    return name in _ENDLESS and not (name == "repeat" and len(over.args) > 1) and name not in reading.functions


# A loop on time


def loop_on_time(subject: Subject) -> Iterator[Finding]:
    message = "the clock moves only while the script waits: this loop never ends"
    fix = "wait inside the loop, with `sleep(1)`, gather() or result()"
    for loop in subject.reading.whiles:
        if _asks_for_time(loop) and not _may_wait(subject, loop):
            yield subject.finding("loop-on-time", loop, message, fix, warning=True)


def _asks_for_time(loop: ast.While) -> bool:
    """Say whether the test, or a test that leaves the loop, compares with what the clock says."""
    tests = [loop.test] if not isinstance(loop.test, ast.Constant) else []
    if not tests:
        tests = [
            node.test for one in loop.body for node in ast.walk(one) if isinstance(node, ast.If) and _leaves(node.body)
        ]
    return len(tests) == 1 and any(_is_clock(node) for node in ast.walk(tests[0]))


def _is_clock(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or node.args:
        return False
    if isinstance(node.func, ast.Attribute):
        return node.func.attr in _CLOCK and _root_name(node.func) in ("time", "datetime", "date", "dt")
    return isinstance(node.func, ast.Name) and node.func.id in ("time", "monotonic", "perf_counter")


def _may_wait(subject: Subject, loop: ast.While) -> bool:
    """Say whether anything in the loop may wait, or end it; what cannot be followed may."""
    open_: list[ast.AST] = [loop.test, *loop.body]
    seen: set[Function] = set()
    while open_:
        for node in ast.walk(open_.pop()):
            if isinstance(node, (ast.Break, ast.Return, ast.Raise)) and not isinstance(loop.test, ast.Constant):
                return True
            if isinstance(node, ast.Attribute) and node.attr in _WAITING:
                return True
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id in _WAITING_CALLS:
                return True
            targets = subject.following.targets(node)
            if not targets and subject.reading.counts[node.func.id] and node.func.id not in _CLOCK:
                return True
            open_.extend(one for one in targets if one not in seen)
            seen.update(targets)
    return False
