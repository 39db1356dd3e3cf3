"""The format of a policy file as pydantic models: what may be written where, and the JSON Schema for editors.

Strict: nothing is converted but durations and sizes with units, and unknown keys are refused. A message of a
ValueError here says what is allowed; after a line feed may follow the fix.

Not here: defaults that depend on other keys, and contradictions between keys (resolve).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from runner.guest.wire import MAX_FALLBACKS, MAX_FRAME_BYTES, MAX_RETRIES, MAX_SCOPES
from runner.models import MIB, Json
from runner.policy.backends.base import ImportPath, KeptValue, ModelTokens
from runner.policy.backends.graphs import CrewAIFields, LangGraphFields
from runner.policy.backends.http import Http, HttpFields
from runner.policy.backends.mcp import McpFields
from runner.policy.backends.models import AnthropicFields, ClaudeFields, OpenAIFields, ToolFields
from runner.policy.backends.script import ScriptFields
from runner.policy.model import DEFAULT_RETRIES, RISK_RULES
from runner.policy.resource_fields import AttachedFields, IssuerFields, ResourceFields, ResourceName
from runner.policy.units import SIZE_HELP, bytes_of, seconds_of
from runner.policy.values import DURATION_SCHEMA, Argv, Duration, Scope, VariableName

AGENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

# Below this no guest starts: the interpreter with its imports maps about 50 MB.
MIN_MEMORY_BYTES = 64 * MIB
MAX_SPAWNS = 1_000_000
MAX_PARALLEL = 100_000
# No resource server needs to believe a token for longer, and a rotated key is published for as long.
MAX_TOKEN_SECONDS = 3600.0
MAX_COST_USD = 1_000_000.0


def _agent_name(value: Json) -> str:
    if not isinstance(value, str) or not AGENT_NAME.fullmatch(value):
        raise ValueError("letters, digits, `_`, `.` and `-`, at most 64 of them")
    return value


def _schema(value: Json) -> Json:
    if not isinstance(value, (dict, str, bool)) or value == "":
        raise ValueError('a JSON Schema, or the path of a file with one, such as "schemas/finding.json"')
    return value


def _sandbox(value: Json) -> Json:
    return {"demand": value} if isinstance(value, str) else value


def _memory(value: Json) -> int:
    size = bytes_of(value)
    if size < MIN_MEMORY_BYTES:
        raise ValueError(f"at least {MIN_MEMORY_BYTES // MIB}MB: below that no guest starts")
    return size


def _token_lifetime(value: Json) -> float:
    seconds = seconds_of(value)
    if not 1 <= seconds <= MAX_TOKEN_SECONDS:
        raise ValueError("1s to 1h")
    return seconds


def _frame(value: Json) -> int:
    size = bytes_of(value)
    if not 4096 <= size <= MAX_FRAME_BYTES:
        raise ValueError(f"4KB to {MAX_FRAME_BYTES // MIB}MB")
    return size


def _cost(value: Json) -> float:
    """A number of dollars may stand alone."""
    dollars = value["usd"] if isinstance(value, dict) and set(value) == {"usd"} else value
    if type(dollars) not in (int, float) or not 0 <= dollars <= MAX_COST_USD:
        raise ValueError(f"dollars for one call, from 0 to {MAX_COST_USD:,.0f}")
    return float(dollars)


def _risk_rule(value: Json) -> str:
    if value not in RISK_RULES:
        raise ValueError(", ".join(sorted(RISK_RULES)))
    return str(value)


_DOLLARS = {"type": "number", "minimum": 0, "maximum": MAX_COST_USD}
_COST_SCHEMA = {
    "anyOf": [
        _DOLLARS,
        {"type": "object", "properties": {"usd": _DOLLARS}, "required": ["usd"], "additionalProperties": False},
    ]
}
_SIZE_SCHEMA = {
    "description": SIZE_HELP,
    "anyOf": [
        {"type": "integer", "exclusiveMinimum": 0},
        {"type": "string", "pattern": r"^[0-9.]+ ?([kKmMgG][iI]?)?[bB]?$"},
    ],
}
TokenLifetime = Annotated[float, BeforeValidator(_token_lifetime), WithJsonSchema(DURATION_SCHEMA)]
Size = Annotated[int, BeforeValidator(bytes_of), WithJsonSchema(_SIZE_SCHEMA)]
Memory = Annotated[int, BeforeValidator(_memory), WithJsonSchema(_SIZE_SCHEMA)]
Frame = Annotated[int, BeforeValidator(_frame), WithJsonSchema(_SIZE_SCHEMA)]
Cost = Annotated[float, BeforeValidator(_cost), WithJsonSchema(_COST_SCHEMA)]
PerMinute = Annotated[float, Field(ge=1, le=1e12)]
Price = Annotated[float, Field(ge=0, le=MAX_COST_USD)]
RiskRule = Annotated[str, BeforeValidator(_risk_rule), WithJsonSchema({"type": "string", "enum": sorted(RISK_RULES)})]
SchemaField = Annotated[Any, BeforeValidator(_schema), WithJsonSchema({"type": ["object", "string", "boolean"]})]


class _Fields(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RateFields(_Fields):
    """How often agents may be called, all runs of this host together."""

    requests: PerMinute | None = None
    """Calls a minute."""
    tokens: PerMinute | None = None
    """Model tokens a minute, of inputs and outputs together."""


class PriceFields(_Fields):
    """What a model costs: dollars for a million tokens."""

    input: Price
    output: Price


class ProviderFields(_Fields):
    """A vendor or a service that several agents share."""

    rate: RateFields
    """How often its agents may be called together."""


class AgentFields(_Fields):
    """One agent, as written."""

    description: Annotated[str, Field(min_length=1, max_length=2000)]
    """What it does, for the model that writes scripts and for reviewers."""
    python: ImportPath | None = None
    """Backend: a function, "module:function"; the module is looked for in the policy's folder first."""
    command: Argv | None = None
    """Backend: a program that reads JSON on stdin and writes JSON on stdout."""
    http: Http = None
    """Backend: a service that is sent the inputs as JSON."""
    mcp: McpFields | None = None
    """Backend: a tool of an MCP server."""
    anthropic: AnthropicFields | None = None
    """Backend: a model of the Anthropic API."""
    openai: OpenAIFields | None = None
    """Backend: a model behind the OpenAI API, or a server that speaks it."""
    claude: ClaudeFields | None = None
    """Backend: a model with tools and turns of its own, by the Claude Agent SDK."""
    langgraph: LangGraphFields | None = None
    """Backend: a compiled LangGraph graph."""
    crewai: CrewAIFields | None = None
    """Backend: a CrewAI crew."""
    script: ScriptFields | None = None
    """Backend: another script, run within this run."""
    env: dict[VariableName, KeptValue] | None = None
    """Variables of a command's environment, besides PATH and HOME."""
    input: SchemaField = None
    """JSON Schema of a spawn's inputs, or its file. Unknown keys are refused unless it says otherwise."""
    output: SchemaField = None
    """JSON Schema of the output, or its file. What it does not name is dropped."""
    unsafe_any_output: bool = False
    """Deliver whatever the agent returns, whole. Only without `output`."""
    scopes: Annotated[list[Scope], Field(max_length=MAX_SCOPES)] = []
    """What a spawn may ask for; nothing unless written."""
    default_scopes: Annotated[list[Scope], Field(max_length=MAX_SCOPES)] = []
    """What a spawn gets that asks for nothing."""
    timeout: Duration | None = None
    """Of one attempt, where the spawn names none. 60 s, or the run's wall limit if that is less."""
    max_timeout: Duration | None = None
    """The most that a spawn may ask for; equal to `timeout` unless written."""
    parallel: Annotated[int, Field(ge=1, le=MAX_PARALLEL)] | None = None
    """Attempts at once; the run's `parallel` unless written."""
    effects: Literal["none", "read", "write", "irreversible"] = "irreversible"
    """What a call changes outside."""
    idempotent: bool | None = None
    """Whether a second call changes nothing more; true for effects none and read unless written."""
    retries: Annotated[int, Field(ge=0, le=MAX_RETRIES)] = DEFAULT_RETRIES
    """Further attempts that a spawn may ask for."""
    unsafe_retry_unknown: bool = False
    """A spawn may ask to try again, or elsewhere, what may have happened already. For agents not idempotent."""
    isolation: Literal["none", "process"] | None = None
    """process: never in the host's own process. A command always is; a python function if it is a `def`."""
    unsafe_same_uid: bool = False
    """Run its processes as the user that runs runner, also where root could give them users of their own."""
    unsafe_raw_token: bool = False
    """Hand it the tokens themselves: scopes and paths are then held by the resource alone, and uses are not seen."""
    cost: Cost | None = None
    """Dollars of one call, such as 0.02 or {usd: 0.02}; a review adds them up."""
    price: PriceFields | None = None
    """Dollars for a million tokens of its model, from which the cost of a call is reckoned."""
    model_tokens: ModelTokens | None = None
    """The most model tokens that one call may use, beside its inputs; known for most models without it."""
    rate: RateFields | None = None
    """How often it may be called, all runs of this host together."""
    provider: ResourceName | None = None
    """Whose rate it shares with others: a key of `providers`."""
    trusted: bool = True
    """false: its outputs hold what strangers wrote, such as web pages; a review follows where they go."""


class LimitsFields(_Fields):
    """What one run may use."""

    wall: Duration | None = None
    """From the script's start to its end."""
    cpu: Duration | None = None
    """CPU time of the script itself."""
    memory: Memory | None = None
    """Memory of the script itself, at least 64MB."""
    spawns: Annotated[int, Field(ge=0, le=MAX_SPAWNS)] | None = None
    """How many spawns a script may ask for."""
    parallel: Annotated[int, Field(ge=1, le=MAX_PARALLEL)] | None = None
    """Attempts at once, of all agents."""
    fallbacks: Annotated[int, Field(ge=0, le=MAX_FALLBACKS)] | None = None
    """How many other agents a spawn may name for when the first fails."""
    backoff: Duration | None = None
    """The longest wait between two attempts that a spawn may ask for."""
    bytes_in: Size | None = None
    """Bytes from the script to the host."""
    bytes_out: Size | None = None
    """Bytes from the host to the script."""
    logged: Size | None = None
    """Bytes of printed and logged text."""
    frame: Frame | None = None
    """The largest single message: caps one spawn's inputs, one output, the result."""
    token: TokenLifetime | None = None
    """How long a token lives at most, whatever timeout a spawn asks for; an hour at the most."""
    cost_usd: Annotated[float, Field(ge=0, le=MAX_COST_USD)] | None = None
    """Dollars that all calls of a run may cost together; no bound unless written."""
    model_tokens: Annotated[int, Field(ge=0, le=10**12)] | None = None
    """Model tokens that all calls of a run may use together; no bound unless written."""


class SandboxFields(_Fields):
    """Where scripts may run."""

    demand: Literal["docker", "process"] = "docker"
    """docker: nothing less will do. process: either."""
    runtime: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)] = ""
    """OCI runtime of docker, such as runsc."""
    unsafe_unverified_lock: bool = False
    """Run even where the guest's lock cannot be seen from outside (an engine in a virtual machine)."""


class PolicyFields(_Fields):
    """A policy file."""

    version: Literal[1]
    """Of the format."""
    description: Annotated[str, Field(max_length=2000)] = ""
    include: list[str] = []
    """Files whose contents are merged in; relative to this file."""
    limits: LimitsFields = LimitsFields()
    sandbox: Annotated[
        SandboxFields,
        BeforeValidator(_sandbox, json_schema_input_type=SandboxFields | Literal["docker", "process"]),
    ] = SandboxFields()
    """docker or process, or a mapping with more; docker unless written."""
    imports: list[str] | None = None
    """Modules that a script may import; all of the dialect unless written."""
    review: Literal["required", "when_flagged", "none"] = "none"
    """Whether a person decides before a script runs: always, where the review flags it, or never."""
    resources: dict[ResourceName, ResourceFields] = {}
    """The protected APIs that agents reach through the gateway, by name, and what each scope opens in them."""
    issuers: dict[ResourceName, IssuerFields] = {}
    """The external authorization servers that mint tokens for resources, by name."""
    agents: dict[Annotated[str, BeforeValidator(_agent_name)], AgentFields] = {}
    """The agents that a script may spawn, by name."""
    providers: dict[ResourceName, ProviderFields] = {}
    """The vendors and services that agents share, by name, and how often they may be called."""
    risk: dict[RiskRule, Literal["off", "warning", "error"]] = {}
    """How much the rules of a review weigh here; as the review has them unless written."""


_NAMED: dict[str, type[BaseModel]] = {
    "agents": AgentFields, "resources": ResourceFields, "issuers": IssuerFields, "providers": ProviderFields,
}  # fmt: skip
# Mappings within an agent's entry.
_WITHIN: dict[str, type[BaseModel]] = {
    "http": HttpFields, "mcp": McpFields, "anthropic": AnthropicFields, "openai": OpenAIFields, "claude": ClaudeFields,
    "langgraph": LangGraphFields, "crewai": CrewAIFields, "script": ScriptFields, "rate": RateFields,
    "price": PriceFields,
}  # fmt: skip
_MODULES = dict.fromkeys([__name__, ResourceFields.__module__, *(model.__module__ for model in _WITHIN.values())])


def keys_at(path: tuple[str | int, ...]) -> Iterator[str]:
    """Yield the keys that are known in the mapping at this path; none where the names are free."""
    model: type[BaseModel] | None = None
    if not path:
        model = PolicyFields
    elif path[0] in _NAMED and len(path) == 2:
        model = _NAMED[str(path[0])]
    elif path[0] == "agents" and len(path) == 3:
        model = _WITHIN.get(str(path[2]))
    elif path[0] == "agents" and len(path) == 5 and path[3] == "tools":
        model = ToolFields
    elif path[0] == "resources" and path[2:] == ("credential",):
        model = AttachedFields
    elif path in (("limits",), ("sandbox",)):
        model = LimitsFields if path == ("limits",) else SandboxFields
    yield from model.model_fields if model is not None else ()


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of policy files, for editors."""
    schema = PolicyFields.model_json_schema(mode="validation")
    described = _attribute_docstrings()
    for model in _models():
        place = schema if model is PolicyFields else schema["$defs"].get(model.__name__)
        for base in model.__mro__ if place is not None else ():
            for name, text in described.get(base.__name__, {}).items():
                # What may stand alone is one of two forms, the mapping last.
                properties = (place if "properties" in place else place["anyOf"][-1])["properties"]
                properties[name].setdefault("description", text)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "runner policy"
    return schema


def _models() -> Iterator[type[BaseModel]]:
    """Yield each model of the format."""
    import sys

    for module in _MODULES:
        for found in vars(sys.modules[module]).values():
            if isinstance(found, type) and issubclass(found, BaseModel) and found.__module__ == module:
                yield found


def _attribute_docstrings() -> dict[str, dict[str, str]]:
    """Return class → field → the text beneath it.

    pydantic does the same at import (`use_attribute_docstrings`), which costs every run 10 ms that only editors need.
    """
    import ast
    import inspect
    import sys

    found: dict[str, dict[str, str]] = {}
    for node in (node for module in _MODULES for node in ast.parse(inspect.getsource(sys.modules[module])).body):
        if isinstance(node, ast.ClassDef):
            for field, below in pairwise(node.body):
                match field, below:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                        found.setdefault(node.name, {})[name] = inspect.cleandoc(text)
    return found
