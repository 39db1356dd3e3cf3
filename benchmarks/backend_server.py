"""What the backends are measured against: services that answer at once, in a process of their own.

`python -m benchmarks.backend_server` prints its port and answers until stdin ends. `... stdio` is an MCP server on its
stdin and stdout.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

from runner.listening import listening as listener

ANSWER = {"n": 1}


async def _answers(scope: dict[str, Any], receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    text = json.dumps(ANSWER)
    said: dict[str, Any] = ANSWER
    if scope["path"] == "/v1/messages":
        said = {
            "id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 1, "output_tokens": 1},
        }  # fmt: skip
    elif scope["path"] == "/v1/chat/completions":
        said = {
            "id": "c", "object": "chat.completion", "created": 0, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }  # fmt: skip
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})


def mcp_server() -> Any:
    from mcp.server import MCPServer

    server = MCPServer("bench")

    @server.tool()
    def answer(n: int) -> dict[str, int]:
        return ANSWER

    return server


async def _serve() -> None:
    import uvicorn

    try:
        served = mcp_server().streamable_http_app()
    except ImportError:  # Not here, or an older one that another library brought.
        served = _answers
    logging.disable(logging.INFO)

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if served is not _answers and (scope["type"] == "lifespan" or scope["path"].startswith("/mcp")):
            await served(scope, receive, send)
        else:
            await _answers(scope, receive, send)

    listening = listener("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off" if served is _answers else "on"))
    task = asyncio.ensure_future(server.serve([listening]))
    print(listening.getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await task


if __name__ == "__main__":
    if sys.argv[1:] == ["stdio"]:
        mcp_server().run("stdio")
    else:
        asyncio.run(_serve())
