"""Agents that are services and MCP servers, in whole runs: through the gateway, held to the lock and to their schemas."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import Runner, Script
from runner.errors import NotAsLocked, PolicyError
from runner.events import EventKind
from runner.models import RunState
from runner.policy import load_policy, load_policy_text
from tests.mcp_by_hand import McpService, shared_service, stdio_command
from tests.process_lists import Look
from tests.resource_server import ResourceServer, Said
from tests.runs import ANY_OBJECT, policy_of, run_script
from tests.token_watch import WATCH
from tests.unit.agents_by_hand import open_folder

WITH_ID = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.fixture
def server() -> Iterator[ResourceServer]:
    with ResourceServer() as found:
        yield found


def remote(backend: str, **more: Any) -> dict[str, Any]:
    return {"description": backend, "input": ANY_OBJECT, "output": ANY_OBJECT, "effects": "none", "timeout": "20s", **more}


async def test_a_service_and_a_tool_are_asked_through_the_gateway_with_the_attempts_token_on_the_record(
    own_home: Path, server: ResourceServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tools = shared_service()
    tools.requests.clear()
    server.answer = lambda got: Said(body=json.dumps({"said": got.headers["authorization"]}).encode())
    service = {"url": server.url + "/api/customers/{inputs.id}", "method": "GET"}
    agents = {
        "customer": remote("http", http=service, scopes=["crm:read"], input=WITH_ID),
        "search": remote("mcp", mcp={"url": tools.url, "tool": "echo"}, scopes=["tools:call"]),
    }
    origin = tools.url.removesuffix("/mcp")
    resources = {
        "crm": {"url": server.url + "/api", "scopes": {"crm:read": "GET /customers/{inputs.id}"}},
        "tools": {"url": origin, "scopes": {"tools:call": ["POST,GET,DELETE /mcp"]}},
    }
    policy = policy_of(agents=agents, resources=resources)
    source = (
        "a = spawn('customer', {'id': 7}, scopes=['crm:read'])\n"
        "b = spawn('search', {'value': 'x'}, scopes=['tools:call'])\n"
        "result = gather(a, b)"
    )
    ran = await run_script(own_home, source, policy=policy)

    assert policy.warnings == ()
    assert ran.result.result == [{"said": "Bearer [redacted]"}, {"result": "x"}], ran.result.error
    (got,) = server.received
    sent = {headers["authorization"] for headers, _ in tools.requests} | {got.headers["authorization"]}
    assert (got.method, got.path, len(sent)) == ("GET", "/api/customers/7", 2)
    uses = ran.view.tokens.uses
    assert [(use.path, use.status) for use in uses if use.resource == "crm"] == [("/customers/7", 200)]
    assert {(use.path, use.status) for use in uses if use.resource == "tools"} == {("/mcp", 200)}
    assert len([use for use in uses if use.resource == "tools"]) == len(tools.requests)
    # No byte of a token is anywhere but in those headers.
    stored = b"".join(path.read_bytes() for path in own_home.rglob("*") if path.is_file())
    logged = "".join(record.getMessage() + (record.exc_text or "") for record in caplog.records)
    for token in (header.removeprefix("Bearer ") for header in sent):
        assert token.count(".") == 2
        assert token.encode() not in stored and token not in logged
        assert not any(token.encode() in body for body in [got.body, *(body for _, body in tools.requests)])


Requests = list[tuple[dict[str, str], bytes]]


def nowhere(canaries: Iterable[str], home: Path, log: pytest.LogCaptureFixture, requests: Requests) -> bool:
    """Say whether these are in no file of a home, no log record and no body."""
    stored = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    logged = "".join(record.getMessage() + (record.exc_text or "") for record in log.records).encode()
    searched = [stored, logged, *(body for _, body in requests)]
    return not any(canary.encode() in place for canary in canaries for place in searched)


def tokens_of(requests: Requests) -> list[str]:
    found = {headers["authorization"].removeprefix("Bearer ") for headers, _ in requests if "authorization" in headers}
    assert {token.encode() for token in found} <= set(WATCH.minted)
    return list(found)


@pytest.mark.parametrize(("backend", "key"), [("http", "canary-key-of-http-4a61f0"), ("mcp", "canary-key-of-mcp-77e2c9")])
async def test_no_process_list_has_a_key_or_a_token_while_an_agent_is_asked(
    own_home: Path, server: ResourceServer, backend: str, key: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("CANARY_KEY", key)
    tools, look = shared_service(), Look(key)
    tools.requests.clear()
    server.answer = look.during(server.answer)
    monkeypatch.setattr(tools, "heard", look.now)
    at: dict[str, Any] = {"url": server.url} if backend == "http" else {"url": tools.url, "tool": "echo"}
    agents = {
        "scoped": remote(backend, **{backend: at}, scopes=["crm:read"]),
        "keyed": remote(backend, **{backend: {**at, "headers": {"x-key": "env:CANARY_KEY"}}}),
    }
    crm = {"url": at["url"].removesuffix("/mcp"), "scopes": {"crm:read": "POST,GET,DELETE /**"}}
    ran = await run_script(
        own_home, "result = gather(spawn('scoped', {}, scopes=['crm:read']), spawn('keyed', {}))",
        policy=policy_of(agents=agents, resources={"crm": crm}),
    )  # fmt: skip
    requests = [(got.headers, got.body) for got in server.received] + tools.requests
    tokens = tokens_of(requests)

    assert ran.result.spawns == {"ok": 2}, ran.result.error
    assert (look.looks, look.found) == (len(requests), [])
    assert (len(tokens), {headers["x-key"] for headers, _ in requests if "x-key" in headers}) == (1, {key})
    assert nowhere([key, *tokens], own_home, caplog, requests)


async def test_a_program_of_an_mcp_server_has_what_its_policy_says_in_its_environment_and_no_token(
    own_home: Path, server: ResourceServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = "canary-key-of-a-program-0b93d4"
    monkeypatch.setenv("CANARY_KEY", key)
    look = Look(key)
    server.answer = look.during(server.answer)
    crm = {"url": server.url + "/api", "scopes": {"crm:read": ["GET /customers/**"]}}
    # Where the host is root a program has a uid of its own, and pytest's folders are closed to it.
    with open_folder() as folder:
        mcp = {"command": stdio_command(folder), "tool": "crm", "env": {"OWN_KEY": "env:CANARY_KEY"}}
        text = {"version": 1, "sandbox": "process", "agents": {"ask": remote("mcp", mcp=mcp, scopes=["crm:read"])}, "resources": {"crm": crm}}
        policy = load_policy_text(yaml.safe_dump(text), folder=folder, name="test")
        source = "result = spawn('ask', {'value': '/customers/7'}, scopes=['crm:read']).result()"
        ran = await run_script(own_home, source, policy=policy)
    requests = [(got.headers, got.body) for got in server.received]
    tokens = tokens_of(requests)

    assert ran.result.state is RunState.DONE, ran.result.error
    told = ran.result.result
    assert (told["status"], told["names"]) == (200, ["HOME", "OWN_KEY", "PATH", "RUNNER_GATEWAY", "RUNNER_GATEWAY_KEY"])
    assert (look.looks, look.found) == (1, [f"/proc/{told['pid']}/environ"])
    assert len(tokens) == 1 and nowhere([key, *tokens], own_home, caplog, requests)


async def test_what_the_scopes_do_not_open_is_unauthorised_and_never_arrives(own_home: Path, server: ResourceServer) -> None:
    agents = {"customer": remote("http", http=server.url + "/{inputs.id}", scopes=["crm:read"], input=WITH_ID)}
    policy = policy_of(agents=agents, resources={"crm": {"url": server.url, "scopes": {"crm:read": "GET /{inputs.id}"}}})
    ran = await run_script(own_home, "result = spawn('customer', {'id': 7}, scopes=['crm:read']).result()", policy=policy)

    assert ran.result.spawns == {"unauthorised": 1}
    assert server.received == []
    (warning,) = policy.warnings
    assert warning.endswith('agent "customer" is asked by POST /{inputs.id} of resource "crm", which "crm:read" may not open')


async def test_inputs_that_do_not_fit_into_a_path_are_invalid_input(own_home: Path, server: ResourceServer) -> None:
    policy = policy_of(agents={"a": remote("http", http=server.url + "/{inputs.id}/x")})
    ran = await run_script(own_home, "result = gather(spawn('a', {'id': '..'}), spawn('a', {}), on_error='none')", policy=policy)

    assert (ran.result.spawns, server.received) == ({"invalid_input": 2}, [])


async def test_an_answer_of_another_schema_is_invalid_output(own_home: Path, server: ResourceServer) -> None:
    policy = policy_of(agents={"a": remote("http", http=server.url, output=NUMBER)})
    server.answer = lambda got: Said(body=b'{"n": "seven", "hunter": 2}')
    ran = await run_script(own_home, "result = spawn('a', {}).result()", policy=policy)

    assert (ran.result.state, ran.result.spawns) == (RunState.FAILED, {"invalid_output": 1})


async def test_five_calls_in_a_run_are_five_idempotency_keys_and_one_trace(own_home: Path, server: ResourceServer) -> None:
    policy = policy_of(agents={"a": remote("http", http=server.url)})
    ran = await run_script(own_home, "result = gather([spawn('a', {'n': n}) for n in range(5)])", policy=policy)

    assert ran.result.state is RunState.DONE, ran.result.error
    assert len({got.headers["idempotency-key"] for got in server.received}) == 5
    assert len({got.headers["traceparent"].split("-")[1] for got in server.received}) == 1


@pytest.mark.parametrize(("effects", "kind"), [("read", "timed_out"), ("write", "outcome_unknown")])
async def test_a_service_that_does_not_answer_in_time_is_left_and_its_connection_is_closed(own_home: Path, effects: str, kind: str) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readuntil(b"\r\n\r\n")).startswith(b"POST /waits "):
            await left.wait()
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()
        else:
            asked.set()
            while await reader.read(1000):
                pass
            left.set()
        writer.close()

    # The second call is answered once the connection of the first is closed: before the run is over.
    source = (
        "one = spawn('held', {})\ngather([one], on_error='none')\n"
        "result = [one.error.kind, str(one.error), spawn('waits', {}).result()]"
    )
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        agents = {
            "held": remote("http", http=f"{url}/held", effects=effects, timeout="0.5s"),
            "waits": remote("http", http=f"{url}/waits", output={"type": "null"}),
        }
        ran = await run_script(own_home, source, policy=policy_of(agents=agents))

    unknown = "; it may or may not have done what it was asked" if kind == "outcome_unknown" else ""
    assert asked.is_set()
    assert ran.result.result == [kind, f'agent "held" took longer than 0.5 s{unknown}', None], ran.result.error
    assert [event.body["outcome"] for event in ran.of(EventKind.SPAWN_SETTLED)] == [kind, "ok"]


# --- locks -----------------------------------------------------------------------------------


def write_policy(folder: Path, mcp: dict[str, Any]) -> Path:
    file = folder / "runner.yaml"
    agents = {"ask": remote("mcp", mcp=mcp, unsafe_same_uid=True)}
    file.write_text(yaml.safe_dump({"version": 1, "sandbox": "process", "agents": agents}))
    return file


async def test_the_schemas_of_a_tool_are_locked_and_another_one_is_refused_before_it_is_called(own_home: Path, tmp_path: Path) -> None:
    file = write_policy(tmp_path, {"command": stdio_command(tmp_path), "tool": "echo"})
    report = await Runner.lock_policy(file)
    source = f"result = spawn('ask', {{'mark': {str(tmp_path / 'called')!r}}}).result()"
    good = await run_script(own_home, source, policy=load_policy(file))
    (tmp_path / "called").unlink()
    # Its file is a fact of the agent: it is refused before the run.
    (tmp_path / "server.py").write_text((tmp_path / "server.py").read_text().replace('"outputSchema": ANY', '"outputSchema": {**ANY, "title": "new"}'))
    with pytest.raises(NotAsLocked, match='agent "ask" is not what the lock of policy "runner" says: argument'):
        async with Runner(home=own_home, sandbox="process") as runner:
            await runner.run(Script("s", source.encode()), policy=load_policy(file))

    locked = report.agents["ask"]
    assert (locked.input_schema, locked.output_schema) == ({"type": "object"}, {"type": "object"})
    assert locked.facts["server"] == "tiny 1" and len(locked.facts["schemas"]) == 64
    assert good.result.state is RunState.DONE, good.result.error
    assert good.of(EventKind.AGENT_REACHED)[0].body["fingerprint"] == locked.fingerprint
    assert not (tmp_path / "called").exists()


async def test_a_server_at_a_url_that_changed_its_tool_after_the_lock_is_refused_in_the_run(own_home: Path, tmp_path: Path) -> None:
    called: list[Any] = []

    def first(value: int) -> dict[str, Any]:
        return {"got": value}

    def later(value: int, also: str = "everything") -> dict[str, Any]:
        called.append(value)
        return {"got": value}

    first.__name__ = later.__name__ = "take"
    with McpService(first) as before, McpService(later) as after:
        file = write_policy(tmp_path, {"url": before.url, "tool": "take"})
        await Runner.lock_policy(file)
        good = await run_script(own_home, "result = spawn('ask', {'value': 1}).result()", policy=load_policy(file))
        # As if the first had been replaced where it was.
        before.become(after)
        ran = await run_script(own_home, "result = spawn('ask', {'value': 1}).result()", policy=load_policy(file))

    assert good.result.result == {"got": 1}
    assert (ran.result.spawns, called) == ({"failed": 1}, [])
    told = " ".join(event.value or "" for event in ran.events)
    assert 'agent \\"ask\\" is not what the lock of its policy says: it has another schemas' in told


async def test_a_server_that_cannot_be_asked_is_not_locked(tmp_path: Path) -> None:
    for mcp, message in (
        ({"command": stdio_command(tmp_path), "tool": "none"}, 'agent "a" has no tool "none" at its server'),
        ({"url": "http://127.0.0.1:1/mcp", "tool": "x"}, 'agent "a" could not be reached'),
    ):
        with pytest.raises(PolicyError) as raised:
            await Runner.lock_policy(write_policy(tmp_path, mcp))
        assert raised.value.message == f'agent "ask" cannot be asked for its schemas: {message}'.replace('"a"', '"ask"')
    assert list(tmp_path.glob("*.lock")) == []
