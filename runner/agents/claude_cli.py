"""Claude Code, the program: how it is started for one attempt, and what its last word says.

It gets no settings of this machine, no tools but those that the policy names, no plugins, and as environment PATH,
its key, and where the API is. Its configuration, its sessions and its temporary files are in its own HOME, a fresh
folder that is removed when the attempt is over. It does not try a request again: the broker does that.

Not here: the library that speaks with it (claude), starting and killing (launch, command).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.agents import faults
from runner.agents.command import Reads
from runner.agents.model_calls import NO_KEY, count, model_name, text_in
from runner.agents.model_client import ENVELOPE_BYTES
from runner.agents.result_schema import Asked
from runner.errors import AgentFault
from runner.guest.wire import compact
from runner.models import Json, OutcomeKind
from runner.policy.backends.models import DEFAULT_TURNS, key_of
from runner.policy.model import Reference
from runner.seams import Call

VENDOR = "https://api.anthropic.com"
INPUTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
# HOME is made by who starts it, so a shell says what lies in there. What else it writes would stay: sockets, logs.
_IN_HOME = 'TMPDIR="$HOME" CLAUDE_CONFIG_DIR="$HOME/.claude" exec "$0" "$@"'
# One request for each turn, to the model that the policy names.
_QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_MAX_RETRIES": "0",
    "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1", "CLAUDE_CODE_NO_MODEL_FALLBACK": "1",
    "CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK": "1",
}  # fmt: skip


def argv(program: str, options: Mapping[str, Any], asked: Asked, *, functions: tuple[str, ...] = ()) -> list[str]:
    """Return its command line but for the formats. `functions` are those of the policy that its model may use."""
    builtin: list[str] = list(options.get("builtin_tools") or ())
    command = [
        "/bin/sh", "-c", _IN_HOME, program,
        # In one word: a text that begins with a dash is no option of its own.
        f"--model={options['model']}", f"--system-prompt={asked.system(options.get('system', ''))}",
        "--tools", ",".join(builtin),
        "--permission-mode", "dontAsk", "--setting-sources=", "--strict-mcp-config", "--no-session-persistence",
        "--max-turns", str(options.get("max_turns", DEFAULT_TURNS)),
    ]  # fmt: skip
    if builtin or functions:
        command += ["--allowedTools", ",".join([*builtin, *functions])]
    if "budget_usd" in options:
        command += ["--max-budget-usd", str(options["budget_usd"])]
    if asked.schema is not None:
        command += ["--json-schema", compact(asked.schema)]
    return command


def environment(options: Mapping[str, Any]) -> dict[str, str | Reference]:
    """Return its environment but for PATH and HOME; the key by reference."""
    found: dict[str, str | Reference] = {"ANTHROPIC_API_KEY": key_of("claude", options) or NO_KEY, **_QUIET}
    if "base_url" in options:
        found["ANTHROPIC_BASE_URL"] = options["base_url"]
    return found


def output_of(
    agent: str, said: Mapping[str, Any], options: Mapping[str, Any], asked: Asked, guarded: Sequence[str]
) -> Json:
    """Return the output that its last word says. Raises AgentFault whose detail has nothing guarded."""
    subtype, told = said.get("subtype"), text_in(said, "result")
    if subtype == "error_max_turns":
        raise faults.out_of_turns(agent, options.get("max_turns", DEFAULT_TURNS))
    if subtype == "error_max_budget_usd":
        raise faults.over_budget(agent, options.get("budget_usd", 0.0))
    if subtype == "error_max_structured_output_retries":
        raise faults.no_json(agent, "its model did not say what the output's schema asks for")
    if said.get("is_error") is not False or subtype != "success":
        status = said.get("api_error_status")
        if type(status) is int and 300 <= status < 1000:
            raise faults.of_status(agent, status, {}, faults.redacted(told, guarded))
        raise faults.lost(agent, "broke off", faults.redacted(f"{subtype}: {told}", guarded))
    if said.get("stop_reason") == "refusal":
        raise faults.declined(agent)
    if asked.plain:
        return {"text": told}
    if "structured_output" not in said or said["structured_output"] is None:
        raise faults.no_json(agent, "its model gave no structured output")
    return asked.unwrapped(said["structured_output"])


def record(
    call: Call, said: Mapping[str, Any], *, guarded: Sequence[str], before: tuple[int, int] = (0, 0), model: str = ""
) -> None:
    """Record what an attempt used, by its last word. `before` was recorded already."""
    usage = said.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    models = said.get("modelUsage")
    cost = said.get("total_cost_usd")
    call.used(
        model=model or model_name(next(iter(models)) if isinstance(models, dict) and models else "", guarded),
        input_tokens=sum(count(counts.get(name)) for name in INPUTS) - before[0],
        output_tokens=count(counts.get("output_tokens")) - before[1],
        cost_usd=float(cost) if isinstance(cost, (int, float)) and 0 <= cost < 1e9 else None,
    )


class ReadsClaude(Reads):
    """How the command backend reads what `claude -p --output-format json` wrote."""

    def __init__(self, options: Mapping[str, Any], asked: Asked) -> None:
        self._options = options
        self._asked = asked

    def most_bytes(self, call: Call) -> int:
        # The output stands there twice, once as a text in a text.
        return 4 * call.output_bytes + ENVELOPE_BYTES

    def output(self, agent: str, call: Call, said: Json, guarded: Sequence[str]) -> Json:
        if not isinstance(said, dict) or said.get("type") != "result":
            raise AgentFault(OutcomeKind.INVALID_OUTPUT, f'agent "{agent}" ended without a result')
        record(call, said, guarded=guarded)
        return output_of(agent, said, self._options, self._asked, guarded)
