"""A server that speaks the wire formats of model vendors. On 127.0.0.1, in a thread, with a port of its own.

    with Vendors() as vendors:
        vendors.say(Say(calls=[("lookup", {"id": 7})]), Say(status=429, headers={"retry-after": "2"}))
        ...                                  # point a client at vendors.url
        assert vendors.requests[0].inputs == {"question": "..."}

Anthropic: POST /v1/messages (JSON and SSE), /v1/messages/count_tokens. OpenAI: POST /v1/chat/completions and
/v1/responses (JSON and SSE). GET of anything is an empty list of models.

What was queued by `say` is answered in order; then, or always, what `answer` returns for a request. Unless a test says
otherwise that is `Say()`: the structured result is what the user said, parsed. A client that asks for its result by a
call of the function `StructuredOutput` (the Claude CLI) gets it so. Every request is kept, headers and body, so that a
test can look for what must not be in them: `vendors.said("canary")` lists the places.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import select
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ECHO: Any = object()
STRUCTURED = "StructuredOutput"
PATIENCE_SECONDS = 20.0
# Clients take two messages with one id for parts of one.
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Say:
    """One answer. Of `body`, `status`, `calls`, `text` and `value` the first that is set counts."""

    value: Any = ECHO
    """The structured result; ECHO: the user's own inputs, wrapped as {"value": inputs} where the schema asks for that."""
    text: str | None = None
    calls: list[tuple[str, Any]] | None = None
    """Functions that the model calls, with their arguments; a text is sent as it is, where the format allows that."""
    status: int = 200
    body: bytes | None = None
    """Sent as it is, whatever was asked."""
    headers: dict[str, str] = field(default_factory=dict)
    stop: str = ""
    """The reason of the end, in the vendor's word; as it belongs to the answer unless set."""
    cut: int | None = None
    """Break the connection after so many bytes of the body."""
    hold: threading.Event | None = None
    """The answer waits for it, or for the client to hang up."""
    tokens: tuple[int, int] = (10, 5)
    """Of input and output, as the answer reports them."""
    model: str = ""
    """As the answer names it; as it was asked unless set."""


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield (role, text) of what was said, system texts left out."""
        asked = self.json
        messages = asked.get("messages", asked.get("input", []))
        for message in [{"role": "user", "content": messages}] if isinstance(messages, str) else messages:
            content = message.get("content") or []
            for part in [{"text": content}] if isinstance(content, str) else content:
                if isinstance(part.get("text"), str):
                    yield message.get("role", ""), part["text"]

    @property
    def inputs(self) -> Any:
        """The first thing that the user said and that is JSON, parsed; the last text where nothing is."""
        texts = [text for role, text in self.texts if role == "user"]
        for text in texts:
            try:
                return json.loads(text)
            except ValueError:
                continue
        return texts[-1] if texts else None

    @property
    def schema(self) -> Any:
        """The schema that its result is asked to satisfy; None for none."""
        asked = self.json
        for tool in asked.get("tools") or []:
            if tool.get("name") == STRUCTURED:
                return tool.get("input_schema")
        form = (asked.get("output_config") or asked.get("text") or {}).get("format") or asked.get("response_format") or {}
        return form.get("schema") or form.get("json_schema", {}).get("schema")

    @property
    def tool_results(self) -> list[tuple[str, bool]]:
        """What functions returned so far: text, and whether it is marked as an error (Anthropic alone tells that)."""
        asked, found = self.json, []
        for message in asked.get("messages", asked.get("input", [])):
            if message.get("role") == "tool":
                found.append((message["content"], False))
            elif message.get("type") == "function_call_output":
                found.append((message["output"], False))
            elif isinstance(message.get("content"), list):
                found += [
                    (part["content"] if isinstance(part["content"], str) else part["content"][0]["text"], bool(part.get("is_error")))
                    for part in message["content"] if part.get("type") == "tool_result"
                ]  # fmt: skip
        return found


class Vendors:
    """`requests` is what arrived, in order; see the module."""

    def __init__(self, answer: Callable[[Request], Say] = lambda request: Say()) -> None:
        self.requests: list[Request] = []
        self.answer = answer
        self.hung_up = threading.Event()
        """A client left while its answer was held."""
        self._queue: list[Say] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._send(Say(body=b'{"data": []}'), b'{"data": []}', "application/json")

            do_HEAD = do_GET

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path.partition("?")[0], headers, body)
                say = outer._take(request)
                if say.hold is not None and not self._held(say.hold):
                    outer.hung_up.set()
                    self.close_connection = True
                    return
                self._send(say, *written(request, say))

            def _held(self, hold: threading.Event) -> bool:
                """Wait; False when the client hung up."""
                end = time.monotonic() + PATIENCE_SECONDS
                while not hold.wait(0.005) and time.monotonic() < end:
                    if select.select([self.connection], [], [], 0)[0]:
                        return False
                return True

            def _send(self, say: Say, body: bytes, content_type: str) -> None:
                try:
                    self.send_response(say.status)
                    for name, value in {"content-type": content_type, "content-length": str(len(body)), **say.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(body[: say.cut])
                    self.close_connection = say.cut is not None
                except OSError:
                    self.close_connection = True

            def log_message(self, *told: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            # Of five that wait to be accepted the sixth would be reset.
            request_queue_size = 1024

            def handle_error(self, *told: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        """Of Anthropic's API; OpenAI's is `url` + "/v1"."""
        threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True).start()

    def __enter__(self) -> Vendors:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def say(self, *answers: Say) -> None:
        """Queue answers, each for one request."""
        self._queue += answers

    def said(self, text: str) -> list[str]:
        """Return where a text stands in what arrived: "body 2", "x-api-key 0"."""
        found = []
        for n, request in enumerate(self.requests):
            found += [f"body {n}"] if text.encode() in request.body or text in request.path else []
            found += [f"{name} {n}" for name, value in request.headers.items() if text in value]
        return found

    async def got(self, count: int = 1) -> None:
        """Return once so many requests have arrived."""
        end = time.monotonic() + PATIENCE_SECONDS
        while len(self.requests) < count:
            assert time.monotonic() < end, f"{len(self.requests)} requests arrived"
            await asyncio.sleep(0.005)

    def _take(self, request: Request) -> Say:
        with self._lock:
            self.requests.append(request)
            if request.path.endswith("/count_tokens"):
                return Say()
            return self._queue.pop(0) if self._queue else self.answer(request)


def written(request: Request, say: Say) -> tuple[bytes, str]:
    """Return the body of an answer, and its type."""
    if say.body is not None:
        return say.body, "text/html" if say.body.startswith(b"<") else "application/json"
    kind = next((kind for path, kind in _KINDS.items() if request.path.endswith(path)), None)
    if kind is None:
        return b'{"error": {"message": "no such path"}}', "application/json"
    if say.status != 200:
        error = {"type": "error", "message": f"status {say.status}"}
        return json.dumps({"type": "error", "error": error}).encode(), "application/json"
    answer, events = kind(request, _settled(request, say))
    if not request.json.get("stream"):
        return json.dumps(answer).encode(), "application/json"
    return "".join(events).encode(), "text/event-stream"


def _settled(request: Request, say: Say) -> Say:
    """Return the answer with its text, or its calls, spelt out."""
    if say.text is not None or say.calls is not None:
        return say
    schema = request.schema or {}
    value = request.inputs if say.value is ECHO else say.value
    if say.value is ECHO and set(schema.get("properties", ())) == {"value"}:
        value = {"value": value}
    if any(tool.get("name") == STRUCTURED for tool in request.json.get("tools") or []):
        told = "Structured output" in str(request.tool_results[-1:])
        return Say(text="done", tokens=say.tokens) if told else Say(calls=[(STRUCTURED, value)], tokens=say.tokens)
    # As a text it is JSON where JSON was asked for, and where the user said no plain text.
    return Say(text=json.dumps(value), tokens=say.tokens, stop=say.stop, model=say.model)


def _anthropic(request: Request, say: Say) -> tuple[Any, Iterator[str]]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": say.text}] if say.text is not None else []
    for name, arguments in say.calls or []:
        blocks.append({"type": "tool_use", "id": f"toolu_{next(_NUMBERS)}", "name": name, "input": arguments})
    stop = say.stop or ("tool_use" if say.calls else "end_turn")
    usage = {"input_tokens": say.tokens[0], "output_tokens": say.tokens[1]}
    message = {
        "id": f"msg_{next(_NUMBERS)}", "type": "message", "role": "assistant", "model": say.model or request.json["model"], "content": blocks,
        "stop_reason": stop, "stop_sequence": None, "usage": usage,
    }  # fmt: skip

    def events() -> Iterator[str]:
        began = {**message, "content": [], "stop_reason": None}
        yield _event("message_start", message=began)
        for n, block in enumerate(blocks):
            if block["type"] == "text":
                yield _event("content_block_start", index=n, content_block={**block, "text": ""})
                yield _event("content_block_delta", index=n, delta={"type": "text_delta", "text": block["text"]})
            else:
                yield _event("content_block_start", index=n, content_block={**block, "input": {}})
                delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
                yield _event("content_block_delta", index=n, delta=delta)
            yield _event("content_block_stop", index=n)
        yield _event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage=usage)
        yield _event("message_stop")

    return message, events()


def _count_tokens(request: Request, say: Say) -> tuple[Any, Iterator[str]]:
    return {"input_tokens": say.tokens[0]}, iter(())


def _chat(request: Request, say: Say) -> tuple[Any, Iterator[str]]:
    message: dict[str, Any] = {"role": "assistant", "content": say.text}
    if say.calls:
        message["tool_calls"] = [
            {"id": f"call_{next(_NUMBERS)}", "type": "function",
             "function": {"name": name, "arguments": _text_of(arguments)}}
            for name, arguments in say.calls
        ]  # fmt: skip
    stop = say.stop or ("tool_calls" if say.calls else "stop")
    told, answered = say.tokens
    usage = {"prompt_tokens": told, "completion_tokens": answered, "total_tokens": told + answered}
    answer = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": say.model or request.json["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": stop}], "usage": usage,
    }  # fmt: skip

    def events() -> Iterator[str]:
        head = {**answer, "object": "chat.completion.chunk"}
        delta = {**message, "tool_calls": [{"index": n, **one} for n, one in enumerate(message.get("tool_calls", ()))] or None}
        for choice in ({"index": 0, "delta": delta, "finish_reason": None}, {"index": 0, "delta": {}, "finish_reason": stop}):
            yield f"data: {json.dumps({**head, 'choices': [choice], 'usage': usage if choice['finish_reason'] else None})}\n\n"
        yield "data: [DONE]\n\n"

    return answer, events()


def _responses(request: Request, say: Say) -> tuple[Any, Iterator[str]]:
    output: list[dict[str, Any]] = []
    if say.text is not None:
        content = [{"type": "output_text", "text": say.text, "annotations": []}]
        output.append({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content})
    for n, (name, arguments) in enumerate(say.calls or []):
        made = f"call_{next(_NUMBERS)}"
        output.append({"type": "function_call", "id": f"fc_{n}", "call_id": made, "name": name, "arguments": _text_of(arguments)})
    told, answered = say.tokens
    answer = {
        "id": "resp_1", "object": "response", "created_at": 1, "model": say.model or request.json["model"],
        "status": "incomplete" if say.stop else "completed", "output": output,
        "incomplete_details": {"reason": say.stop} if say.stop else None,
        "usage": {"input_tokens": told, "output_tokens": answered, "total_tokens": told + answered},
    }  # fmt: skip

    def events() -> Iterator[str]:
        yield _event("response.created", response={**answer, "output": [], "status": "in_progress", "usage": None})
        for n, item in enumerate(output):
            yield _event("response.output_item.added", output_index=n, item=item)
            yield _event("response.output_item.done", output_index=n, item=item)
        yield _event("response.completed", response=answer)

    return answer, events()


def _event(kind: str, **more: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n"


def _text_of(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


_KINDS = {
    "/v1/messages": _anthropic, "/v1/messages/count_tokens": _count_tokens, "/v1/chat/completions": _chat,
    "/v1/responses": _responses,
}  # fmt: skip
