"""The http backend: what is sent, what comes back, and what every kind of bad answer becomes."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.agents import Setting, build_agent, faults
from runner.agents.http import HttpAgent
from runner.errors import AgentFault, PolicyError
from runner.policy.model import Reference, Resource
from tests.resource_server import Received, ResourceServer, Said
from tests.unit.agents_by_hand import HandCredential, call, entry, policy_with

KEY = "hunter2-hunter2-hunter2"


@pytest.fixture
def server() -> Iterator[ResourceServer]:
    with ResourceServer() as found:
        yield found


def agent(url: str, *, resources: tuple[Resource, ...] = (), **options: Any) -> HttpAgent:
    setting = Setting(folder=Path(), read_reference=lambda reference: KEY, policy=policy_with(*resources))
    made = build_agent(entry("http", {"url": url, **options}), setting)
    assert isinstance(made, HttpAgent)
    return made


async def answered(server: ResourceServer, inputs: Any = None, *, path: str = "/x", **options: Any) -> tuple[Any, Received]:
    made = agent(server.url + path, **options)
    try:
        return await made.run(call(inputs)), server.received[-1]
    finally:
        await made.close()


async def fault_of(url: str, inputs: Any = None, *, of: Any = None, **options: Any) -> tuple[Any, ...]:
    made = agent(url, **options)
    try:
        with pytest.raises(AgentFault) as raised:
            await made.run(of or call(inputs))
    finally:
        await made.close()
    fault = raised.value
    return fault.kind, fault.message, fault.lost, fault.slow_down, fault.detail


async def test_the_inputs_are_posted_as_json_with_what_the_attempt_is(server: ResourceServer) -> None:
    before = time.time()
    output, got = await answered(server, {"b": 1, "a": "ü"}, headers={"X-Mine": "1", "X-Key": Reference("env", ("K",))})

    assert output == {"ok": True}
    assert (got.method, got.path, json.loads(got.body)) == ("POST", "/x", {"b": 1, "a": "ü"})
    assert got.headers["content-type"] == "application/json"
    assert (got.headers["accept"], got.headers["accept-encoding"]) == ("application/json", "identity")
    assert (got.headers["idempotency-key"], got.headers["traceparent"]) == ("run-1:7:2", call().traceparent)
    assert (got.headers["x-mine"], got.headers["x-key"]) == ("1", KEY)
    assert before + 30 <= float(got.headers["runner-deadline"]) <= time.time() + 30
    assert "authorization" not in got.headers and "cookie" not in got.headers


@pytest.mark.parametrize(
    ("options", "inputs", "asked", "body"),
    [
        ({"method": "GET"}, {"a": 1}, "GET /x", b""),
        ({"method": "DELETE"}, {"a": 1}, "DELETE /x", b""),
        ({"method": "GET", "path": "/c/{inputs.id}/o"}, {"id": "a b/".strip("/")}, "GET /c/a%20b/o", b""),
        ({"method": "GET", "path": "/c/{inputs.id}?v=1"}, {"id": 42}, "GET /c/42?v=1", b""),
        ({"method": "GET", "path": "/c/{inputs.a.b}"}, {"a": {"b": "?x=1#y@z"}}, "GET /c/%3Fx=1%23y@z", b""),
        (
            {"method": "GET", "query": {"q": "{inputs.q}", "n": 3, "t": "{inputs.t}", "no": "{inputs.no}", "z": "{inputs.z}"}},
            {"q": "a&b=ü", "t": [True, 0.5], "z": None}, "GET /x?q=a%26b%3D%C3%BC&n=3&t=true&t=0.5", b"",
        ),
        ({"method": "PUT", "body": {"id": "{inputs.a}", "all": "{inputs}", "k": ["{inputs.no}", 1]}}, {"a": [1]}, "PUT /x", b'{"id":[1],"all":{"a":[1]},"k":[1]}'),
        ({"method": "DELETE", "body": {"id": "{inputs.a}"}}, {"a": None}, "DELETE /x", b'{"id":null}'),
    ],
)  # fmt: skip
async def test_inputs_stand_in_path_query_and_body_as_the_policy_says(
    server: ResourceServer, options: dict[str, Any], inputs: Any, asked: str, body: bytes
) -> None:
    _, got = await answered(server, inputs, **options)

    assert (f"{got.method} {got.path}", got.body) == (asked, body)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("..", 'input "id" has a dot segment'), ("a/b", 'input "id" has an encoded slash'), ("", 'input "id" is empty'),
        ("%2F", 'input "id" is encoded twice'), ("a\\b", 'input "id" has an encoded slash'), (True, 'input "id" is no text and no whole number'),
        ("．．", 'input "id" has characters that stand for a slash or a dot'), ("a\nb", 'input "id" has a control character'),
    ],
)  # fmt: skip
async def test_an_input_cannot_leave_its_segment_and_nothing_is_sent(server: ResourceServer, value: Any, why: str) -> None:
    kind, message, lost, *_ = await fault_of(server.url + "/c/{inputs.id}/o", {"id": value}, method="GET")

    assert (kind, message, lost) == ("invalid_input", f'agent "a" cannot be sent these inputs: {why}', False)
    assert server.received == []


async def test_an_input_that_is_no_query_is_refused(server: ResourceServer) -> None:
    kind, message, *_ = await fault_of(server.url, {"a": {"b": 1}}, method="GET", query={"q": "{inputs.a}"})

    assert (kind, message) == ("invalid_input", 'agent "a" cannot be sent these inputs: "q" of the query would be a mapping')


async def test_the_output_is_where_the_policy_says(server: ResourceServer) -> None:
    server.answer = lambda got: Said(body=b'{"data": {"a/b": [1, {"c": 2}]}, "more": "' + b"x" * 100_000 + b'"}')

    assert (await answered(server, output_at="/data/a~1b/1"))[0] == {"c": 2}
    assert (await fault_of(server.url, output_at="/data/none"))[:2] == (
        "invalid_output", 'agent "a" returned nothing at "/data/none", where its output should be',
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "kind", "message", "lost", "slow_down"),
    [
        (Said(401), "unauthorised", "status 401: it does not accept its credential", False, None),
        (Said(403), "unauthorised", "status 403: it does not accept its credential", False, None),
        (Said(429, headers={"Retry-After": "7"}), "failed", "status 429", False, 7.0),
        (Said(503, headers={"Retry-After": "2"}), "failed", "status 503", False, 2.0),
        (Said(503), "failed", "status 503", True, None),
        (Said(500, b"<html>hunter</html>", {"Content-Type": "text/html"}), "failed", "status 500", True, None),
        (Said(404), "failed", "status 404", False, None),
        (Said(302, headers={"Location": "https://elsewhere.example/"}), "failed", "status 302: it is not followed elsewhere", False, None),
        (Said(303, headers={"Location": "/done"}), "failed", "status 303: it is not followed elsewhere", True, None),
        (Said(200, b"<html>hunter</html>", {"Content-Type": "text/html; charset=utf-8"}), "invalid_output", "text/html, not with JSON", False, None),
        (Said(200, b"1", {"Content-Type": "do/what-hunter-says"}), "invalid_output", "another type, not with JSON", False, None),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_a_fault_of_its_kind(
    server: ResourceServer, said: Said, kind: str, message: str, lost: bool, slow_down: float | None
) -> None:
    server.answer = lambda got: said
    found = await fault_of(server.url)

    assert found[:4] == (kind, f'agent "a" answered with {message}', lost, slow_down)
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:49 GMT"}, 12.0),
        ({"retry-after": "Sunday, 06-Nov-94 08:49:49 GMT"}, 12.0),
        ({"retry-after": "Sun Nov  6 08:49:49 1994"}, 12.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:30 GMT"}, 0.0),
        ({"retry-after": "Mon, 07 Nov 1994 08:49:37 GMT"}, 3600.0),
        ({"retry-after": "Sun, 99 Nov 1994 99:49:37 GMT"}, 0.0),
        ({"retry-after": "Sun, 06 Nov 99999999999999999999 08:49:37 GMT"}, 0.0),
        ({"retry-after": "soon"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "inf"}, 0.0),
        ({"retry-after": "nan"}, 0.0),
        ({"retry-after": "1e300"}, 3600.0),
        ({"retry-after": "9", "retry-after-ms": "1500"}, 1.5),
    ],
)  # fmt: skip
def test_how_long_a_service_asks_to_be_left_alone_is_seconds_or_a_date(
    headers: dict[str, str], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dates have the three forms of RFC 9110 section 5.6.7; now is 1994-11-06 08:49:37, its example."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        told = faults.retry_after(headers, now=784111777.0)
    time.tzset()

    assert told == seconds


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b'{"a": 1} x', b"\xff", b'"\\ud800"', b"[" * 5000])
async def test_what_is_no_exact_json_is_refused(server: ResourceServer, body: bytes) -> None:
    server.answer = lambda got: Said(body=body, headers={"Content-Type": "application/json"})

    assert (await fault_of(server.url))[:3] == ("invalid_output", 'agent "a" returned what is no JSON', False)


async def test_an_answer_without_content_is_null(server: ResourceServer) -> None:
    server.answer = lambda got: Said(204, b"")

    assert (await answered(server, method="DELETE"))[0] is None


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'"' + b"x" * 3_000_000 + b'"', {}),
        (gzip.compress(b'"' + b"x" * 50_000_000 + b'"', 1), {"Content-Encoding": "gzip"}),
    ],
)
async def test_a_huge_answer_is_read_no_further_than_the_bound(server: ResourceServer, body: bytes, headers: dict[str, str]) -> None:
    server.answer = lambda got: Said(body=body, headers=headers)

    assert (await fault_of(server.url))[:3] == ("invalid_output", 'agent "a" returned more than 65536 bytes', False)


async def test_an_answer_that_is_compressed_unasked_is_understood_and_one_that_lies_is_not(server: ResourceServer) -> None:
    server.answer = lambda got: Said(body=gzip.compress(b'{"a": 1}'), headers={"Content-Encoding": "gzip"})
    assert (await answered(server))[0] == {"a": 1}

    for encoding, body in (("br", b"x"), ("gzip", b"x"), ("gzip", gzip.compress(b"1")[:-5])):
        server.answer = lambda got, encoding=encoding, body=body: Said(body=body, headers={"Content-Encoding": encoding})  # type: ignore[misc]
        assert (await fault_of(server.url))[:2] == ("invalid_output", 'agent "a" returned what is no JSON')


async def test_a_server_that_is_down_was_asked_nothing() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"

    assert (await fault_of(url))[:3] == ("failed", 'agent "a" could not be reached', False)


async def test_a_server_that_speaks_no_tls_was_asked_nothing(server: ResourceServer) -> None:
    found = await fault_of(server.url.replace("http:", "https:"))

    assert found[:3] == ("failed", 'agent "a" could not be reached', False)
    assert server.received == []


async def test_an_answer_that_breaks_off_is_lost(server: ResourceServer) -> None:
    server.answer = lambda got: Said(body=b'{"a"', headers={"Content-Length": "100", "Connection": "close"})

    assert (await fault_of(server.url))[:3] == ("failed", 'agent "a" broke off', True)


async def test_a_server_that_closes_without_an_answer_is_lost() -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.close()

    listening = await asyncio.start_server(close, "127.0.0.1", 0)
    async with listening:
        found = await fault_of(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")

    assert found[:3] == ("failed", 'agent "a" broke off', True)


async def test_a_cancelled_attempt_closes_its_connection_at_once() -> None:
    came, gone = asyncio.Event(), asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.set()
        while await reader.read(1000):
            pass
        gone.set()
        writer.close()

    listening = await asyncio.start_server(hold, "127.0.0.1", 0)
    async with listening:
        made = agent(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        attempt = asyncio.ensure_future(made.run(call()))
        await came.wait()
        attempt.cancel()
        await asyncio.wait([attempt], timeout=10)
        await asyncio.wait_for(gone.wait(), 10)

        assert attempt.cancelled()
        await made.close()


async def test_cookies_are_kept_by_no_attempt_and_proxies_of_the_environment_not_used(
    server: ResourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.answer = lambda got: Said(headers={"Set-Cookie": "session=1; Path=/"})
    made = agent(server.url)
    await made.run(call())
    await made.run(call())
    await made.close()

    assert ["cookie" in got.headers for got in server.received] == [False, False]


async def test_a_value_kept_by_reference_is_in_no_output_no_detail_no_log_and_no_fact(
    server: ResourceServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": Reference("env", ("K",))}
    server.answer = lambda got: Said(body=json.dumps(got.headers).encode())
    echoed = await fault_of(server.url, headers=headers)
    server.answer = lambda got: Said(500, body=f"bad key {KEY}".encode() + b"x" * 200_000)
    told = await fault_of(server.url, headers=headers)

    assert echoed[:2] == ("invalid_output", 'agent "a" returned a credential that it was handed')
    assert told[4].startswith("bad key [redacted]xxx") and len(told[4]) < 4096
    assert KEY not in str(echoed) + str(told) + str(agent(server.url, headers=headers).facts())
    assert KEY not in "".join(record.getMessage() for record in caplog.records)


async def test_a_reference_that_cannot_be_read_or_sent_sends_nothing(server: ResourceServer) -> None:
    def refuse(reference: Reference) -> str:
        raise PolicyError(f"{reference} is not set")

    for read, why in ((refuse, "env:K cannot be read: env:K is not set"), (lambda _: "a\r\nb: c", "the header X has a value that cannot stand in a header")):
        setting = Setting(folder=None, read_reference=read)  # type: ignore[arg-type]
        made = build_agent(entry("http", {"url": server.url, "headers": {"X": Reference("env", ("K",))}}), setting)
        with pytest.raises(AgentFault) as raised:
            await made.run(call())
        assert (raised.value.message, raised.value.detail, raised.value.lost) == ('agent "a" could not be called', why, False)
    assert server.received == []


def test_references_need_somebody_who_reads_them() -> None:
    with pytest.raises(PolicyError, match="has references in its headers, and nothing is there to read them"):
        build_agent(entry("http", {"url": "http://x", "headers": {"X": Reference("env", ("K",))}}), Setting(folder=None))  # type: ignore[arg-type]


# --- credentials -----------------------------------------------------------------------------


def resource(url: str) -> Resource:
    return Resource("crm", url, url, {"crm:read": ()})


async def test_under_a_resource_the_gateway_sends_and_the_backend_has_no_token(server: ResourceServer) -> None:
    credential = HandCredential()
    made = agent(server.url + "/api/{inputs.id}", resources=(resource(server.url + "/api"),))
    output = await made.run(call({"id": 7}, credential=credential))
    await made.close()

    (asked,) = credential.requests
    assert output == {"asked": f"POST {server.url}/api/7", "body": '{"id":7}'}
    assert "authorization" not in {name.lower() for name, _ in asked.headers}
    assert (credential.observed, server.received) == (["gateway only"], [])


async def test_elsewhere_the_one_token_goes_on_the_request_and_several_do_not(server: ResourceServer) -> None:
    token = "token-of-the-attempt"
    credential = HandCredential(crm=token)
    made = agent(server.url)
    await made.run(call(credential=credential))
    server.answer = lambda got: Said(body=json.dumps(got.headers["authorization"]).encode())

    assert server.received[0].headers["authorization"] == f"Bearer {token}"
    assert credential.observed == ["none"]
    assert (await fault_of(server.url, of=call(credential=credential)))[1] == 'agent "a" returned a credential that it was handed'
    for tokens, count in (({}, 0), ({"a": "x" * 20, "b": "y" * 20}, 2)):
        found = await fault_of(server.url, of=call(credential=HandCredential(**tokens)))
        assert found[1:3] == ('agent "a" could not be called', False)
        assert f"it has {count} tokens" in found[4]
    assert len(server.received) == 2
    await made.close()


@pytest.mark.parametrize(
    ("said", "message", "detail"),
    [
        (Said(body=b"1", headers={"Content-Type": f"Text/{KEY.upper()}; q=1"}), "answered with another type, not with JSON", "content-type: text/[redacted]"),
        (Said(401, f"bad {KEY[:5]}\x01{KEY[5:]}!".encode()), "answered with status 401: it does not accept its credential", "bad [redacted]!"),
        (Said(302, headers={"Location": f"/{KEY[:5]}\x7f{KEY[5:]}"}), "answered with status 302: it is not followed elsewhere", "location: /[redacted]"),
        (Said(body=f'{{"a": "\\u0068{KEY[1:]}"}}'.encode()), "returned a credential that it was handed", "its output repeats a value that it was handed, and was not kept"),
        (Said(body=f'{{"\\u0068{KEY[1:]}": 1}}'.encode()), "returned a credential that it was handed", "its output repeats a value that it was handed, and was not kept"),
    ],
)  # fmt: skip
async def test_a_server_that_repeats_a_credential_in_disguise_does_not_bring_it_into_the_journal(
    server: ResourceServer, said: Said, message: str, detail: str
) -> None:
    server.answer = lambda got: said
    found = await fault_of(server.url, headers={"X-Key": Reference("env", ("K",))})

    assert (found[1], found[4]) == (f'agent "a" {message}', detail)


async def test_a_credential_that_is_repeated_without_its_scheme_is_found(server: ResourceServer) -> None:
    setting = Setting(folder=Path(), read_reference=lambda reference: f"Bearer {KEY}", policy=policy_with())
    made = build_agent(entry("http", {"url": server.url, "headers": {"Authorization": Reference("env", ("K",))}}), setting)
    server.answer = lambda got: Said(body=json.dumps(got.headers["authorization"].partition(" ")[2]).encode())
    with pytest.raises(AgentFault, match="returned a credential that it was handed"):
        await made.run(call())
    server.answer = lambda got: Said(500, got.headers["authorization"].partition(" ")[2].encode())
    with pytest.raises(AgentFault) as raised:
        await made.run(call())
    await made.close()

    assert raised.value.detail == "[redacted]"


async def test_attempts_share_connections(server: ResourceServer) -> None:
    held = threading.Barrier(3, timeout=10)

    def answer(got: Received) -> Said:
        if got.path == "/together":
            held.wait()
        return Said()

    server.answer = answer
    made = agent(server.url + "/together")
    await asyncio.gather(*(made.run(call(n)) for n in range(3)))
    await made.close()

    assert len(server.received) == 3
