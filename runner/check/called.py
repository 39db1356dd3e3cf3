"""Rules on how the API is called, by the shapes of the stub text; and on its names.

An error is what the guest would refuse for certain, or what would make the check read something else than what runs.

Not here: what the policy refuses (permitted), inputs (inputs), handles (misuse).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from difflib import get_close_matches

from runner.check.facts import ApiCall
from runner.check.inputs import properties
from runner.check.literals import literal, texts
from runner.check.permitted import attempts_node, retry_made
from runner.check.signatures import API_NAMES, HIDING, ON_ERROR, SHAPES
from runner.check.subject import SpawnCall, Subject, named
from runner.guest.wire import MAX_RETRIES, RETRIED
from runner.models import Finding
from runner.policy.accept import read_accept
from runner.policy.schemas import SchemaRefused

# Options of spawn() as other libraries name them.
_MEANT = {
    "retries": "retry", "attempts": "retry", "max_retries": "retry", "fallbacks": "fallback", "scope": "scopes",
    "timeout_seconds": "timeout", "schema": "accept", "output_schema": "accept", "name": "label", "id": "label",
    "tag": "label", "input": "inputs", "args": "inputs", "params": "inputs", "payload": "inputs", "data": "inputs",
}  # fmt: skip
_TIMEOUT_FIX = "write for example `60`, or leave timeout= out"


def unknown_keyword(subject: Subject) -> Iterator[Finding]:
    for call in subject.reading.calls:
        shape = SHAPES.get(call.name)
        if shape is None or shape.any_keyword:
            continue
        for keyword in call.node.keywords:
            if keyword.arg is not None and keyword.arg not in shape.keywords:
                fix = _keyword_meant(subject, call, keyword.arg, shape.keywords)
                message = f'{call.name}() has no keyword "{keyword.arg}"'
                yield subject.finding("unknown-keyword", keyword, message, fix)


def _keyword_meant(subject: Subject, call: ApiCall, written: str, known: tuple[str, ...]) -> str:
    if call.name == "spawn":
        agent = texts(call.node.args[0], subject.reading) if call.node.args else None
        if any(written in properties(entry.input_schema) for entry in subject.listed(agent)):
            return f'put it into the inputs: {{"{written}": ...}}'
        if written in _MEANT:
            return f"write {_MEANT[written]}="
    close = get_close_matches(written, known, n=1)
    return f"did you mean {close[0]}=?" if close else f"known here: {', '.join(known) or 'none'}"


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


# Options


def wrong_option(subject: Subject) -> Iterator[Finding]:
    for spawn in subject.spawns:
        yield from _wrong_spawn_options(subject, spawn)
    for call in subject.reading.calls:
        if call.name == "gather":
            yield from _wrong_gather_options(subject, call)
        elif call.name == "sleep" and call.node.args and not _may_be(call.node.args[0], _not_negative):
            message = "sleep() takes seconds as a number, not below 0"
            yield subject.finding("wrong-option", call.node.args[0], message, "write for example `1`")
    for made in subject.reading.calls:
        if made.name == "Retry":
            yield from _wrong_retry(subject, made)


def _wrong_spawn_options(subject: Subject, spawn: SpawnCall) -> Iterator[Finding]:
    scopes = spawn.options.get("scopes")
    if isinstance(scopes, ast.Constant) and isinstance(scopes.value, str):
        message = "scopes= takes a list of texts"
        written = subject.reading.segment(scopes)[2]
        yield subject.finding("wrong-option", scopes, message, f"write `[{written}]`")
    timeout = spawn.options.get("timeout")
    if timeout is not None and not _may_be(timeout, lambda value: value is None or _positive(value)):
        yield subject.finding("wrong-option", timeout, "timeout= takes seconds above 0, as a number", _TIMEOUT_FIX)
    if isinstance(spawn.agent, ast.Constant) and not isinstance(spawn.agent.value, str):
        agents = named(list(subject.policy.agents))
        message = "spawn() takes the name of an agent first"
        yield subject.finding("wrong-option", spawn.agent, message, f"one of {agents}")
    retry = attempts_node(subject, spawn)
    if retry is not None and retry_made(subject, spawn) is None and not _may_be(retry, _is_count_or_none):
        message = f"retry= takes how many further attempts, 0 to {MAX_RETRIES}, or a Retry(...)"
        yield subject.finding("wrong-option", retry, message, "write for example `2`")
    label = spawn.options.get("label")
    if isinstance(label, ast.Constant) and not (label.value is None or isinstance(label.value, str)):
        yield subject.finding("wrong-option", label, "label= takes a text", "write a text, or leave label= out")
    for fallback in subject.fallbacks(spawn):
        if isinstance(fallback.node, ast.Constant) and not isinstance(fallback.node.value, str):
            message = "fallback= takes the name of an agent, a Fallback(...), or a list of them"
            agents = named(list(subject.policy.agents))
            yield subject.finding("wrong-option", fallback.node, message, f"one of {agents}")


def _wrong_gather_options(subject: Subject, call: ApiCall) -> Iterator[Finding]:
    given = {keyword.arg: keyword.value for keyword in call.node.keywords if keyword.arg is not None}
    on_error = given.get("on_error")
    if on_error is not None and not _may_be(on_error, lambda value: value in ON_ERROR):
        written = on_error.value if isinstance(on_error, ast.Constant) else None
        close = get_close_matches(written, ON_ERROR, n=1) if isinstance(written, str) else []
        fix = f'write `"{close[0] if close else "none"}"`'
        yield subject.finding("wrong-option", on_error, f"on_error= is one of {named(ON_ERROR)}", fix)
    exceptions = given.get("return_exceptions")
    if exceptions is not None and not _may_be(exceptions, lambda value: type(value) is bool):
        message = "return_exceptions= is True or False"
        yield subject.finding("wrong-option", exceptions, message, "write `True`")
    for name in ("min_ok", "enough"):
        node = given.get(name)
        if node is not None and not _may_be(node, _is_share):
            message = f"{name}= takes how many must succeed, or a share of them above 0 and up to 1.0"
            yield subject.finding("wrong-option", node, message, "write for example `2`, or `0.5` for half of them")
    timeout = given.get("timeout")
    if timeout is not None and not _may_be(timeout, lambda value: value is None or _not_negative(value)):
        yield subject.finding("wrong-option", timeout, "timeout= takes seconds, as a number", _TIMEOUT_FIX)


def _wrong_retry(subject: Subject, call: ApiCall) -> Iterator[Finding]:
    given = dict(zip(SHAPES["Retry"].positional, call.node.args, strict=False))
    given |= {keyword.arg: keyword.value for keyword in call.node.keywords if keyword.arg is not None}
    attempts = given.get("attempts")
    if attempts is not None and not _may_be(attempts, _is_count):
        message = f"attempts= takes how many further attempts, 0 to {MAX_RETRIES}"
        yield subject.finding("wrong-option", attempts, message, "write for example `2`")
    for name in ("backoff", "max_backoff"):
        node = given.get(name)
        if node is not None and not _may_be(node, _not_negative):
            yield subject.finding("wrong-option", node, f"{name}= takes seconds, as a number", "write for example `2`")
    kinds = given.get("on")
    if isinstance(kinds, ast.Constant):
        written = kinds.value if kinds.value in RETRIED else "timed_out"
        message = "on= takes a list of kinds"
        yield subject.finding("wrong-option", kinds, message, f'write `["{written}"]`')


def _may_be(node: ast.expr, right: Callable[[object], bool]) -> bool:
    """Say whether an option is right, or may be: what is computed may be anything."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        return type(value) in (int, float) and right(-value)  # type: ignore[operator]
    if isinstance(node, ast.Constant):
        return right(node.value)
    return not isinstance(node, (ast.Dict, ast.List, ast.JoinedStr, ast.Lambda))


def _positive(value: object) -> bool:
    # Nobody means one second by True.
    return type(value) in (int, float) and value > 0  # type: ignore[operator]


def _not_negative(value: object) -> bool:
    return type(value) in (int, float) and value >= 0  # type: ignore[operator]


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_RETRIES


def _is_count_or_none(value: object) -> bool:
    return value is None or _is_count(value)


def _is_share(value: object) -> bool:
    return value is None or (type(value) is int and value >= 0) or (type(value) is float and 0 < value <= 1)


def unknown_kind(subject: Subject) -> Iterator[Finding]:
    for call in subject.reading.calls:
        if call.name != "Retry":
            continue
        given = {keyword.arg: keyword.value for keyword in call.node.keywords}
        kinds = call.node.args[3] if len(call.node.args) > 3 else given.get("on")
        for node in kinds.elts if isinstance(kinds, (ast.Tuple, ast.List, ast.Set)) else ():
            if isinstance(node, ast.Constant) and node.value not in RETRIED:
                close = get_close_matches(str(node.value)[:60], RETRIED, n=1)
                fix = f'did you mean "{close[0]}"?' if close else f"one of {named(RETRIED)}"
                message = f"{subject.reading.segment(node)[2][:60]} is no kind of failure that can be tried again"
                yield subject.finding("unknown-kind", node, message, fix)


def options_exclude(subject: Subject) -> Iterator[Finding]:
    """Options of gather() of which only one can be meant."""
    for call in subject.reading.calls:
        if call.name != "gather":
            continue
        given = {keyword.arg: keyword for keyword in call.node.keywords if not _is_none(keyword.value)}
        if "min_ok" in given and "enough" in given:
            message = "min_ok= waits for all, enough= stops early: gather() takes one of them"
            yield subject.finding("options-exclude", given["enough"], message, "leave one of them out")


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def accept_no_schema(subject: Subject) -> Iterator[Finding]:
    for spawn in subject.spawns:
        node = spawn.options.get("accept")
        if node is None or _is_none(node):
            continue
        written = literal(node, subject.reading, spawn.given)
        if written.holes:
            continue
        try:
            if not isinstance(written.value, (dict, bool)):
                raise SchemaRefused("not a JSON Schema: that is a dict")
            read_accept(written.value)
        except SchemaRefused as refused:
            at = written.nodes.get(refused.path, node)
            fix = refused.hint or 'write a JSON Schema, such as {"type": "object", "required": ["answer"]}'
            yield subject.finding("accept-no-schema", at, f"accept= is {refused}", fix)
        except (ValueError, OverflowError):
            # A lone surrogate or a number beyond what the library takes: the guest tells it when it serialises.
            continue


# Names


def result_never_assigned(subject: Subject) -> Iterator[Finding]:
    reading = subject.reading
    assigned = any(
        binding.name == "result" and (not binding.local or "result" in reading.globals) for binding in reading.bindings
    )
    if not assigned and not reading.returns and reading.tree.body:
        message = "the script never assigns `result`: whoever runs it gets null"
        last = reading.tree.body[-1]
        yield subject.finding("result-never-assigned", last, message, "end with `result = ...`", warning=True)


def api_rebound(subject: Subject) -> Iterator[Finding]:
    for binding in subject.reading.bindings:
        name = binding.name
        if name not in API_NAMES:
            continue
        fix = f"choose another name, such as `{name}_`" if not name.endswith("_") else "choose another name"
        # Of most names it is only confusing; of these the check would read something else than what runs.
        harmless = name not in HIDING
        if harmless:
            message = f"`{name}` is a name of the API; here it stands for something else"
        else:
            message = f"`{name}` is a name of the API and cannot be bound anew"
        yield subject.finding("api-rebound", binding.node, message, fix, warning=harmless, name=name)
