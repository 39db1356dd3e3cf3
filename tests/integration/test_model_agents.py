"""Scripts whose agents are models: their functions reach a resource through the gateway, and what stays where."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner import Runner
from runner.engine.submission import Reuse
from runner.events import EventKind, fold
from runner.models import RunState, Script
from runner.policy.model import Policy
from tests.nested import nested
from tests.process_lists import Look
from tests.resource_server import ResourceServer
from tests.runs import policy_of, run_script
from tests.vendors import Request, Say, Vendors

KEYS = {"claude": "canary-key-of-claude-5f1e0c88", "gpt": "canary-key-of-gpt-b7702d41", "gpt_sync": "canary-key-of-sync-90ea3c65"}
ASK = 'result = gather([spawn(a, {"customer_id": n}, scopes=["crm:read"]) for n, a in enumerate(inputs)], on_error="none")'
PRICE = {"input": 3, "output": 15}
CUSTOMER = {"type": "object", "properties": {"customer_id": {"type": "integer"}}, "required": ["customer_id"]}
FETCH = {
    "description": "Makes requests.", "python": "actors:fetch",
    "input": {"type": "object", "properties": {"requests": {"type": "array"}}, "required": ["requests"]},
}  # fmt: skip


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    for name, key in KEYS.items():
        monkeypatch.setenv(f"KEY_{name}", key)


@pytest.fixture
def vendors():
    with Vendors() as server:
        yield server


@pytest.fixture
def crm():
    with ResourceServer() as server:
        yield server


def thinks(backend: str, base_url: str, key: str, *, function: str = "actors:fetch", **more: Any) -> dict[str, Any]:
    options = {
        "model": "m-1", "base_url": base_url, "api_key": f"env:KEY_{key}",
        "tools": {"fetch": {**FETCH, "python": function}}, **more,
    }  # fmt: skip
    return {
        "description": "Thinks.", backend: options, "input": CUSTOMER, "output": CUSTOMER, "scopes": ["crm:read"],
        "effects": "read", "timeout": "30s",
    }  # fmt: skip


def policy(vendors: Vendors, crm: ResourceServer, **more: Any) -> Policy:
    agents = {
        "claude": {**thinks("anthropic", vendors.url, "claude"), "price": PRICE},
        "gpt": thinks("openai", f"{vendors.url}/v1", "gpt"),
        "gpt_sync": thinks("openai", f"{vendors.url}/v1", "gpt_sync", function="actors:sync_fetch", api="responses"),
    }  # fmt: skip
    resource = {"url": crm.url, "scopes": {"crm:read": ["GET /customers/{inputs.customer_id}/**"]}}
    return policy_of(agents=agents, resources={"crm": resource}, **more)


def looks_once(request: Request) -> Say:
    """Ask for the spawn's own customer and for another's, then answer."""
    if request.tool_results:
        return Say()
    own = request.inputs["customer_id"]
    asked = [["GET", f"http://crm/customers/{n}/orders"] for n in (own, own + 100)]
    return Say(calls=[("fetch", {"requests": asked})])


def used(events: Any) -> dict[str, Any]:
    """Return what the journal says of each agent's use of its model."""
    return {
        event.body["agent"]: event.body.get("model_usage")
        for event in events if event.kind is EventKind.SPAWN_SETTLED
    }  # fmt: skip


def files(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file() and not path.is_symlink())


async def test_a_models_functions_have_the_authority_of_its_spawn_and_nothing_else_has(own_home, vendors, crm, caplog):
    caplog.set_level("DEBUG")
    look = Look(*KEYS.values())
    vendors.answer, crm.answer = look.during(looks_once), look.during(crm.answer)
    ran = await run_script(own_home, ASK, policy=policy(vendors, crm), inputs=["claude", "gpt", "gpt_sync"])
    tokens = {got.headers["authorization"].removeprefix("Bearer ") for got in crm.received}
    results = [json.loads(text) for request in vendors.requests for text, _ in request.tool_results]

    assert ran.result.state is RunState.DONE
    assert ran.result.result == [{"customer_id": n} for n in range(3)]
    assert sorted(got.path for got in crm.received) == [f"/customers/{n}/orders" for n in range(3)]
    assert [[one["status"] for one in result["said"]] for result in results] == [[200, 403]] * 3
    assert len(tokens) == 3
    assert (look.looks, look.found) == (len(vendors.requests) + len(crm.received), [])
    assert [vendors.said(token) for token in tokens] == [[], [], []]
    sent = {name: [request.path for request in vendors.requests if request.headers["authorization"] == f"Bearer {key}"] for name, key in KEYS.items()}
    assert sent == {"claude": ["/v1/messages"] * 2, "gpt": ["/v1/chat/completions"] * 2, "gpt_sync": ["/v1/responses"] * 2}
    assert {place.partition(" ")[0] for key in KEYS.values() for place in vendors.said(key)} == {"authorization"}
    stored = files(own_home)
    for canary in (*KEYS.values(), *tokens):
        assert canary not in caplog.text and canary.encode() not in stored


async def test_what_each_model_used_is_on_the_record_of_its_spawn_and_in_the_runs_usage(own_home, vendors, crm):
    tokens = {"/v1/messages": (100, 20), "/v1/chat/completions": (30, 4), "/v1/responses": (5, 6)}
    vendors.answer = lambda request: replace(looks_once(request), tokens=tokens[request.path])
    ran = await run_script(own_home, ASK, policy=policy(vendors, crm), inputs=["claude", "gpt", "gpt_sync"])

    # Each is asked twice.
    assert used(ran.events) == {
        "claude": {"tokens": 240, "cost_usd": 0.0012, "input_tokens": 200, "output_tokens": 40},
        "gpt": {"tokens": 68, "cost_usd": 0.0, "input_tokens": 60, "output_tokens": 8},
        "gpt_sync": {"tokens": 22, "cost_usd": 0.0, "input_tokens": 10, "output_tokens": 12},
    }
    assert (ran.result.usage.model_tokens, ran.result.usage.cost_usd) == (330, pytest.approx(0.0012))
    assert ran.of(EventKind.RUN_FINISHED)[0].body["usage"]["model_tokens"] == 330


async def test_what_a_nested_run_used_of_a_model_is_what_its_spawn_used(own_home, vendors, tmp_path):
    vendors.answer = lambda request: Say(tokens=(70, 11))
    gpt = {**thinks("openai", f"{vendors.url}/v1", "gpt"), "scopes": [], "effects": "none", "price": PRICE}
    script = 'result = gather([spawn("gpt", {"customer_id": n}) for n in range(2)])'
    outer = nested(tmp_path, script, "echo", inner={"agents": {"gpt": gpt}}, more={"gpt": gpt})
    async with Runner(home=own_home, sandbox="process") as runner:
        result = await runner.run(Script("outer", b'result = spawn("inner", {}).result()'), policy=outer)
        events = list(runner.events(result.run))
        (inner,) = fold(events).nested
        within = list(runner.events(inner))

    assert result.result == [{"customer_id": 0}, {"customer_id": 1}], result.error
    both = [event.body["model_usage"] for event in within if event.kind is EventKind.SPAWN_SETTLED]
    assert both == [{"tokens": 81, "cost_usd": 0.000375, "input_tokens": 70, "output_tokens": 11}] * 2
    assert used(events) == {"inner": {"tokens": 162, "cost_usd": 0.00075, "input_tokens": 140, "output_tokens": 22}}
    assert (result.usage.model_tokens, result.usage.cost_usd) == (162, pytest.approx(0.00075))


async def test_the_record_says_which_model_answered_and_its_outcome_is_reused_all_the_same(own_home, vendors, crm):
    vendors.answer = lambda request: Say(model="m-1-20261101")
    asked = policy(vendors, crm)
    script = 'result = spawn("gpt", {"customer_id": 7}).result()'
    first = await run_script(own_home, script, policy=asked)
    again = await run_script(own_home, script, policy=asked, reuse=Reuse(first.result.run))
    reached = [event.body["facts"].get("answered") for event in first.events if event.kind is EventKind.AGENT_REACHED]

    assert first.result.result == again.result.result == {"customer_id": 7}
    assert reached == [None, "m-1-20261101"]
    assert fold(first.events).agents["gpt"]["facts"]["answered"] == "m-1-20261101"
    assert (again.result.usage.reused, again.result.usage.attempts, len(vendors.requests)) == (1, 0, 1)
