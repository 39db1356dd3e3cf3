"""The rules that know the policy and the API, one small function each; `RULES` is all of them.

A rule yields findings and never raises. An error is what the guest or the policy would refuse for certain, or what
would make the check read something else than what runs; anything less is a warning.

Not here: the dialect's own rules (guest.dialect), inputs against schemas (inputs).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from difflib import get_close_matches

from runner.check.inputs import inputs_break_schema
from runner.check.signatures import API_NAMES, HIDING, ON_ERROR, SHAPES
from runner.check.subject import SpawnCall, Subject, named
from runner.models import Finding

Rule = Callable[[Subject], Iterator[Finding]]


def agent_not_in_policy(subject: Subject) -> Iterator[Finding]:
    agents = subject.policy.agents
    for spawn in subject.spawns:
        for name in spawn.names or ():
            if name not in agents and spawn.agent is not None:
                close = get_close_matches(name, agents, n=1)
                lists = f"the policy lists {named(list(agents))}"
                fix = f'did you mean "{close[0]}"? {lists}' if close else lists
                yield subject.finding("agent-not-in-policy", spawn.agent, f'agent "{name}" is not in the policy', fix)


def scopes_not_granted(subject: Subject) -> Iterator[Finding]:
    for spawn in subject.spawns:
        for node, scope in literal_scopes(spawn):
            for entry in subject.entries(spawn):
                if scope not in entry.scopes:
                    message = (
                        f'agent "{entry.name}" is asked with scope "{scope}"; '
                        f"the policy grants {named(sorted(entry.scopes))}"
                    )
                    close = get_close_matches(scope, entry.scopes, n=1)
                    fix = f'did you mean "{close[0]}"?' if close else f'remove "{scope}"'
                    yield subject.finding("scopes-not-granted", node, message, fix)


def literal_scopes(spawn: SpawnCall) -> Iterator[tuple[ast.expr, str]]:
    """Yield the scopes that stand in the text, each with its node."""
    scopes = spawn.options.get("scopes")
    if isinstance(scopes, (ast.List, ast.Tuple, ast.Set)):
        for element in scopes.elts:
            if isinstance(element, ast.Constant) and isinstance(element.value, str):
                yield element, element.value


def timeout_beyond_cap(subject: Subject) -> Iterator[Finding]:
    for spawn in subject.spawns:
        node = spawn.options.get("timeout")
        asked = node.value if isinstance(node, ast.Constant) else None
        # A whole number may be far beyond what can be written out.
        if node is None or isinstance(asked, bool) or not isinstance(asked, (int, float)) or not asked < 1e12:
            continue
        for entry in subject.entries(spawn):
            if asked > entry.max_timeout_seconds:
                most = f"{entry.max_timeout_seconds:g}"
                message = f'agent "{entry.name}" may take {most} s at most; asked {str(asked)[:20]} s'
                yield subject.finding("timeout-beyond-cap", node, message, f"write timeout={most}, or leave it out")


def unknown_keyword(subject: Subject) -> Iterator[Finding]:
    for call in subject.reading.calls:
        shape = SHAPES.get(call.name)
        if shape is None or shape.any_keyword:
            continue
        for keyword in call.node.keywords:
            if keyword.arg is not None and keyword.arg not in shape.keywords:
                close = get_close_matches(keyword.arg, shape.keywords, n=1)
                fix = f"did you mean {close[0]}=?" if close else f"known here: {', '.join(shape.keywords) or 'none'}"
                message = f'{call.name}() has no keyword "{keyword.arg}"'
                yield subject.finding("unknown-keyword", keyword, message, fix)


def wrong_arguments(subject: Subject) -> Iterator[Finding]:
    for call in subject.reading.calls:
        shape = SHAPES.get(call.name)
        if shape is None or any(isinstance(argument, ast.Starred) for argument in call.node.args):
            continue
        takes = ", ".join(shape.positional) or "nothing"
        if len(call.node.args) > len(shape.positional) and not shape.any_positional:
            extra = call.node.args[len(shape.positional)]
            keywords = [f"{name}=" for name in shape.keywords if name not in shape.positional]
            fix = f"write it as a keyword: {', '.join(keywords)}" if keywords else "remove it"
            yield subject.finding("wrong-arguments", extra, f"{call.name}() takes {takes} without a keyword", fix)
            continue
        given = {keyword.arg for keyword in call.node.keywords}
        missing = [name for name in shape.required[len(call.node.args) :] if name not in given]
        if missing and None not in given:
            message = f"{call.name}() takes {takes}; {missing[0]} is missing"
            yield subject.finding("wrong-arguments", call.node, message, f"add {missing[0]}")


def wrong_option(subject: Subject) -> Iterator[Finding]:
    for spawn in subject.spawns:
        yield from _wrong_spawn_options(subject, spawn)
    for call in subject.reading.calls:
        for keyword in call.node.keywords:
            written = keyword.value.value if isinstance(keyword.value, ast.Constant) else "none"
            if call.name == "gather" and keyword.arg == "on_error" and written not in ON_ERROR:
                message = f"on_error= is one of {named(ON_ERROR)}"
                close = get_close_matches(written, ON_ERROR, n=1) if isinstance(written, str) else []
                fix = f'write on_error="{close[0] if close else "none"}"'
                yield subject.finding("wrong-option", keyword.value, message, fix)


def _wrong_spawn_options(subject: Subject, spawn: SpawnCall) -> Iterator[Finding]:
    scopes = spawn.options.get("scopes")
    if isinstance(scopes, ast.Constant) and isinstance(scopes.value, str):
        message = "scopes= takes a list of texts"
        yield subject.finding("wrong-option", scopes, message, f"write scopes=[{scopes.value!r}]"[:200])
    timeout = spawn.options.get("timeout")
    if isinstance(timeout, ast.Constant) and timeout.value is not None and not _positive(timeout.value):
        message = "timeout= takes seconds above 0, as a number"
        yield subject.finding("wrong-option", timeout, message, "write for example timeout=60, or leave it out")
    if isinstance(spawn.agent, ast.Constant) and not isinstance(spawn.agent.value, str):
        agents = named(list(subject.policy.agents))
        yield subject.finding(
            "wrong-option", spawn.agent, "spawn() takes the name of an agent first", f"one of {agents}"
        )


def _positive(value: object) -> bool:
    return type(value) in (int, float) and value > 0  # type: ignore[operator]


def result_never_assigned(subject: Subject) -> Iterator[Finding]:
    reading = subject.reading
    assigned = any(
        binding.name == "result" and (not binding.local or "result" in reading.globals) for binding in reading.bindings
    )
    if not assigned and not reading.returns:
        message = "the script never assigns `result`: whoever runs it gets null"
        last = reading.tree.body[-1] if reading.tree.body else reading.tree
        yield subject.finding("result-never-assigned", last, message, "end with `result = ...`", warning=True)


def spawn_never_used(subject: Subject) -> Iterator[Finding]:
    for spawn in subject.spawns:
        if isinstance(spawn.parent, ast.Expr):
            message = "nothing waits for this spawn: it is cancelled when the script ends"
            fix = "keep the handle, and wait for it: `handle = spawn(...)`, then `gather(handle)`"
            yield subject.finding("spawn-never-used", spawn.node, message, fix, warning=True)


def dynamic_agent(subject: Subject) -> Iterator[Finding]:
    fix = "write the agent's name as a text where it is spawned, or loop over a literal list of names"
    for spawn in subject.spawns:
        if spawn.names is None and (spawn.agent is not None or spawn.open):
            if isinstance(spawn.agent, ast.Constant):
                continue
            message = "which agent this is shows only when the script runs: a reviewer must assume any of the policy"
            yield subject.finding("dynamic-agent", spawn.agent or spawn.node, message, fix, warning=True)
    for node, parent in subject.reading.uses.get("spawn", ()):
        if not (isinstance(parent, ast.Call) and parent.func is node):
            message = "spawn is passed on here: which agents it is called with shows only when the script runs"
            yield subject.finding("dynamic-agent", node, message, "call spawn(...) directly", warning=True)


def sequential_result(subject: Subject) -> Iterator[Finding]:
    message = "each round waits for its own spawn before the next one starts"
    fix = "spawn all first, then wait once: `gather([spawn(...) for ... in ...])`"
    alone, by_name = _waited_for(subject)
    for spawn in subject.spawns:
        waits = spawn.node in alone or (_name_given(spawn), spawn.around.block) in by_name
        if waits and spawn.around.loop is not None:
            yield subject.finding("sequential-result", spawn.node, message, fix, warning=True)


def _waited_for(subject: Subject) -> tuple[set[ast.expr], set[tuple[str, ast.AST | None]]]:
    """Return the spawns that are waited for where they stand, and (name, loop) of handles waited for one by one."""
    alone: set[ast.expr] = set()
    by_name = set(subject.reading.waits)
    for spawn in subject.spawns:
        if isinstance(spawn.parent, ast.Attribute) and spawn.parent.attr in ("result", "ok", "error"):
            alone.add(spawn.node)
    for call in subject.reading.calls:
        if call.name in ("gather", "as_completed") and len(call.node.args) == 1:
            only = _only(call.node.args[0])
            alone.add(only)
            if isinstance(only, ast.Name) and call.name == "gather":
                by_name.add((only.id, call.around.block))
    return alone, by_name


def _only(node: ast.expr) -> ast.expr:
    """Return the one element of a list of one, else the expression itself."""
    return node.elts[0] if isinstance(node, (ast.List, ast.Tuple)) and len(node.elts) == 1 else node


def _name_given(spawn: SpawnCall) -> str:
    """Return the name of `name = spawn(...)` in the body of a loop, else ""."""
    assign = spawn.parent
    plain = isinstance(assign, ast.Assign) and len(assign.targets) == 1 and spawn.around.block is not None
    target = assign.targets[0] if plain and isinstance(assign, ast.Assign) else None
    return target.id if isinstance(target, ast.Name) else ""


def api_rebound(subject: Subject) -> Iterator[Finding]:
    for binding in subject.reading.bindings:
        name = binding.name
        if name not in API_NAMES:
            continue
        fix = f"choose another name, such as `{name}_`" if not name.endswith("_") else "choose another name"
        # A local of such a name is only confusing; but for a function, where the check would misread its calls.
        harmless = binding.local and name not in HIDING and name not in subject.reading.globals
        if harmless:
            message = f"`{name}` is a name of the API; here it stands for something else"
        else:
            message = f"`{name}` is a name of the API and cannot be bound anew"
        yield subject.finding("api-rebound", binding.node, message, fix, warning=harmless, name=name)


RULES: tuple[Rule, ...] = (
    agent_not_in_policy,
    scopes_not_granted,
    timeout_beyond_cap,
    unknown_keyword,
    wrong_arguments,
    wrong_option,
    inputs_break_schema,
    result_never_assigned,
    spawn_never_used,
    dynamic_agent,
    sequential_result,
    api_rebound,
)
