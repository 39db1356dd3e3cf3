"""The reach: which agents, with which scopes, and how many spawns a script could ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.check import check
from runner.models import Reach, Script
from runner.policy import load_policy_text

POLICY = load_policy_text(
    """
version: 1
limits: {spawns: 100}
agents:
  a: {description: A., python: "m:a", input: true, output: true, scopes: [x, y, z]}
  b: {description: B., python: "m:b", input: true, output: true, scopes: [x]}
""",
    folder=Path("."),
    name="test",
)
S = 'spawn("a")'


def reach(source: str) -> Reach:
    return check(Script("test", source.encode()), POLICY).reach


# (script, at least, at most; None: no bound below the policy's)
COUNTED = [
    ("result = 1", 0, 0),
    (S, 1, 1),
    (f"{S}; {S}", 2, 2),
    (f"x = [{S}, {{'k': {S}}}, ({S},)]", 3, 3),
    (f"if inputs: {S}", 0, 1),
    (f"if inputs: {S}\nelse:\n  {S}; {S}", 1, 2),
    (f"x = {S} if inputs else None", 0, 1),
    (f"x = inputs or {S}", 0, 1),
    (f"x = {S} or {S}", 1, 2),
    (f"for n in range(3): {S}", 3, 3),
    (f"for n in range(2, 11, 3): {S}", 3, 3),
    (f"for n in range(5, 0, -2): {S}", 3, 3),
    (f"for n in range(-3): {S}", 0, 0),
    (f"for n in [1, 2]:\n  for m in (1, 2, 3): {S}", 6, 6),
    (f"for n in {{1, 2}}: {S}", 0, None),
    (f"ROUNDS = 4\nfor n in range(ROUNDS): {S}", 4, 4),
    (f"ROUNDS = 4\nROUNDS = 5\nfor n in range(ROUNDS): {S}", 0, None),
    (f"L = [1, 2]\nfor n in L: {S}", 2, 2),
    (f"L = [1, 2]\nL.append(3)\nfor n in L: {S}", 0, None),
    (f"for n, m in enumerate([1, 2]): {S}", 2, 2),
    (f"for n in inputs: {S}", 0, None),
    (f"for n in [1, 2]:\n  if inputs: break\n  {S}", 0, 2),
    (f"while inputs: {S}", 0, None),
    ("while inputs: print(1)", 0, 0),
    (f"x = [{S} for n in range(3)]", 3, 3),
    (f"x = [{S} for n in range(3) if n in inputs]", 0, 3),
    (f"x = [{S} for n in range(3) for m in range(2)]", 6, 6),
    (f"x = {{n: {S} for n in range(3)}}", 3, 3),
    (f"x = ({S} for n in range(3))", 0, 3),
    (f"x = gather({S} for n in range(3))", 3, 3),
    (f"try:\n  {S}\nexcept Exception:\n  {S}", 1, 2),
    (f"try:\n  {S}\nfinally:\n  {S}", 2, 2),
    (f"match inputs:\n  case 1: {S}\n  case _: {S}", 0, 2),
    (f"with inputs as x: {S}", 1, 1),
    (f"{S}\nif inputs: return 1\n{S}", 1, 2),
    (f"x = lambda: {S}", 0, None),
    (f"def f(): return {S}", 0, 0),
    (f"def f(): return {S}\nf(); f()", 2, 2),
    (f"def f(): return [{S} for n in range(3)]\ndef g(): return f() + f()\ng()", 6, 6),
    (f"def f(n):\n  if n: return f(n - 1)\n  return {S}\nf(3)", 0, None),
    (f"def f(): return {S}\nx = list(map(f, inputs))", 0, None),
    (f"def f():\n  yield {S}\nx = list(f())", 0, None),
    (f"class A:\n  def f(self): return {S}\nA().f()", 0, None),
    (f"def f():\n  def g(): return {S}\n  return g()\nf()", 0, None),
    ("x = list(map(spawn, ['a']))", 0, None),
    (f"for n in range(200): {S}", 100, None),
    (f"for n in range(99): {S}", 99, 99),
]  # fmt: skip


@pytest.mark.parametrize(("source", "least", "most"), COUNTED, ids=[row[0][:60] for row in COUNTED])
def test_spawns_are_bounded_where_the_text_tells_and_unbounded_where_it_does_not(source, least, most):
    found = reach(source)

    assert (found.spawns_at_least, found.spawns_at_most) == (least, most)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('gather(spawn("a", scopes=["x"]), spawn("a", scopes=["y", "x"]), spawn("b"))',
         Reach(("a", "b"), False, {"a": ("x", "y")}, 3, 3)),
        ('for n in ("b", "a"): spawn(n, scopes=["x"])', Reach(("b", "a"), False, {"b": ("x",), "a": ("x",)}, 2, 2)),
        ('spawn(inputs["x"])', Reach((), True, {}, 1, 1)),
        ('spawn("a", scopes=inputs["s"])', Reach(("a",), True, {}, 1, 1)),
        ('spawn("a", scopes=["x", inputs["s"]])', Reach(("a",), True, {"a": ("x",)}, 1, 1)),
        ('spawn("a", scopes=None)', Reach(("a",), False, {}, 1, 1)),
        ('spawn("a", **inputs)', Reach(("a",), True, {}, 1, 1)),
        ('s = spawn\ns("a")', Reach((), True, {}, 0, None)),
        ("result = (", Reach()),
    ],
)  # fmt: skip
def test_agents_and_scopes_are_those_that_stand_in_the_text_and_anything_computed_is_dynamic(source, expected):
    assert reach(source) == expected
