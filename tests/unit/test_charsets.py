"""What a server says of its charset: nobody in the host's process decodes by a codec that it chose."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from runner.charsets import only_utf8, swift
from runner.credentials.gateway.client import client
from runner.seams import DoorRequest, DoorResponse


@pytest.mark.parametrize(
    "written",
    [
        "text/plain; charset=punycode", "text/plain;CHARSET=idna; x=1", "text/plain; charset*0=puny; charset*1=code", "text/plain;" + ";" * 9_000,
    ],
)  # fmt: skip
def test_of_a_content_type_the_media_type_is_left_and_the_answer_is_utf8(written: str) -> None:
    headers = httpx2.Headers({"content-type": written, "x": "1"})
    only_utf8(headers)

    assert headers == {"content-type": "text/plain", "x": "1"}
    assert httpx2.Response(200, headers=headers, content="ü-kva".encode()).text == "ü-kva"


def test_an_answer_that_says_no_type_gets_none() -> None:
    headers = httpx2.Headers({"x": "1"})
    only_utf8(headers)

    assert headers == {"x": "1"}


@pytest.mark.parametrize(
    ("written", "charset"),
    [
        ("text/html; charset=ISO-8859-1", "iso-8859-1"), ('text/html;charset="windows-1252"; q=1', "windows-1252"), ("text/html", "utf-8"), ("", "utf-8"),
        ("text/html; charset=punycode", "utf-8"), ("text/html; charset*0=puny; charset*1=code", "utf-8"), ("text/html; charset=rot13", "utf-8"),
        ("text/html;" + " " * 5_000 + "charset=iso-8859-1", "utf-8"),
    ],
)  # fmt: skip
def test_a_charset_is_honoured_where_its_codec_is_a_swift_one(written: str, charset: str) -> None:
    assert swift(written) == charset


@pytest.mark.parametrize(
    ("charset", "text"), [("iso-8859-1", "Ã¼-kva"), ("punycode", "ü-kva"), ("utf-7", "ü-kva"), ("none", "ü-kva")]
)
async def test_an_agent_in_the_hosts_process_reads_an_answer_by_no_slow_codec(charset: str, text: str) -> None:
    async def handle(request: DoorRequest) -> DoorResponse:
        async def body() -> AsyncIterator[bytes]:
            yield "ü-kva".encode()

        async def aclose() -> None:
            pass

        return DoorResponse(200, [("Content-Type", f"text/plain; charset={charset}")], body(), aclose)

    async with client(handle) as http:
        answer = await http.get("http://crm/1")
        async with http.stream("GET", "http://crm/1") as streamed:
            parts = [part async for part in streamed.aiter_text()]

    assert (answer.text, "".join(parts)) == (text, text)
    assert answer.headers["content-type"] == f"text/plain; charset={charset}"
