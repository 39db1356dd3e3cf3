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

USUAL_IMPORTS = ("json", "re", "math", "statistics", "random", "datetime", "collections", "itertools", "dataclasses")
"""Of all that can be imported where the policy does not say."""

MAX_TOKENS = 1_500
"""For ten agents. Each agent beyond that may add a tenth of what the agents have of it."""
_AGENTS = 10
TAUGHT_TOKENS = 966
"""Of what is the same under every policy, by the tokenizer that needs more: a test counts again."""
_RESERVE = 15
"""What an agent's lines may need beyond their estimate: 3 % of 500."""

_HEAD = """\
Write one Python script that does what is asked with the agents below. Answer with the script alone: synchronous \
Python in a sandbox, no async, files or network. These names need no import:\
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
    "It can be a dict key; two handles are equal when they are the same one.",
    "It counts from when the attempt starts.",
    "`gather(h)` returns one output; `gather(handles)` and `gather(*handles)` a list, also of one handle.",
    "`return_exceptions=True` is the same.",
    "It is called while the script waits, and only on success.",
    "If it raises, its handle fails.",
    "All failed: TooFewResults.",
)
"""Sentences of the stub text that a first script does not need, or that the prompt says elsewhere."""

EXAMPLES = (
    '''\
# Each brief starts when its own notes are there; the script does not wait.
notes = {c: spawn("look", {"city": c}, retry=2, fallback="look_old") for c in inputs["cities"]}
briefs = {c: spawn("brief", {"title": f"{c}: {n['topic']}", "text": n["text"]}) for c, n in notes.items()}
first = gather(briefs, on_error="none")  # the same dict; None where one failed
unsure = [c for c, b in first.items() if b is None or b["score"] < 0.6]
second = gather({c: spawn("dig", {"city": c}) for c in unsure})
result = {**first, **second}
''',
    '''\
part_of = {spawn("split", {"part": p}): p for p in inputs["parts"]}
names = {}
for h in as_completed(part_of):
    if h.ok:
        names[part_of[h]] = h.result()["name"]
        part_of |= {spawn("split", {"part": p}): p for p in h.result()["parts"]}
    else:
        log("left out", why=h.error.kind)
result = names
''',
)
"""Two whole scripts, with agents of another policy."""

PAIRS = (
    ('[spawn("a", x).result() for x in xs]', 'gather([spawn("a", x) for x in xs])'),
    ('spawn("b", {"doc": h.result()["text"]})', 'spawn("b", {"doc": h["text"]})'),
    ('"For " + str(h)', 'f"For {h}"'),
    ("spawn(name, x)", 'spawn("a", x): agents by literal name'),
)
"""What is written wrong most, and what to write."""


def prompt(policy: Policy) -> str:
    """Return the prompt for scripts under this policy, ending in a line feed."""
    above, below = taught_everywhere()
    limits = _limits(policy)
    left = MAX_TOKENS - _RESERVE - TAUGHT_TOKENS - estimated_tokens(limits)
    agents = "\n".join(_agents(policy, left * max(_AGENTS, len(policy.agents)) // _AGENTS))
    return f"{above}\n\n{limits}\n\n{agents}\n\n{below}\n"


def taught_everywhere() -> tuple[str, str]:
    """Return what stands above and below the limits and agents of a policy, the same under every policy."""
    above = [_HEAD, "", *_api()]
    below = ["Wrong -> right:", *(f"{wrong} -> {right}" for wrong, right in PAIRS), "", *_examples()]
    return "\n".join(above), "\n".join(below)


def _api() -> list[str]:
    return [
        f"{signature('spawn')} -> Handle: {taught('spawn')}",
        f"{signature('gather').replace(' return_exceptions=False,', '')}: {taught('gather')}",
        f"{signature('as_completed')}: {taught('as_completed')}",
        f"Handle: {taught('Handle')}",
        f"h.{signature('Handle.then')}: {taught('Handle.then')}",
        f"{signature('first_ok')}: {taught('first_ok')}",
        f"Also {signature('sleep')}, {signature('log')}, h.{signature('Handle.cancel')}.",
        'SpawnError with .kind ("timed_out" of SpawnTimedOut, ...), .agent, .label, .cause; below it '
        f"{', '.join(errors())} (.results).",
        "inputs: the run's inputs. At the end assign the answer, JSON, to result.",
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
        f"Limits of a run: {limits.spawns} spawns (limits.spawns_left), {limits.parallel_spawns} at once (more queue), "
        f"{limits.wall_seconds:g} s (limits.seconds_left). {_imports(policy)}"
    )


def _imports(policy: Policy) -> str:
    if policy.imports is None:
        return f"Imports: {', '.join(USUAL_IMPORTS)}, ... (no I/O)."
    return f"Imports: {', '.join(sorted(policy.imports)) or 'none'}."


def _examples() -> list[str]:
    fenced = (f"```python\n{text}```" for text in EXAMPLES)
    return ["Examples with other agents:", *fenced]


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


_PIECE = re.compile(r" ?[A-Za-z]{1,7}|[0-9]{1,3}|[^\x00-\x7f]| ?[^\sA-Za-z0-9_]{1,3}|_|\n *")


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text has.

    Counted are letters by seven, digits by three, other signs by three, line ends, and three for a sign beyond ASCII.
    Of whole prompts it is 2 to 8 % above what cl100k and o200k need, of agents' lines 3 % below to 5 % above.
    """
    return sum(1 if piece.isascii() else 3 for piece in _PIECE.findall(text))
