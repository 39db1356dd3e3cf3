"""MCP servers for tests: the official server on loopback, in a thread, and a program of a few lines over pipes."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

STDIO = '''
"""A server in 50 lines, of the handshake that all clients know. argv: name, version, and what it does badly."""
import json, os, signal, subprocess, sys, time

name, version, *bad = sys.argv[1:]
ANY = {"type": "object"}
TOOLS = [{"name": tool, "inputSchema": ANY, "outputSchema": ANY} for tool in ("echo", "fail", "hang", "large", "exit", "environ", "text", "crm", "stay", "leave", "quit")]
if "other-schema" in bad:
    TOOLS[0]["inputSchema"] = {"type": "object", "properties": {"also": {}}}

def say(id, **more):
    print(json.dumps({"jsonrpc": "2.0", "id": id, **more}), flush=True)

def call(id, tool, given):
    if "mark" in given:
        open(given["mark"], "w").close()
    if tool == "fail":
        print("/etc/passwd has hunter2", file=sys.stderr, flush=True)
        return say(id, result={"content": [{"type": "text", "text": "hunter2 was here"}], "isError": True})
    if tool == "exit":
        sys.exit(3)
    if tool == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "600"])
        with open(given["value"], "w") as file: file.write(f"{os.getpid()} {child.pid}\\\\n")
        time.sleep(600)
    if tool == "crm":
        import http.client, socket
        gateway = http.client.HTTPConnection("crm")
        gateway.sock = socket.socket(socket.AF_UNIX)
        gateway.sock.connect(os.environ["RUNNER_GATEWAY"])
        gateway.request("GET", given["value"], headers={"Runner-Key": os.environ["RUNNER_GATEWAY_KEY"]})
        # LC_CTYPE is Python's own: it sets that where it finds no locale.
        names = sorted(set(os.environ) - {"LC_CTYPE"})
        told = {"status": gateway.getresponse().status, "pid": os.getpid(), "names": names}
        return say(id, result={"content": [], "structuredContent": told})
    if tool in ("stay", "leave", "quit"):
        # A child of a session of its own, which has this process's pipes.
        if tool == "stay":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        with open(given["value"], "w") as file: file.write(f"{os.getpid()} {child.pid}\\n")
        if tool == "stay":
            time.sleep(600)
        if tool == "quit":
            os._exit(3)
    if tool == "text":
        return say(id, result={"content": [{"type": "text", "text": given["value"]}]})
    value = {"large": "x" * 200_000, "environ": dict(os.environ)}.get(tool, given.get("value"))
    say(id, result={"content": [], "structuredContent": {"result": value, "meta": given.get("meta")}})
    if tool == "leave":
        os._exit(0)

if "garbage" in bad:
    print("Welcome to hunter2's server", flush=True)
if "endless" in bad:
    while True: sys.stdout.write("x" * 65536)
for line in sys.stdin:
    asked = json.loads(line)
    id, method, params = asked.get("id"), asked["method"], asked.get("params") or {}
    if method == "initialize":
        say(id, result={"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": name, "version": version}})
    elif method == "tools/list":
        say(id, result={"tools": TOOLS})
    elif method == "tools/call":
        call(id, params["name"], {**params["arguments"], "meta": params.get("_meta")})
    elif id is not None:
        say(id, error={"code": -32601, "message": "unknown"})
'''


def stdio_command(folder: Path, *bad: str, version: str = "1") -> list[str]:
    """Write the program into a folder, and return what starts it."""
    (folder / "server.py").write_text(STDIO.replace("\\\\n", "\\n"))
    return [sys.executable, "-I", "-S", "./server.py", "tiny", version, *bad]


class McpService:
    """The official server over streamable HTTP. `requests` are the headers and bodies that came."""

    def __init__(self, *tools: Callable[..., Any], version: str = "1") -> None:
        import uvicorn
        from mcp.server import MCPServer

        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.heard: Callable[[], None] = lambda: None
        """Called for each request, before it is answered."""
        server = MCPServer("tiny", version=version, log_level="CRITICAL")
        for tool in tools:
            server.tool()(tool)
        self._app = server.streamable_http_app()
        listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        self._server = uvicorn.Server(uvicorn.Config(self._recorded, log_config=None, lifespan="on", interface="asgi3"))
        self._thread = threading.Thread(target=self._serve, args=(listening,), daemon=True)
        self._thread.start()

    def _serve(self, listening: socket.socket) -> None:
        # uvicorn's own run() installs signal handlers, which only a main thread can.
        asyncio.run(self._server.serve(sockets=[listening]))

    async def _recorded(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""

        async def heard() -> Any:
            nonlocal body
            message = await receive()
            if message["type"] == "http.request":
                body += message.get("body", b"")
                if not message.get("more_body"):
                    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
                    self.requests.append((headers, body))
                    self.heard()
            return message

        await self._app(scope, heard if scope["type"] == "http" else receive, send)

    def calls(self) -> list[dict[str, Any]]:
        """Return the parameters of each tool call that came."""
        asked = [json.loads(body) for _, body in self.requests if body]
        return [one["params"] for one in asked if one.get("method") == "tools/call"]

    def become(self, other: McpService) -> None:
        """From now on answer as another service does, which must stay open."""
        self._app = other._app

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    def __enter__(self) -> McpService:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def echo(value: Any = None) -> dict[str, Any]:
    return {"result": value}


def fail(value: Any = None) -> dict[str, Any]:
    from mcp.server.mcpserver.exceptions import ToolError

    raise ToolError("/etc/passwd has hunter2")


async def hang(value: str) -> dict[str, Any]:
    Path(value).write_text("\n")  # noqa: ASYNC240
    await asyncio.sleep(600)
    return {}


def large(value: Any = None) -> dict[str, Any]:
    return {"result": "x" * 200_000}


def text(value: str) -> Any:
    return value


@functools.cache
def shared_service() -> McpService:
    """One service for all tests of a process: starting one takes a second."""
    return McpService(echo, fail, hang, large, text)
