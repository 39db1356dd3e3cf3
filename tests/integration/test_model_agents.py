"""Scripts whose agents are models: their functions reach a resource through the gateway, and what stays where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner.models import RunState
from runner.policy.model import Policy
from tests.resource_server import ResourceServer
from tests.runs import policy_of, run_script
from tests.vendors import Request, Say, Vendors

KEY = "canary-key-5f1e0c88"
ASK = 'result = gather([spawn(a, {"customer_id": n}, scopes=["crm:read"]) for n, a in enumerate(inputs)], on_error="none")'
CUSTOMER = {"type": "object", "properties": {"customer_id": {"type": "integer"}}, "required": ["customer_id"]}
FETCH = {
    "description": "Makes requests.", "python": "actors:fetch",
    "input": {"type": "object", "properties": {"requests": {"type": "array"}}, "required": ["requests"]},
}  # fmt: skip


@pytest.fixture
def vendors():
    with Vendors() as server:
        yield server


@pytest.fixture
def crm():
    with ResourceServer() as server:
        yield server


def thinks(backend: str, base_url: str, *, function: str = "actors:fetch", **more: Any) -> dict[str, Any]:
    options = {
        "model": "m-1", "base_url": base_url, "api_key": "env:MODEL_KEY",
        "tools": {"fetch": {**FETCH, "python": function}}, **more,
    }  # fmt: skip
    return {
        "description": "Thinks.", backend: options, "input": CUSTOMER, "output": CUSTOMER, "scopes": ["crm:read"],
        "effects": "read", "timeout": "30s",
    }  # fmt: skip


def policy(vendors: Vendors, crm: ResourceServer, **more: Any) -> Policy:
    agents = {
        "claude": thinks("anthropic", vendors.url), "gpt": thinks("openai", f"{vendors.url}/v1"),
        "gpt_sync": thinks("openai", f"{vendors.url}/v1", function="actors:sync_fetch", api="responses"),
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


def files(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file() and not path.is_symlink())


async def test_a_models_functions_have_the_authority_of_its_spawn_and_nothing_else_has(
    own_home, vendors, crm, monkeypatch, caplog
):
    caplog.set_level("DEBUG")
    monkeypatch.setenv("MODEL_KEY", KEY)
    vendors.answer = looks_once
    ran = await run_script(own_home, ASK, policy=policy(vendors, crm), inputs=["claude", "gpt", "gpt_sync"])
    tokens = {got.headers["authorization"].removeprefix("Bearer ") for got in crm.received}
    results = [json.loads(text) for request in vendors.requests for text, _ in request.tool_results]

    assert ran.result.state is RunState.DONE
    assert ran.result.result == [{"customer_id": n} for n in range(3)]
    assert sorted(got.path for got in crm.received) == [f"/customers/{n}/orders" for n in range(3)]
    assert [[one["status"] for one in result["said"]] for result in results] == [[200, 403]] * 3
    assert len(tokens) == 3
    assert [vendors.said(token) for token in tokens] == [[], [], []]
    assert {place.partition(" ")[0] for place in vendors.said(KEY)} == {"authorization"}
    assert KEY not in caplog.text and not any(token in caplog.text for token in tokens)
    assert not any(one.encode() in files(own_home) for one in (KEY, *tokens))
