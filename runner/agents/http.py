"""The `http` backend: one request with a spawn's inputs, one JSON value as the answer.

The request says what attempt it is of: Idempotency-Key, traceparent, and Runner-Deadline, the epoch second at which
nobody waits any more. The answer is read up to the call's bound and parsed strictly. What may have reached the service
and came back with no answer is lost; a connection that could not be made is not.

Not here: the client, its credential and its bounds (remote); the URL and the body as templates (policy.templates).
"""

from __future__ import annotations

import json
from typing import Any

import httpx2

from runner.agents import Setting, faults
from runner.agents.kept import Values
from runner.agents.remote import NotPlain, Remote, TooLarge, UnderWay, at, open_client, whole
from runner.clock import SystemClock
from runner.guest.wire import WireError, canonical, compact, loads
from runner.models import Json, digest_of
from runner.policy.backends.http import WITH_BODY
from runner.policy.model import AgentEntry
from runner.policy.templates import BadInput, fill, parse_url, query_of
from runner.seams import Call

# An answer around an output that is picked out of it.
_ENVELOPES = 4
_JSON_TYPES = ("application/json", "text/json", "text/plain", "")


def build(entry: AgentEntry, setting: Setting) -> HttpAgent:
    """Return the agent of an entry. Raises PolicyError: it has references, and nothing reads them."""
    url = entry.options["url"]
    return HttpAgent(entry, Remote(entry, url, setting, setting.clock or SystemClock()))


class HttpAgent:
    """One service. Connections to it are kept and shared by all attempts."""

    def __init__(self, entry: AgentEntry, remote: Remote) -> None:
        options = entry.options
        self._name = entry.name
        self._remote = remote
        self._under_way = UnderWay(entry.name)
        self._url = parse_url(options["url"])
        self._method: str = options.get("method", "POST")
        self._query: dict[str, Json] | None = options.get("query")
        self._body: Json = options.get("body", "{inputs}" if self._method in WITH_BODY else None)
        self._output_at: str | None = options.get("output_at")
        self._client = open_client(self._url.text, parallel=entry.parallel)
        written = {**options, "headers": remote.headers.as_written()}
        self._facts = {"url": self._url.text.partition("?")[0], "request": digest_of(canonical(written))}

    async def run(self, call: Call) -> Json:
        return await self._under_way.run(self._ask(call))

    async def _ask(self, call: Call) -> Json:
        url, content = self._request(call)
        values = await self._remote.values()
        async with self._remote.client(call, values, self._client) as (client, gateway):
            headers = httpx2.Headers({"Accept": "application/json", "Accept-Encoding": "identity"})
            headers.update({**values.texts, **self._remote.tracing(call), "Idempotency-Key": call.idempotency_key})
            if content is not None:
                headers["Content-Type"] = "application/json"
            request = client.build_request(self._method, url, headers=headers, content=content)
            try:
                response = await client.send(request, stream=True, follow_redirects=False)
                try:
                    return await self._output(response, call, values, gateway=gateway)
                finally:
                    await response.aclose()
            except TooLarge:
                raise faults.too_large(self._name, call.output_bytes) from None
            except (NotPlain, httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError) as error:
                raise self._remote.broke(error, values.guarded) from None

    def facts(self) -> dict[str, str]:
        return self._facts

    async def close(self) -> None:
        await self._under_way.close()
        await self._client.aclose()

    def _request(self, call: Call) -> tuple[str, bytes | None]:
        """Return where the request goes, and its body. Raises AgentFault: the inputs do not fit."""
        try:
            url = self._url.fill(call.inputs)
            if self._query is not None and (query := query_of(self._query, call.inputs)):
                url = f"{url}?{query}"
        except BadInput as error:
            raise faults.unfit(self._name, str(error)) from None
        if self._body is None:
            return url, None
        body = fill(self._body, call.inputs)
        return url, json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()

    async def _output(self, response: httpx2.Response, call: Call, values: Values, *, gateway: bool) -> Json:
        """Return what an answer says. Raises AgentFault, and what reading raises."""
        if not response.is_success:
            raise await self._remote.failed(response, values.guarded, gateway=gateway)
        if response.status_code in (204, 205):
            return None
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in _JSON_TYPES and not media_type.endswith("+json"):
            raise faults.of_type(self._name, media_type, values.guarded)
        limit = call.output_bytes * (_ENVELOPES if self._output_at is not None else 1)
        text = await self._text(response, limit)
        found = self._parsed(text)
        output = compact(found)
        # As it is once its escapes are read, too.
        if faults.repeats(text, values.guarded) or faults.repeats(output, values.guarded):
            raise faults.repeated(self._name, "a credential that it was handed")
        if len(output.encode()) > call.output_bytes:
            raise TooLarge
        return found

    async def _text(self, response: httpx2.Response, limit: int) -> str:
        try:
            return (await whole(response, limit)).decode().strip(" \t\r\n")
        except UnicodeDecodeError:
            raise faults.no_json(self._name, "the answer is not UTF-8") from None

    def _parsed(self, text: str) -> Json:
        try:
            value: Any = loads(text)
        except WireError as error:
            raise faults.no_json(self._name, str(error) if text else "the answer is empty") from None
        if self._output_at is None:
            return value
        found = at(value, self._output_at)
        if found is None:
            raise faults.nothing_at(self._name, self._output_at)
        return found[0]
