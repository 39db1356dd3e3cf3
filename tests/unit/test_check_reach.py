"""The reach: which agents, with which scopes, and how many spawns a script could ask for."""

# Tables of scripts read better unbroken.
# ruff: noqa: E501

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
  c: {description: C., python: "m:c", input: true, output: true, scopes: [usual], default_scopes: [usual]}
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
    (f"for n in {{1, 2}}: {S}", 1, 2),
    (f"ROUNDS = 4\nfor n in range(ROUNDS): {S}", 4, 4),
    (f"ROUNDS = 4\nROUNDS = 5\nfor n in range(ROUNDS): {S}", 0, None),
    (f"L = [1, 2]\nfor n in L: {S}", 2, 2),
    (f"L = [1, 2]\nL.append(3)\nfor n in L: {S}", 2, 3),
    (f"L = [1, 2]\nL.extend(inputs)\nfor n in L: {S}", 0, None),
    (f"L = []\nfor n in range(3):\n  L.append(n)\nfor n in L: {S}", 0, 3),
    (f"L = []\nfor n in L:\n  L.append(n)\n  {S}", 0, None),
    (f"L = [1, 2]\nother(L)\nfor n in L: {S}", 0, None),
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
    (f"match inputs:\n  case 1: {S}\n  case _: {S}", 0, 1),
    (f"with inputs as x: {S}", 1, 1),
    (f"{S}\nif inputs: return 1\n{S}", 1, 2),
    (f"x = lambda: {S}", 0, 0),
    (f"x = lambda: {S}\nx(); x()", 2, 2),
    (f"x = [lambda: {S}]", 0, None),
    (f"def f(): return {S}", 0, 0),
    (f"def f(): return {S}\nf(); f()", 2, 2),
    (f"def f(): return [{S} for n in range(3)]\ndef g(): return f() + f()\ng()", 6, 6),
    (f"def f(n):\n  if n: return f(n - 1)\n  return {S}\nf(3)", 0, None),
    (f"def f(): return {S}\nx = list(map(f, inputs))", 0, None),
    (f"def f():\n  yield {S}\nx = list(f())", 0, 1),
    (f"class A:\n  def f(self): return {S}\nA().f()", 1, 1),
    (f"class A:\n  def f(self): return {S}\n  def g(self): return [self.f() for n in range(3)]\nA().g()", 3, 3),
    (f"class A:\n  def __init__(self): {S}\nA(); A()", 2, 2),
    (f"class A:\n  def f(self): return {S}\nclass B(A):\n  def f(self): return 1\ninputs.f()", 0, 1),
    (f"class A:\n  @property\n  def f(self): return {S}\nA().f", 0, None),
    (f"class A:\n  def __call__(self): return {S}\nA()()", 0, None),
    (f"class A:\n  def f(self): return {S}\nx = A().f", 0, None),
    (f"@twice\ndef f(): return {S}\nf()", 0, None),
    (f"def f():\n  def g(): return {S}\n  return g()\nf()", 1, 1),
    (f"def f(xs): return [{S} for x in xs]\nf([1, 2]); f([1])", 3, 3),
    (f"def f(n): return [{S} for x in range(n)]\nf(2)", 2, 2),
    (f"def f(n):\n  n = n * 9\n  return [{S} for x in range(n)]\nf(2)", 0, None),
    (f"h = {S}\nh.then(lambda x: {S})", 1, 2),
    (f"n = 0\nwhile n < 3:\n  n += 1\n  {S}", 0, 3),
    (f"n = 0\nwhile inputs and n <= 3:\n  {S}\n  n += 2", 0, 2),
    (f"n = 0\nwhile n < 3:\n  if inputs: continue\n  n += 1\n  {S}", 0, None),
    (f"for n in inputs[:4]: {S}", 0, 4),
    (f"for n in zip(inputs, [1, 2]): {S}", 0, 2),
    ("x = list(map(spawn, ['a']))", 0, None),
    (f"for n in range(200): {S}", 100, None),
    (f"for n in range(99): {S}", 99, 99),
]  # fmt: skip


@pytest.mark.parametrize(("source", "least", "most"), COUNTED, ids=[row[0][:60] for row in COUNTED])
def test_spawns_are_bounded_where_the_text_tells_and_unbounded_where_it_does_not(source, least, most):
    found = reach(source)

    assert (found.spawns_at_least, found.spawns_at_most) == (least, most)


VENDORS = 'inputs["vendors"]'
# (script, lower and upper bound as they are told)
TOLD = [
    (f"for v in {VENDORS}: {S}", f"len({VENDORS})", f"len({VENDORS})"),
    (f"vendors = {VENDORS}\nx = [{S} for v in vendors]\ny = [{S} for v in gather(x)]\n{S}", f"2 * len({VENDORS}) + 1", f"2 * len({VENDORS}) + 1"),
    (f"for v in {VENDORS}:\n  for w in inputs['more']: {S}", f'len(inputs["more"]) * len({VENDORS})', f'len(inputs["more"]) * len({VENDORS})'),
    (f"x = [{S} for v in {VENDORS} if v]", "0", f"len({VENDORS})"),
    (f"for n in range(inputs['n']): {S}", 'max(0, inputs["n"])', 'max(0, inputs["n"])'),
    (f"for v in inputs.get('vendors', []): {S}", 'len(inputs.get("vendors", []))', 'len(inputs.get("vendors", []))'),
    (f"for v in inputs.get('vendors') or []: {S}", 'len((inputs.get("vendors") or []))', 'len((inputs.get("vendors") or []))'),
    (f"def wave(xs): return gather([{S} for x in xs])\nwave({VENDORS})", f"len({VENDORS})", f"len({VENDORS})"),
    (f"if inputs: x = [{S} for v in {VENDORS}]\nelse: {S}", "0", f"len({VENDORS}) + 1"),
    (f"{VENDORS}.append(1)\nfor v in {VENDORS}: {S}", "0", "limits.spawns"),
    (f"vs = {VENDORS}\nvs += [1]\nfor v in vs: {S}", "0", "limits.spawns"),
    (f"vs = {VENDORS}\nvs.extend(vs)\nfor v in {VENDORS}: {S}", "0", "limits.spawns"),
    (f"inputs['vendors'] = [1] * 9\nfor v in {VENDORS}: {S}", "0", "limits.spawns"),
    (f"for v in spawn('a').result(): {S}", "1", "limits.spawns"),
    (f"for n in range(200): {S}", "100", "limits.spawns"),
    (f"while True: {S}", "0", "limits.spawns"),
    ("result = 1", "0", "0"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "lower", "upper"), TOLD, ids=[row[0][:60] for row in TOLD])
def test_bounds_that_depend_on_the_inputs_are_told_as_expressions_of_them(source, lower, upper):
    found = reach(source)

    assert (found.spawns_lower, found.spawns_upper) == (lower, upper)


# (script, longest chain; None: unbounded)
CHAINS = [
    ("result = 1", 0),
    (f"{S}; {S}", 1),
    ('a = spawn("a")\nb = spawn("a", {"x": a})\nc = spawn("a", [f"{b}"])', 3),
    (f"x = {S}.result()\n{S}", 2),
    (f"x = [{S} for v in inputs]\ngather(x)\ny = [{S} for v in inputs]", 2),
    (f"for n in range(3):\n  {S}.result()", 3),
    (f"for n in inputs:\n  {S}.result()", None),
    ('h = spawn("a")\nfor n in inputs:\n  h = spawn("a", h)', None),
    ('h = spawn("a")\nfor n in range(4):\n  h = spawn("a", h)', 5),
    (f"hs = [{S} for v in inputs]\nfor h in hs:\n  h.result()\n{S}", 2),
    ('hs = [spawn("a")]\nfor h in as_completed(hs):\n  hs.append(spawn("a"))', None),
    (f"def ask(): return {S}.result()\nask(); ask()", 2),
    ('def f(n): return f(n - 1) if n else spawn("a")\nf(3)', None),
    ('h = spawn("a")\nt = h.then(lambda x: spawn("a", x))\nspawn("a", t)', 3),
    (f"x = {S} if inputs else {S}", 1),
    (f"try:\n  x = {S}.result()\nexcept SpawnError:\n  x = {S}.result()\n{S}", 3),
    ('class A:\n  def ask(self): return spawn("a").result()\na = A()\na.ask(); a.ask()', 2),
    ('class A:\n  def __call__(self): return spawn("a").result()\nA()()', None),
    ("s = spawn", None),
]  # fmt: skip


@pytest.mark.parametrize(("source", "chain"), CHAINS, ids=[row[0][:60] for row in CHAINS])
def test_the_longest_chain_is_what_waits_for_each_other_through_inputs_and_waits(source, chain):
    assert reach(source).longest_chain == chain


@pytest.mark.parametrize(
    ("source", "attempts"),
    [
        (f"{S}; {S}", 2),
        ('spawn("a", retry=2)', 3),
        ('spawn("a", retry=Retry(3))', 4),
        ('spawn("a", retry=Retry())', 2),
        ('spawn("a", retry=2, fallback=["b", "a"])', 9),
        ('for n in range(5): spawn("a", fallback="b")', 10),
        ('spawn("a", retry=inputs["n"])', 6),
        ('for v in inputs: spawn("a", retry=2)', None),
    ],
)
def test_retries_and_fallbacks_make_more_attempts_and_no_more_spawns(source, attempts):
    assert reach(source).attempts_at_most == attempts


@pytest.mark.parametrize(
    ("source", "agents", "dynamic", "scopes"),
    [
        ('gather(spawn("a", scopes=["x"]), spawn("a", scopes=["y", "x"]), spawn("b"))', ("a", "b"), False, {"a": ("x", "y")}),
        ('for n in ("b", "a"): spawn(n, scopes=["x"])', ("b", "a"), False, {"b": ("x",), "a": ("x",)}),
        ('spawn("a", scopes=["y"], fallback="b")', ("a", "b"), False, {"a": ("y",), "b": ("y",)}),
        ('spawn("a", scopes=["y"], fallback=[Fallback("b", scopes=["x"])])', ("a", "b"), False, {"a": ("y",), "b": ("x",)}),
        ('spawn("c")', ("c",), False, {"c": ("usual",)}),
        ('spawn("c", scopes=[])', ("c",), False, {}),
        ('spawn(inputs["x"])', (), True, {}),
        ('spawn("a", fallback=inputs["x"])', ("a",), True, {}),
        ('spawn("a", scopes=inputs["s"])', ("a",), True, {}),
        ('spawn("a", scopes=["x", inputs["s"]])', ("a",), True, {"a": ("x",)}),
        ('spawn("a", scopes=None)', ("a",), False, {}),
        ('spawn("a", **inputs)', ("a",), True, {}),
        ('s = spawn\ns("a")', (), True, {}),
        ('def ask(agent, **options): return spawn(agent, **options)\nask("a", scopes=["x"])\nask("b")', ("a", "b"), False, {"a": ("x",)}),
        ('def ask(agent, scopes=("x",)): return spawn(agent, scopes=scopes)\nask("a")\nask("b", ["y"])', ("a", "b"), False, {"a": ("x",), "b": ("y",)}),
        ('def ask(agent, **options): return spawn(agent, **options)\nask("a", **inputs)', ("a",), True, {}),
        ('class A:\n  def ask(self, agent): return spawn(agent)\nA().ask("a")\nlist(map(A().ask, ["b"]))', ("a", "b"), False, {}),
        ('class A:\n  def ask(self, agent): return spawn(agent)\nA().ask("a")\nlist(map(A().ask, inputs))', ("a",), True, {}),
        ('class A:\n  def __init__(self, name): self.name = name\n  def ask(self): return spawn(self.name)\nA("a").ask(); A(name="b").ask()', ("a", "b"), False, {}),
        ('class A:\n  name = "a"\n  def ask(self): return spawn(self.name)\nclass B(A):\n  name = "b"\nA().ask(); B().ask()', ("a", "b"), False, {}),
        ('class A:\n  def __init__(self, name): self.name = name\n  def ask(self): return spawn(self.name)\nA("a").name = inputs["n"]', (), True, {}),
        ('class A:\n  def __init__(self, name): self.name = name\n  def ask(self): return spawn(self.name)\nsetattr(A("a"), "name", inputs["n"])', (), True, {}),
        ('class A:\n  name: str = "a"\n  def ask(self): return spawn(self.name)\nA().ask()', (), True, {}),
        ('TABLE = {"x": "a", "y": "b"}\nspawn(TABLE[inputs])\nspawn(TABLE.get(inputs, "c"))', ("a", "b", "c"), False, {"c": ("usual",)}),
        ('SCOPES = ["x", "y"]\nspawn("a", scopes=SCOPES)', ("a",), False, {"a": ("x", "y")}),
        ('for name, scopes in [("a", ["x"]), ("b", [])]: spawn(name, scopes=scopes)', ("a", "b"), False, {"a": ("x",), "b": ("x",)}),
    ],
)  # fmt: skip
def test_agents_and_scopes_are_those_that_stand_in_the_text_and_anything_computed_is_dynamic(source, agents, dynamic, scopes):
    found = reach(source)

    assert (found.agents, found.dynamic, found.scopes) == (agents, dynamic, scopes)


def test_a_script_that_does_not_parse_has_no_reach_that_could_be_told():
    assert reach("result = (") == Reach()
