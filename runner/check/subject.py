"""What a rule looks at: one script's facts and one policy; and the spawns, with their parts named.

A spawn inside of a function that takes its agent, inputs or options as parameters is seen once for each call of that
function, with what stands there in their place.

Not here: which function a call reaches (following), what an expression is (literals, handles).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from runner.check.facts import ApiCall, Around, Reading, Use
from runner.check.following import Following, Function, Site, defaults
from runner.check.handles import Handles
from runner.check.literals import NOTHING_GIVEN, Given, dict_of, items, looped_items, texts
from runner.models import Finding, Severity
from runner.policy.model import AgentEntry, Policy

T = TypeVar("T")

# As many characters of the script as a finding repeats.
MAX_TEXT = 120
MAX_MESSAGE = 600
# Functions that call functions that spawn, and spawns seen through them: more than any script has.
MAX_LEVELS = 4
MAX_SEEN = 1_000


@dataclass(frozen=True, slots=True)
class Scopes:
    """The scopes that an expression asks for. `left_out`: it asks for the agent's default."""

    written: tuple[tuple[ast.expr, str], ...] = ()
    computed: bool = False
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class FallbackCall:
    """One agent of `fallback=`. `names` are None when it is computed."""

    node: ast.expr
    names: tuple[str, ...] | None
    scopes: Scopes | None
    """None: those of the spawn."""


@dataclass(frozen=True, slots=True)
class SpawnCall:
    """One `spawn(...)` of the text. A part that is not written, or comes through `*` or `**`, is None."""

    node: ast.Call
    around: Around
    parent: ast.AST | None
    agent: ast.expr | None
    inputs: ast.expr | None
    options: dict[str, ast.expr]
    """The keywords, but for agent and inputs."""
    open: bool
    """Some arguments come through `*` or `**`."""
    names: tuple[str, ...] | None
    """Every agent that this can be, or None when that is computed."""
    given: Given = field(default_factory=lambda: NOTHING_GIVEN)
    """What stands for the parameters of the function around, at the call through which this is seen."""


class Subject:
    """A script and a policy. Facts are derived once, when a rule first asks."""

    def __init__(self, reading: Reading, policy: Policy) -> None:
        self.reading = reading
        self.policy = policy
        self.following = Following(reading)
        self.handles = Handles(reading, self.following)
        self.appends_counted = 0
        """How many lists were looked into, how often they are appended to: each costs a walk over the script."""

    @cached_property
    def written(self) -> list[SpawnCall]:
        """Each `spawn(...)` of the text, once."""
        return [self._spawn(call) for call in self.reading.calls if call.name == "spawn"]

    @cached_property
    def spawning(self) -> set[Function]:
        """The functions that spawn, themselves or through others that they call."""
        found: set[Function] = set()
        open_ = [spawn.around.function for spawn in self.written]
        while open_:
            function = open_.pop()
            if isinstance(function, (ast.FunctionDef, ast.Lambda)) and function not in found:
                found.add(function)
                open_.extend(use.around.function for use in self.following.uses(function) or ())
        return found

    @cached_property
    def spawns(self) -> list[SpawnCall]:
        """Each spawn as it is seen through the functions that make it."""
        found: list[SpawnCall] = []
        for spawn in self.written:
            found.extend(self._seen(spawn, spawn.around.function, MAX_LEVELS) if len(found) < MAX_SEEN else [spawn])
        return found

    def once(self, what: str, node: ast.AST | None, look: Callable[[], T]) -> T:
        """Return what `look` finds about a node, and look only once."""
        key = what, node
        if key not in self.reading.memo:
            self.reading.memo[key] = look()
        found: T = self.reading.memo[key]
        return found

    def use_of(self, attribute: ast.Attribute) -> Use:
        """Return the use of an attribute that is read."""
        uses = self.once(
            "attribute uses",
            None,
            lambda: {use.node: use for found in self.reading.attributes.values() for use in found},
        )
        return uses[attribute]

    def entries(self, spawn: SpawnCall) -> list[AgentEntry]:
        """Return the policy's entries of the agents that this spawn can be of."""
        return self.listed(spawn.names)

    def listed(self, names: tuple[str, ...] | None) -> list[AgentEntry]:
        return [self.policy.agents[name] for name in names or () if name in self.policy.agents]

    def scopes(self, spawn: SpawnCall) -> Scopes:
        """Return the scopes that a spawn asks for."""
        node = spawn.options.get("scopes")
        if node is None:
            return Scopes(computed=spawn.open, left_out=not spawn.open)
        return self._scopes(node)

    def fallbacks(self, spawn: SpawnCall) -> list[FallbackCall]:
        """Return the agents of `fallback=`, in order."""
        node = spawn.options.get("fallback")
        if node is None or (isinstance(node, ast.Constant) and node.value is None):
            return []
        meant = self._meant(node)
        if isinstance(meant, (ast.List, ast.Tuple)):
            return [self._fallback(one) for one in meant.elts]
        return [self._fallback(meant)]

    def finding(
        self, rule: str, node: ast.AST, message: str, fix: str, *, warning: bool = False, name: str = ""
    ) -> Finding:
        """Return a finding at a node, or at a `name` that the node begins to bind on its first line."""
        line, column, text = self.reading.segment(node)
        if name and (at := text.find(name)) >= 0:
            column, text = column + at, name
        severity = Severity.WARNING if warning else Severity.ERROR
        # A name may hold an escaped lone surrogate, which no journal can carry.
        return Finding(rule, severity, line, column, text[:MAX_TEXT], _encodable(message), _encodable(fix))

    # One spawn

    def _spawn(self, call: ApiCall) -> SpawnCall:
        node = call.node
        open_ = any(isinstance(argument, ast.Starred) for argument in node.args)
        positional = [] if open_ else node.args
        options = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg is not None}
        for keyword in node.keywords:
            if keyword.arg is None:
                known = self._spread(keyword.value)
                options.update(known or {})
                open_ = open_ or known is None
        agent = positional[0] if positional else options.pop("agent", None)
        inputs = positional[1] if len(positional) > 1 else options.pop("inputs", None)
        names = self._texts(agent)
        return SpawnCall(node, call.around, call.parent, agent, inputs, options, open_, names)

    def _texts(self, node: ast.expr | None) -> tuple[str, ...] | None:
        """Return every text that an expression can be, attributes of the script's own objects included."""
        own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
        if not own or not isinstance(node, ast.Attribute):
            return texts(node, self.reading)
        key = "kept", node.attr
        if key not in self.reading.memo:
            self.reading.memo[key] = self._kept(node.attr)
        found: tuple[str, ...] | None = self.reading.memo[key]
        return found

    def _kept(self, attribute: str) -> tuple[str, ...] | None:
        """Return the texts that an attribute holds: constants, and what constructors were given."""
        values = self.reading.kept.get(attribute)
        if not values or "setattr" in self.reading.uses:
            return None
        found: dict[str, None] = {}
        for value, function in sorted(values, key=lambda pair: getattr(pair[0], "lineno", 0)):
            for one in self._given_to(value, function):
                known = texts(one, self.reading)
                if known is None:
                    return None
                found.update(dict.fromkeys(known))
        return tuple(found)

    def _given_to(self, value: ast.expr | None, function: ast.AST | None) -> list[ast.expr | None]:
        """Return what a value is at each call of the function around, if it is a parameter; else the value."""
        plain = isinstance(function, ast.FunctionDef) and isinstance(value, ast.Name)
        if not plain or not isinstance(function, ast.FunctionDef) or not isinstance(value, ast.Name):
            return [value]
        if value.id not in _parameters(function) or value.id in self._stored(function):
            return [value]
        left_out = defaults(function).get(value.id)
        sites = self.following.sites(function)
        return (
            [None] if sites is None else [None if site.open else site.given.get(value.id, left_out) for site in sites]
        )

    def _spread(self, node: ast.expr) -> dict[str, ast.expr] | None:
        """Return the keywords of `**node`, where they stand in the text."""
        table = dict_of(node, self.reading)
        if table is None or not all(isinstance(key, ast.Constant) and isinstance(key.value, str) for key in table.keys):
            return None
        return {key.value: value for key, value in zip(table.keys, table.values, strict=True)}  # type: ignore[union-attr]

    def _meant(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Name):
            value = self.reading.value(node.id)
            if isinstance(value, (ast.Constant, ast.Call, ast.List, ast.Tuple)):
                return value if not isinstance(value, ast.List) or items(node, self.reading) is not None else node
        return node

    def _fallback(self, node: ast.expr) -> FallbackCall:
        meant = self._meant(node)
        if isinstance(meant, ast.Call) and isinstance(meant.func, ast.Name) and meant.func.id == "Fallback":
            named = {keyword.arg: keyword.value for keyword in meant.keywords}
            agent = meant.args[0] if meant.args else named.get("agent", meant)
            scopes = self._scopes(named["scopes"]) if "scopes" in named else None
            plain = scopes is not None and scopes.left_out
            return FallbackCall(agent, texts(agent, self.reading), None if plain else scopes)
        return FallbackCall(node, texts(node, self.reading), None)

    def _scopes(self, node: ast.expr) -> Scopes:
        if isinstance(node, ast.Constant) and node.value is None:
            return Scopes(left_out=True)
        if isinstance(node, ast.IfExp):
            either, other = self._scopes(node.body), self._scopes(node.orelse)
            return Scopes(either.written + other.written, either.computed or other.computed)
        elements = items(node, self.reading)
        if elements is None and isinstance(node, ast.Name):
            return self._looped_scopes(node.id)
        if elements is None:
            written = node.elts if isinstance(node, (ast.List, ast.Tuple, ast.Set)) else []
            return Scopes(tuple(self._scope_texts(written)), computed=True)
        found = tuple(self._scope_texts(elements))
        return Scopes(found, computed=len({id(one) for one, _ in found}) != len(elements))

    def _looped_scopes(self, name: str) -> Scopes:
        rounds = looped_items(name, self.reading)
        if rounds is None:
            return Scopes(computed=True)
        found = [self._scopes(one) for one in rounds]
        return Scopes(tuple(pair for one in found for pair in one.written), any(one.computed for one in found))

    def _scope_texts(self, elements: list[ast.expr]) -> Iterator[tuple[ast.expr, str]]:
        for element in elements:
            for text in texts(element, self.reading) or ():
                yield element, text

    # One spawn, seen through the calls of the function around it

    def _seen(self, spawn: SpawnCall, function: ast.AST | None, levels: int) -> list[SpawnCall]:
        if not isinstance(function, (ast.FunctionDef, ast.Lambda)) or levels == 0:
            return [spawn]
        parameters = _parameters(function)
        names = _names_in(spawn)
        if not names & parameters or not names & (parameters := parameters - self._stored(function)):
            return [spawn]
        sites = self.following.sites(function)
        if not sites:
            return [spawn]
        found: list[SpawnCall] = []
        for site in sites:
            there = self._substituted(spawn, function, site, parameters, first=levels == MAX_LEVELS)
            around = site.use.around.function if site.use else None
            found.extend(self._seen(there, around, levels - 1))
            if len(found) > MAX_SEEN:
                return [spawn]
        return found

    def _substituted(
        self, spawn: SpawnCall, function: Function, site: Site, parameters: set[str], *, first: bool
    ) -> SpawnCall:
        given = {name: value for name, value in site.given.items() if name in parameters}
        if not site.open:
            given = {name: value for name, value in defaults(function).items() if name in parameters} | given

        def put(node: ast.expr | None) -> ast.expr | None:
            return given.get(node.id, node) if isinstance(node, ast.Name) else node

        options = {name: put(value) or value for name, value in spawn.options.items()}
        inner: Given = given if first else {name: put(value) or value for name, value in spawn.given.items()}
        open_ = spawn.open
        if open_ and self._only_spreads(spawn.node, function) and not site.open:
            options.update(site.extra)
            open_ = False
        agent = put(spawn.agent) or options.pop("agent", None)
        inputs = put(spawn.inputs) or options.pop("inputs", None)
        names = texts(agent, self.reading) if agent is not spawn.agent else spawn.names
        if inputs is not spawn.inputs:
            inner = NOTHING_GIVEN
        return replace(spawn, agent=agent, inputs=inputs, options=options, open=open_, names=names, given=inner)

    def _only_spreads(self, node: ast.Call, function: Function) -> bool:
        """Say whether all that comes through `*` or `**` is the `**options` of the function around."""
        own = function.args.kwarg.arg if function.args.kwarg else ""
        spread = [keyword.value for keyword in node.keywords if keyword.arg is None]
        plain = all(isinstance(one, ast.Name) and one.id == own for one in spread)
        return (
            plain and not any(isinstance(one, ast.Starred) for one in node.args) and own not in self._changed(function)
        )

    def _stored(self, function: Function) -> set[str]:
        names = (node for node in ast.walk(function) if isinstance(node, ast.Name))
        return self.once("stored", function, lambda: {one.id for one in names if not isinstance(one.ctx, ast.Load)})

    def _changed(self, function: Function) -> set[str]:
        """Return the names of dicts that a function may change: those it does more with than spread them."""

        def look() -> set[str]:
            nodes = list(ast.walk(function))
            spread = {keyword.value for node in nodes if isinstance(node, ast.Call) for keyword in node.keywords}
            return {node.id for node in nodes if isinstance(node, ast.Name) and node not in spread}

        return self.once("changed", function, look)


def _parameters(function: Function) -> set[str]:
    told = function.args
    found = {one.arg for one in (*told.posonlyargs, *told.args, *told.kwonlyargs)}
    return found | ({told.kwarg.arg} if told.kwarg else set())


def _names_in(spawn: SpawnCall) -> set[str]:
    """Return the names that stand in a spawn where a parameter would be looked through."""
    parts = [spawn.agent, spawn.inputs, *spawn.options.values()]
    spread = [keyword.value for keyword in spawn.node.keywords if keyword.arg is None] if spawn.open else []
    found = {part.id for part in (*parts, *spread) if isinstance(part, ast.Name)}
    if isinstance(spawn.inputs, ast.Dict) and not spawn.given:
        found |= {value.id for value in spawn.inputs.values if isinstance(value, ast.Name)}
    return found


def _encodable(text: str) -> str:
    return text[:MAX_MESSAGE].encode("utf-8", "backslashreplace").decode()


def named(names: list[str] | tuple[str, ...], most: int = 10) -> str:
    """Return names in quotes for a message, or "none"."""
    shown = ", ".join(f'"{name}"' for name in names[:most])
    return f"{shown}, ..." if len(names) > most else shown or "none"
