"""The mcp backend: what is sent over both ways, what a result becomes, and one fault for everything that goes wrong."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from runner.agents import Setting, build_agent
from runner.agents.mcp_listing import listed_by, server_at
from runner.errors import AgentFault, PolicyError
from runner.policy.lock import fingerprint_of
from runner.policy.model import LockedAgent, Reference, Resource
from runner.seams import Agent, TellsSchemas
from tests.mcp_by_hand import McpService, shared_service, stdio_command
from tests.resource_server import Received, ResourceServer, Said
from tests.unit.agents_by_hand import HandCredential, all_gone, call, entry, open_folder, policy_with, written

KEY = "hunter2-hunter2-hunter2"
KEPT = Reference("env", ("K",))


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture
def server() -> Iterator[ResourceServer]:
    with ResourceServer() as found:
        yield found


def agent(folder: Path | None = None, *, lock: Any = None, resources: tuple[Resource, ...] = (), output: Any = None, **options: Any) -> Agent:
    policy = policy_with(*resources, lock=lock)
    setting = Setting(folder=folder or Path(), read_reference=lambda reference: KEY, policy=policy)
    return build_agent(replace(entry("mcp", {"tool": "echo", **options}), output_schema=output or {}), setting)


async def fault_of(made: Agent, inputs: Any = None, *, of: Any = None) -> AgentFault:
    try:
        with pytest.raises(AgentFault) as raised:
            await made.run(of or call({} if inputs is None else inputs))
    finally:
        await made.close()
    return raised.value


def told(fault: AgentFault) -> tuple[Any, ...]:
    return fault.kind, fault.message, fault.lost, fault.slow_down


# --- what is sent ----------------------------------------------------------------------------


async def test_a_tool_is_told_which_attempt_it_is_of_in_its_meta_and_by_headers() -> None:
    service = shared_service()
    service.requests.clear()
    output = await agent(url=service.url, headers={"X-Key": KEPT}).run(call({"value": {"a": None}}))

    (params,) = service.calls()
    assert output == {"result": {"a": None}}
    assert (params["name"], params["arguments"]) == ("echo", {"value": {"a": None}})
    assert (params["_meta"]["runner/idempotency_key"], params["_meta"]["traceparent"]) == ("run-1:7:2", call().traceparent)
    assert all(headers["x-key"] == KEY and headers["traceparent"] == call().traceparent for headers, _ in service.requests)
    assert all(float(headers["runner-deadline"]) > 0 and "idempotency-key" not in headers for headers, _ in service.requests)
    assert not any(KEY.encode() in body for _, body in service.requests)


async def test_a_program_gets_exactly_its_environment_and_the_door(tmp_path: Path) -> None:
    made = agent(tmp_path, command=stdio_command(tmp_path), tool="environ", env={"MINE": "1"}, output_at="/result")
    credential = HandCredential()
    plain = await made.run(call({}))
    fault = await fault_of(made, of=call({}, credential=credential))
    await credential.close()

    plain.pop("LC_CTYPE", None)  # Python's own, where the locale is C.
    assert set(plain) == {"PATH", "HOME", "MINE"}
    assert told(fault) == ("invalid_output", 'agent "a" returned a credential that it was handed', False, None)
    assert credential.observed[0] in ("all", "gateway only")


async def test_arguments_are_a_mapping_and_may_be_told_by_the_policy() -> None:
    service = shared_service()
    fault = await fault_of(agent(url=service.url), [1])

    assert told(fault) == ("invalid_input", 'agent "a" cannot be sent these inputs: a tool\'s arguments are a mapping', False, None)
    assert await agent(url=service.url, arguments={"value": "{inputs}"}, output_at="/result").run(call([1])) == [1]


# --- what comes back -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "schema", "output"),
    [
        ("plain", {}, {"text": "plain"}), ("42", {}, {"text": "42"}), ('{"a": 1}', {}, {"a": 1}), ("[1]", {}, [1]),
        ('{"a": NaN}', {}, {"text": '{"a": NaN}'}), ('{"a": 1}', {"type": "string"}, '{"a": 1}'),
    ],
)  # fmt: skip
async def test_a_result_without_structure_is_its_one_text(text: str, schema: Any, output: Any) -> None:
    assert await agent(url=shared_service().url, tool="text", output=schema).run(call({"value": text})) == output


def reply(got: Received, result: Any = None, *, tool: Any = None) -> Said:
    """Answer as a server of the handshake does; the tool with this result."""
    asked = json.loads(got.body)
    results = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}},
        "tools/list": {"tools": [tool or {"name": "echo", "inputSchema": {"type": "object"}}]},
        "tools/call": result,
    }  # fmt: skip
    if "id" not in asked:
        return Said(202, b"")
    found = {"result": results[asked["method"]]} if asked["method"] in results else {"error": {"code": -32601, "message": "no"}}
    return Said(body=json.dumps({"jsonrpc": "2.0", "id": asked["id"], **found}).encode(), headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(
    ("result", "kind", "message", "lost"),
    [
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "invalid_output", "returned what its protocol does not know", False),
        ({"content": [{"type": "image", "data": "", "mimeType": "image/png"}]}, "invalid_output", "returned what its protocol does not know", False),
        ({"content": 3}, "invalid_output", "returned what its protocol does not know", False),
        ({"content": [], "structuredContent": {"a": float("nan")}}, "invalid_output", "returned what is no JSON", False),
        ({"content": [{"type": "text", "text": "hunter"}], "isError": True}, "failed", "failed", False),
    ],
)  # fmt: skip
async def test_what_is_no_result_is_one_fault(server: ResourceServer, result: Any, kind: str, message: str, lost: bool) -> None:
    server.answer = lambda got: reply(got, result)

    assert told(await fault_of(agent(url=server.url))) == (kind, f'agent "a" {message}', lost, None)


async def test_a_pattern_of_the_servers_own_schema_is_not_tried(server: ResourceServer) -> None:
    output = {"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}}
    tool = {"name": "echo", "inputSchema": {"type": "object"}, "outputSchema": output}
    value = {"a": "a" * 60 + "!"}
    server.answer = lambda got: reply(got, {"content": [], "structuredContent": value}, tool=tool)

    assert await asyncio.wait_for(agent(url=server.url).run(call({})), 20) == value


# --- what goes wrong over HTTP ---------------------------------------------------------------


@pytest.mark.parametrize("when", ["initialize", "tools/call"])
@pytest.mark.parametrize(
    ("said", "kind", "message", "lost", "slow_down"),
    [
        (Said(401, b"hunter"), "unauthorised", "status 401: it does not accept its credential", False, None),
        (Said(403), "unauthorised", "status 403: it does not accept its credential", False, None),
        (Said(429, headers={"Retry-After": "7"}), "failed", "status 429", False, 7.0),
        (Said(503, headers={"Retry-After": "7"}), "failed", "status 503", False, 7.0),
        (Said(500), "failed", "status 500", True, None),
        (Said(307, headers={"Location": "/elsewhere"}), "failed", "status 307: it is not followed elsewhere", False, None),
        (Said(200, b"<html>", {"Content-Type": "text/html"}), "invalid_output", "text/html, not with JSON", False, None),
    ],
)  # fmt: skip
async def test_a_status_that_is_no_success_is_a_fault_of_its_kind(
    server: ResourceServer, when: str, said: Said, kind: str, message: str, lost: bool, slow_down: float | None
) -> None:
    server.answer = lambda got: said if got.method == "POST" and json.loads(got.body)["method"] == when else reply(got)
    fault = await fault_of(agent(url=server.url))

    # What goes wrong before the tool is called has done nothing.
    assert told(fault) == (kind, f'agent "a" answered with {message}', lost and when == "tools/call", slow_down)


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (Said(body=b"{", headers={"Content-Type": "application/json"}), "invalid_output", "returned what its protocol does not know"),
        (Said(body=b"x" * 3_000_000, headers={"Content-Type": "application/json"}), "invalid_output", "returned more than 65536 bytes"),
        (Said(body=b"data: " + b"x" * 3_000_000, headers={"Content-Type": "text/event-stream"}), "invalid_output", "returned more than 65536 bytes"),
        (Said(body=gzip.compress(b"x" * 50_000_000, 1), headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}), "invalid_output", "returned more than 65536 bytes"),
        (Said(body=b"{", headers={"Content-Type": "application/json", "Content-Length": "50", "Connection": "close"}), "failed", "broke off"),
        (Said(body=b"data: {", headers={"Content-Type": "text/event-stream", "Content-Length": "50", "Connection": "close"}), "failed", "broke off"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_none_is_one_fault(server: ResourceServer, said: Said, kind: str, message: str) -> None:
    server.answer = lambda got: said if got.method == "POST" and json.loads(got.body)["method"] == "tools/call" else reply(got)

    assert told(await fault_of(agent(url=server.url)))[:3] == (kind, f'agent "a" {message}', message == "broke off")


async def test_a_server_that_is_down_was_asked_nothing() -> None:
    with ResourceServer() as gone:
        url = gone.url

    assert told(await fault_of(agent(url=url))) == ("failed", 'agent "a" could not be reached', False, None)


async def test_a_session_of_the_older_handshake_is_ended_and_a_cancelled_attempt_does_not_wait_for_that(server: ResourceServer) -> None:
    never = threading.Event()

    def answer(got: Received) -> Said:
        if got.method == "POST" and json.loads(got.body)["method"] != "tools/call":
            said = reply(got)
            return replace(said, headers={**said.headers, "Mcp-Session-Id": "s-1"})
        return Said(405, b"") if got.method == "GET" else Said(hold=never)

    server.answer = answer
    attempt = asyncio.ensure_future(agent(url=server.url).run(call({})))
    while not any(b"tools/call" in got.body for got in server.received):
        await asyncio.sleep(0.005)
    attempt.cancel()
    done, _ = await asyncio.wait([attempt], timeout=10)
    assert done and attempt.cancelled()

    server.answer = lambda got: answer(got) if b"tools/call" not in got.body else reply(got, {"content": [], "structuredContent": {}})
    server.received.clear()
    assert await agent(url=server.url).run(call({})) == {}
    assert [got.headers["mcp-session-id"] for got in server.received if got.method == "DELETE"] == ["s-1"]
    never.set()


async def test_a_tool_that_is_not_there_is_told_and_an_endless_list_of_tools_ends(server: ResourceServer) -> None:
    message = 'agent "a" has no tool "other" at its server'
    assert told(await fault_of(agent(url=shared_service().url, tool="other"))) == ("failed", message, False, None)

    def again(got: Received) -> Said:
        asked = json.loads(got.body)
        if asked["method"] != "tools/list":
            return reply(got)
        page = {"jsonrpc": "2.0", "id": asked["id"], "result": {"tools": [], "nextCursor": "more"}}
        return Said(body=json.dumps(page).encode(), headers={"Content-Type": "application/json"})

    server.answer = again
    assert (await fault_of(agent(url=server.url, tool="other"))).message == message


async def test_a_value_kept_by_reference_is_in_no_output_detail_log_or_fact(server: ResourceServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": KEPT}
    made = agent(url=server.url, headers=headers)
    faults = []
    for said in (Said(401, f"bad {KEY}".encode()), Said(body=f'"{KEY}'.encode(), headers={"Content-Type": "application/json"})):
        server.answer = lambda got, said=said: said  # type: ignore[misc]
        faults.append(await fault_of(made))
    server.answer = lambda got: reply(got, {"content": [], "structuredContent": {"a": got.headers["authorization"]}})
    faults.append(await fault_of(made))

    assert faults[2].message == 'agent "a" returned a credential that it was handed'
    assert KEY not in "".join(fault.message + fault.detail for fault in faults) + str(made.facts())
    assert KEY not in "".join(record.getMessage() + (record.exc_text or "") for record in caplog.records)


def named(server: ResourceServer, name: str, schema: Any = None) -> None:
    """Have the server say that it is called so, and that its tool takes this."""

    def answer(got: Received) -> Said:
        said = reply(got, {"content": [], "structuredContent": {}}, tool={"name": "echo", "inputSchema": schema or {"type": "object"}})
        info = json.dumps({"name": name, "version": "1"}).encode()
        return replace(said, body=said.body.replace(b'{"name": "s", "version": "1"}', info))

    server.answer = answer


@pytest.mark.parametrize(
    ("name", "schema", "where"),
    [
        (f"of {KEY}", None, "its name"), (f"{KEY[:5]}\x1b[0m\u200b{KEY[5:]}", None, "its name"), ("x" * 190 + KEY, None, "its name"),
        ("s", {"type": "object", "title": KEY}, "the schemas of its tool"),
    ],
)  # fmt: skip
async def test_a_server_that_repeats_a_credential_in_what_it_says_of_itself_is_not_called(
    server: ResourceServer, name: str, schema: Any, where: str
) -> None:
    named(server, name, schema)
    made = agent(url=server.url, headers={"X-Key": KEPT})
    assert isinstance(made, TellsSchemas)
    with pytest.raises(AgentFault):
        await made.schemas()
    fault = await fault_of(made)

    message = f'agent "a" has a server that repeats a credential that it was handed in {where}'
    assert told(fault) == ("failed", message, False, None)
    assert fault.detail == "it was not called, and what it said was not kept"
    assert KEY[:5] not in str(made.facts())
    assert not any(b"tools/call" in got.body for got in server.received)


async def test_a_server_of_an_ordinary_name_is_called_and_named(server: ResourceServer) -> None:
    named(server, "ordinary")
    made = agent(url=server.url, headers={"X-Key": KEPT})

    assert await made.run(call({})) == {}
    assert made.facts()["server"] == "ordinary 1"
    await made.close()


@pytest.mark.parametrize(
    "said",
    [
        Said(headers={"Content-Type": f"Text/{KEY.upper()}"}),
        Said(401, f"bad {KEY[:5]}\x01{KEY[5:]}".encode()),
        Said(body=json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"content": "x" * 13 + KEY + "y" * 100}}).encode(), headers={"Content-Type": "application/json"}),
    ],
    ids=["type", "control characters", "an error that shows a part"],
)  # fmt: skip
async def test_what_a_server_repeats_in_disguise_does_not_come_into_the_journal(server: ResourceServer, said: Said) -> None:
    def answer(got: Received) -> Said:
        asked = json.loads(got.body) if got.body else {}
        return replace(said, body=said.body.replace(b'"id": 1', f'"id": {asked["id"]}'.encode())) if asked.get("method") == "tools/call" else reply(got)

    server.answer = answer
    fault = await fault_of(agent(url=server.url, headers={"X-Key": KEPT}))

    assert KEY[:7] not in fault.message + fault.detail.lower()


@pytest.mark.parametrize("charset", ["charset=punycode", "charset*0=puny; charset*1=code"])
async def test_no_event_is_decoded_by_a_codec_that_its_server_names(
    server: ResourceServer, monkeypatch: pytest.MonkeyPatch, charset: str
) -> None:
    decoded: list[Any] = []
    monkeypatch.setattr("encodings.punycode.punycode_decode", lambda *asked: decoded.append(asked) or "")

    def answer(got: Received) -> Said:
        said = reply(got, {"content": [], "structuredContent": {"a": "ü-kva"}})
        if not said.body:
            return said
        return Said(body=b"data: " + said.body + b"\n\n", headers={"Content-Type": f"text/event-stream; {charset}"})

    server.answer = answer

    assert await agent(url=server.url).run(call({})) == {"a": "ü-kva"}
    assert [tool.name for tool in await listed_by(server_at(url=server.url), Setting(Path()))] == ["echo"]
    assert decoded == []


# --- what goes wrong over pipes --------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "bad", "kind", "message", "lost"),
    [
        ("echo", ["garbage"], "invalid_output", "returned what its protocol does not know", False),
        ("echo", ["endless"], "invalid_output", "returned more than 65536 bytes", False),
        ("exit", [], "failed", "exited with status 3", True),
        ("fail", [], "failed", "failed", False),
    ],
)  # fmt: skip
async def test_a_program_that_goes_wrong_is_one_fault(tmp_path: Path, tool: str, bad: list[str], kind: str, message: str, lost: bool) -> None:
    fault = await fault_of(agent(tmp_path, command=stdio_command(tmp_path, *bad), tool=tool))

    assert told(fault) == (kind, f'agent "a" {message}', lost, None)


async def test_a_program_that_cannot_be_started_or_ends_at_once_is_told(tmp_path: Path) -> None:
    missing = await fault_of(agent(tmp_path, command=["./none"]))
    ends = await fault_of(agent(tmp_path, command=["sh", "-c", "echo hunter2 >&2"]))

    assert told(missing) == ("failed", 'agent "a" could not be started', False, None)
    assert (told(ends), ends.detail) == (("failed", 'agent "a" exited with status 0', False, None), "Connection closed\nstderr: hunter2")


async def test_a_program_that_ignores_sigterm_and_forks_is_dead_after_its_attempt(tmp_path: Path) -> None:
    made = agent(tmp_path, command=stdio_command(tmp_path), tool="hang")
    attempt = asyncio.ensure_future(made.run(call({"value": str(tmp_path / "pids")})))
    pids = [int(pid) for pid in (await written(tmp_path / "pids")).split()]
    attempt.cancel()
    await asyncio.wait([attempt])

    assert attempt.cancelled() and len(pids) == 2
    assert await all_gone(pids)
    await made.close()


# --- locks and schemas -----------------------------------------------------------------------


def locked(made: Agent) -> dict[str, LockedAgent]:
    facts = made.facts()
    return {"a": LockedAgent("mcp", fingerprint_of("mcp", facts), facts)}


async def test_what_a_server_is_becomes_a_fact_and_its_schemas_are_told(tmp_path: Path) -> None:
    made = agent(tmp_path, command=stdio_command(tmp_path))
    before = made.facts()
    assert isinstance(made, TellsSchemas)
    schemas = await made.schemas()

    assert schemas == ({"type": "object"}, {"type": "object"})
    assert set(made.facts()) - set(before) == {"server", "schemas"}
    assert made.facts()["server"] == "tiny 1"


@pytest.mark.parametrize(
    ("bad", "version", "changed"), [(["other-schema"], "1", "schemas"), ([], "2", "server"), (["other-schema"], "2", "server and other schemas")]
)  # fmt: skip
async def test_a_server_that_changed_since_the_lock_is_refused_before_its_tool_is_called(
    tmp_path: Path, bad: list[str], version: str, changed: str
) -> None:
    mark = tmp_path / "called"
    first = agent(tmp_path, command=stdio_command(tmp_path))
    await first.run(call({}))
    lock = locked(first)
    later = agent(tmp_path, command=stdio_command(tmp_path, *bad, version=version), lock=lock)
    fault = await fault_of(later, {"mark": str(mark)})

    assert told(fault) == ("failed", f'agent "a" is not what the lock of its policy says: it has another {changed}', False, None)
    assert (later.facts()["schemas"], mark.exists()) == (lock["a"].facts["schemas"], False)
    await agent(tmp_path, command=stdio_command(tmp_path), lock=lock).run(call({"mark": str(mark)}))
    assert mark.exists()


# --- credentials -----------------------------------------------------------------------------


async def test_elsewhere_than_at_a_resource_the_token_goes_on_each_request() -> None:
    service = shared_service()
    service.requests.clear()
    token = "token-of-the-attempt"
    credential = HandCredential(crm=token)
    output = await agent(url=service.url, output_at="/result").run(call({"value": 1}, credential=credential))
    refused = await fault_of(agent(url=service.url), of=call({}, credential=HandCredential()))

    assert (output, credential.observed) == (1, ["none"])
    assert {headers["authorization"] for headers, _ in service.requests} == {f"Bearer {token}"}
    assert not any(token.encode() in body for _, body in service.requests)
    assert told(refused) == ("failed", 'agent "a" could not be called', False, None)


async def test_under_a_resource_every_request_goes_to_the_gateway_alone(server: ResourceServer) -> None:
    credential = HandCredential()
    resource = Resource("crm", server.url, server.url, {"crm:read": ()})
    fault = await fault_of(agent(url=server.url + "/mcp", resources=(resource,)), of=call({}, credential=credential))

    assert fault.kind == "invalid_output"  # What stands behind this door speaks no MCP.
    assert server.received == [] and credential.observed == ["gateway only"]
    assert {request.target for request in credential.requests} == {"/mcp"}


# --- the library -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (None, 'agent "a" needs mcp, which is not installed'),
        ("1.27.0", 'agent "a" needs mcp from 2.3 to below 3; 1.27.0 is installed'),
        ("3.0.0", 'agent "a" needs mcp from 2.3 to below 3; 3.0.0 is installed'),
    ],
)
def test_a_library_that_is_missing_or_of_another_version_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, version: str | None, message: str
) -> None:
    def found(name: str) -> str:
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr("runner.agents.extras.metadata.version", found)
    with pytest.raises(PolicyError) as raised:
        agent(url="http://127.0.0.1:1/mcp")

    assert (raised.value.message, raised.value.hint) == (message, 'install it: pip install "spawn-runner[mcp]"')


def test_a_service_of_this_file_ends() -> None:
    with McpService() as service:
        assert service.url.endswith("/mcp")
