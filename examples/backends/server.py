"""What the agents of this example call, all on this machine: an HTTP service, and a stand-in for two vendors' models.

    GET  /vendors/{name}          what the books say of a vendor
    POST /v1/messages             as the Anthropic Messages API, answered by `advise`
    POST /v1/chat/completions     as the OpenAI API, answered by `mood`

    python server.py run vendors.py --policy policy.yaml --inputs '{"vendors": ["acme", "brown", "cole"]}'

is `runner run vendors.py ...` while they answer; stdout and the exit code are its own. With real models remove
`base_url` from the policy and say under `api_key:` where the key is kept: nothing else changes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from runner.cli import call
from runner.listening import listening

HOST, PORT = "127.0.0.1", 8670

BOOKS = {
    "acme": {"name": "Acme", "owes": 240, "since": 2019},
    "brown": {"name": "Brown", "owes": 1900, "since": 2024},
    "cole": {"name": "Cole", "owes": 0, "since": 2011},
}


def mood(told: dict[str, Any]) -> dict[str, Any]:
    """Stand in for a small model that reads headlines."""
    text = " ".join(told["headlines"]).lower()
    bad = sum(word in text for word in ("sued", "late", "strike"))
    return {"mood": "bad" if bad else "good", "why": f"{bad} of its headlines are bad"}


def advise(told: dict[str, Any]) -> dict[str, Any]:
    """Stand in for a large model that weighs what was found."""
    risky = told["owes"] > 1000 or told["mood"] == "bad"
    return {"advice": "ask for payment first" if risky else "go on", "risk": 2 if risky else 1}


def messages(asked: dict[str, Any]) -> dict[str, Any]:
    said = json.dumps(advise(json.loads(asked["messages"][-1]["content"])))
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"], "stop_reason": "end_turn",
        "content": [{"type": "text", "text": said}], "usage": {"input_tokens": 90, "output_tokens": 12},
    }


def completions(asked: dict[str, Any]) -> dict[str, Any]:
    said = json.dumps(mood(json.loads(asked["messages"][-1]["content"])))
    return {
        "id": "c1", "object": "chat.completion", "created": 0, "model": asked["model"],
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}],
        "usage": {"prompt_tokens": 60, "completion_tokens": 10, "total_tokens": 70},
    }


MODELS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "/v1/messages": messages, "/v1/chat/completions": completions,
}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = scope["path"]
    body = b""
    while (message := await receive()).get("more_body") or message.get("body"):
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    vendor = BOOKS.get(path.removeprefix("/vendors/"))
    found = MODELS[path](json.loads(body)) if path in MODELS else vendor
    status, answer = (404, {"error": "not here"}) if found is None else (200, found)
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


@contextmanager
def answering() -> Iterator[None]:
    """Within, the services answer."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    with listening(HOST, PORT) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()


def main() -> int:
    with answering():
        return call(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
