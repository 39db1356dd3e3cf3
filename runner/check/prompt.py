"""What an orchestrator model needs to write a script under one policy: the API, its agents, its limits, two examples.

The API's words are those of the stub text; agents and limits are the policy's. For ten agents it is at most MAX_TOKENS
tokens; where descriptions or schemas are long, outputs are told in less detail first, then inputs. The same policy
gives the same text, byte for byte. What a policy's author wrote is cleaned and stays on its agent's line.

Not here: every detail of the API (docs/writing-scripts.md), types for editors (stubs).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from runner.check.schema_types import (
    Anything,
    Either,
    Exactly,
    Field,
    Fields,
    ListOf,
    MapOf,
    Plain,
    Type,
    type_of,
)  # fmt: skip
from runner.check.stub_text import doc, errors, signature
from runner.policy.model import DEFAULT_RETRIES, DEFAULT_TIMEOUT_SECONDS, AgentEntry, Policy
from runner.printable import clean

MAX_TOKENS = 1_500
"""For ten agents. Each agent beyond that may add a tenth of what the agents have of it."""
_AGENTS = 10

_HEAD = """\
Write one Python script that does what is asked by calling the agents below. Answer with the script alone. It is plain \
synchronous Python in a sandbox: no async, no files, no network. These names are there without import:\
"""

LEFT_OUT = (
    "`inputs` are copied here: later changes have no effect.",
    "Left out, they are {}.",
    "What is no JSON raises InvalidInput at this line.",
    'A handle may stand anywhere in them, whole, as a part (`h["hits"][0]`) or in a text (`f"Sum up {h}"`):'
    " the spawn starts when the outputs are there, and the script does not wait.",
    "Takes `gather([a, b])`, `gather(a, b)`, or lists, tuples and dicts with handles at the leaves, to any depth.",
    "What the policy refuses is on the handle, as SpawnDenied.",
    "Beyond the run's limit of spawns it raises LimitReached.",
    '`on_error="return"` (or `return_exceptions=True`): it becomes its exception.',
    "Two handles are equal when they are the same one.",
)
"""Sentences of the stub text that a first script does not need, or that the prompt says elsewhere."""

EXAMPLES = (
    '''\
# Handles go into other spawns without waiting: each brief starts when its own notes are there.
notes = {c: spawn("look", {"city": c}, retry=2, fallback="look_old") for c in inputs["cities"]}
briefs = {c: spawn("brief", {"title": f"{c}: {n['topic']}", "text": n["text"]}) for c, n in notes.items()}
first = gather(briefs, on_error="none")  # the same dict; None where one failed
unsure = [c for c, b in first.items() if b is None or b["score"] < 0.6]
second = gather({c: spawn("dig", {"city": c}) for c in unsure}, on_error="none")
result = {**first, **second}
''',
    '''\
parts, names = [spawn("split", {"part": p}) for p in inputs["parts"]], []
for h in as_completed(parts):
    if h.ok:
        names.append(h.result()["name"])
        parts += [spawn("split", {"part": p}) for p in h.result()["parts"]]
    else:
        log("left out", why=str(h.error))
result = names
''',
)
"""Two whole scripts, with agents of another policy."""

PAIRS = (
    ('[spawn("a", x).result() for x in xs]', 'gather([spawn("a", x) for x in xs])'),
    ('spawn("b", {"doc": h.result()["text"]})', 'spawn("b", {"doc": h["text"]})'),
    ('"For " + str(h)', 'f"For {h}"'),
    ('for n in range(3): try: spawn("a", x).result() ...', 'spawn("a", x, retry=2)'),
    ("spawn(name, x)", 'spawn("a", x): agents by literal name'),
)
"""What is written wrong most, and what to write."""


def prompt(policy: Policy) -> str:
    """Return the prompt for scripts under this policy, ending in a line feed."""
    above = "\n".join([_HEAD, "", *_api(), "", _limits(policy)])
    below = "\n".join(["Wrong -> right:", *(f"{wrong} -> {right}" for wrong, right in PAIRS), "", *_examples()])
    left = MAX_TOKENS - estimated_tokens(above) - estimated_tokens(below)
    agents = "\n".join(_agents(policy, left * max(_AGENTS, len(policy.agents)) // _AGENTS))
    return f"{above}\n\n{agents}\n\n{below}\n"


def _api() -> list[str]:
    return [
        f"{signature('spawn')} -> Handle: {taught('spawn')}",
        f"{signature('gather')}: {taught('gather')}",
        f"{signature('as_completed')}: {taught('as_completed')}",
        f"Handle: {taught('Handle')}",
        f"SpawnError with .kind, .agent, .label, .cause; below it {', '.join(errors())}.",
        f"Also {', '.join(signature(name) for name in ('first_ok', 'sleep', 'log'))}, h.{signature('Handle.then')}, "
        f"h.{signature('Handle.cancel')}.",
        "inputs: the run's inputs. At the end assign the answer, a JSON value, to result.",
    ]


def taught(name: str) -> str:
    """Return what the stub text says of a name, on one line and without what is left out."""
    text = " ".join(doc(name).split())
    for sentence in LEFT_OUT:
        text = text.replace(f" {sentence}", "")
    return text


def _limits(policy: Policy) -> str:
    limits = policy.limits
    return (
        f"Limits of a run: {limits.spawns} spawns (limits.spawns_left), {limits.parallel_spawns} at once, "
        f"{limits.wall_seconds:g} s (limits.seconds_left). {_imports(policy)}"
    )


def _imports(policy: Policy) -> str:
    if policy.imports is None:
        return "Imports: json, re, math, datetime, collections and the like, nothing with I/O."
    return f"Imports: {', '.join(sorted(policy.imports)) or 'none'}."


def _examples() -> list[str]:
    fenced = (f"```python\n{text}```" for text in EXAMPLES)
    return ["Two examples, with other agents:", *fenced]


# --- agents --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Detail:
    """How much is told of each agent: characters of its description, levels of its types, keys of an object."""

    description: int
    inputs: int
    outputs: int
    keys: int


DETAILS = (
    Detail(300, 8, 8, 60), Detail(120, 8, 8, 40), Detail(80, 8, 4, 30), Detail(60, 8, 2, 20), Detail(60, 8, 1, 16),
    Detail(45, 6, 1, 12), Detail(45, 6, 0, 12), Detail(30, 4, 0, 10), Detail(20, 3, 0, 8), Detail(20, 2, 0, 6),
    Detail(20, 1, -1, 4), Detail(20, 0, -1, 3), Detail(12, 0, -1, 2),
)  # fmt: skip
"""Tried in this order until the agents fit."""


def _agents(policy: Policy, most_tokens: int) -> list[str]:
    if not policy.agents:
        return ["Agents: none. spawn() cannot be used."]
    typed = [(one, type_of(one.input_schema), type_of(one.output_schema)) for one in policy.agents.values()]
    lines: list[str] = []
    for detail in DETAILS:
        lines = ["Agents: inputs -> output (`?` optional, `...` more):", *(_agent(*one, detail) for one in typed)]
        if estimated_tokens("\n".join(lines)) <= most_tokens:
            break
    return lines


def _agent(entry: AgentEntry, takes: Type, gives: Type, detail: Detail) -> str:
    about = clean(entry.description, limit=detail.description).strip()
    form = f"{compact(takes, detail.inputs, detail.keys)} -> {compact(gives, detail.outputs, detail.keys)}"
    return f'"{entry.name}": {about} {form}{_granted(entry, detail.keys)}'


def _granted(entry: AgentEntry, most_scopes: int) -> str:
    """Return what a spawn may ask of this agent, where that is not what is always so."""
    said = ""
    if entry.scopes:
        named = entry.default_scopes[:most_scopes]
        default = ", ".join(named) if set(entry.default_scopes) != entry.scopes else "all"
        more = ", ..." if len(entry.scopes) > most_scopes else ""
        said += f"; scopes {', '.join(sorted(entry.scopes)[:most_scopes])}{more} (default {default or 'none'})"
    if entry.timeout_seconds != DEFAULT_TIMEOUT_SECONDS or entry.max_timeout_seconds != entry.timeout_seconds:
        said += f"; timeout {entry.timeout_seconds:g} s"
        said += f", at most {entry.max_timeout_seconds:g}" if entry.max_timeout_seconds > entry.timeout_seconds else ""
    if entry.max_retries != DEFAULT_RETRIES:
        said += f"; retry at most {entry.max_retries}"
    return said


def compact(shape: Type, levels: int, keys: int) -> str:
    """Return a type in as few words as a model needs; "..." stands for what is not told.

    Objects are told in so many `levels`, each with so many `keys`; of those one level below, the keys alone.
    """
    match shape:
        case Anything():
            return "any"
        case Plain(name):
            return name
        case Exactly(values):
            shown = [clean(json.dumps(value, ensure_ascii=False), limit=60) for value in values[:keys]]
            return "|".join(shown) + ("|..." if len(values) > keys else "")
        case Either(parts):
            told = [compact(part, levels, keys) for part in parts[:keys]]
            return "|".join(told) + ("|..." if len(parts) > keys else "")
        case ListOf(item):
            return f"[{compact(item, levels, keys)}]"
        case MapOf(value):
            return f"{{str: {compact(value, levels - 1, keys)}}}"
        case Fields(fields, is_open):
            return _object(fields, is_open, levels, keys)


def _object(fields: tuple[Field, ...], is_open: bool, levels: int, keys: int) -> str:
    if levels < 0:
        return "{...}"
    told = [_key(each.name) + ("" if each.required else "?") for each in fields[:keys]]
    if levels > 0:
        told = [f"{key}: {compact(each.type, levels - 1, keys)}" for key, each in zip(told, fields, strict=False)]
    more = ["..."] if is_open or len(fields) > keys else []
    return f"{{{', '.join([*told, *more])}}}"


def _key(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else clean(json.dumps(name, ensure_ascii=False), limit=60)


_PIECE = re.compile(r" ?[A-Za-z]{1,12}|[0-9]{1,3}|[^\x00-\x7f]| ?[^\sA-Za-z0-9_]{1,3}|_|\n *")


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text has.

    Counted are letters by twelve, digits by three, other signs by three, line ends, and three for a sign beyond ASCII.
    Of whole prompts it is 1 to 5 % above what cl100k and o200k need, of an agent's line 5 % below to 1 % above.
    """
    return sum(1 if piece.isascii() else 3 for piece in _PIECE.findall(text))
