"""The process in which a sync python agent runs: import the function, then call it as often as asked. A graph or a crew
runs so too: an adapter, which is code of runner's own, makes the function of it.

This file is run by path as a process of its own (`workers` starts it). Its stdin and stdout carry frames: 4 bytes of
length (big endian), one byte of kind, and that many bytes of JSON. The function never sees them: fd 0 becomes
/dev/null and fd 1 becomes stderr before its module is imported, so that a print cannot break a frame.

    host → worker    s  {"sys_path", "runner", "folder", "call", "facts", "uid", "adapter"}    once, first; uid: the
                     one to change to when all that is imported, or null; adapter: null, or {"make", "options"}, where
                     make is the "module:function" of runner that returns what is called
                     c  {"inputs", "call", "limit", "access", "env"}   call the function; call: its facts, if setup
                     had facts; access: {"path", "key", "tokens"} of the attempt's door, or null; env: variables that
                     are set for as long as the call takes
    worker → host    r  {}                                           ready for calls
                     u  what the call used of models, by the names of `Call.used`; before its reply, or not at all
                     each reply to a call begins with 8 bytes: the seconds (a double, big endian) that the
                     function took, without those in which it stood in line for a processor
                     o  the output as JSON                           of at most `limit` bytes
                     l  {"bytes"}                                    the output was longer, and was not sent
                     j  {"why"}                                      the output is no JSON
                     e  {"type", "text", "trace"}                    it raised; text: of an AgentError, else null

The key, the tokens and the variables travel in frames alone: no argument holds them, nor what /proc shows of this
process's environment, and they are forgotten with their call. Standard library only, and little of it: a worker's
start is waited for.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from collections.abc import Callable
from typing import IO, Any

PREFIX_BYTES = 5
# The host keeps 4 KiB of a trace, and 1,000 characters of a text.
TRACE_CHARS = 8_000
TEXT_CHARS = 2_000
# The largest frame but for an output: a trace and a text, each character escaped to twelve bytes.
MAX_SMALL_BYTES = 256 * 1024
# A model's name and three numbers.
MAX_USAGE_BYTES = 4096

SETUP, CALL = b"s", b"c"
SECONDS = struct.Struct(">d")
READY, USED, OUTPUT, LARGE, NO_JSON, RAISED = b"r", b"u", b"o", b"l", b"j", b"e"


def frame(kind: bytes, payload: bytes) -> bytes:
    """Return the bytes of one frame."""
    return len(payload).to_bytes(4, "big") + kind + payload


def main() -> None:
    """Serve until the host closes its end."""
    requests, replies = _take_pipes()
    try:
        function, make_facts = _set_up(_read(requests)[1])
    except BaseException as error:
        _reply(replies, frame(RAISED, _raised(error)))
        return
    _reply(replies, frame(READY, b"{}"))
    while True:
        kind, request = _read(requests)
        if kind != CALL:
            return
        begun, stood = time.monotonic(), _seconds_in_line()
        kind, payload, usage = _call(function, make_facts, request)
        taken = time.monotonic() - begun - (_seconds_in_line() - stood)
        if usage:
            _reply(replies, frame(USED, usage))
        _reply(replies, frame(kind, SECONDS.pack(max(0.0, taken)) + payload))


def _seconds_in_line() -> float:
    """Return how long this process has waited for a processor while it could have run; 0.0 where nobody tells."""
    try:
        with open("/proc/self/schedstat", "rb") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Move the frames to descriptors that nothing the function starts inherits."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    # What was printed before a crash belongs to its diagnosis.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    return requests, replies


def _reply(replies: IO[bytes], data: bytes) -> None:
    replies.write(data)
    replies.flush()


def _read(requests: IO[bytes]) -> tuple[bytes, Any]:
    header = requests.read(PREFIX_BYTES)
    if len(header) < PREFIX_BYTES:
        return b"", None
    return header[4:], json.loads(requests.read(int.from_bytes(header[:4], "big")))


def _set_up(request: dict[str, Any]) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
    """Return the function, and how to make the facts of a call if it wants them."""
    sys.path[:] = request["sys_path"]
    # Where the host found runner itself, which need not be on its path.
    sys.path.append(request["runner"])
    if request["adapter"] is None:
        from runner.agents.imports import load

        function = load(request["call"], request["folder"])
    else:
        from importlib import import_module

        module, _, name = request["adapter"]["make"].partition(":")
        make = getattr(import_module(module), name)
        function = make(request["call"], request["folder"], request["adapter"]["options"])
    make_facts: Callable[..., Any] | None = None
    if request["facts"]:
        from runner.agents import facts

        make_facts = facts.facts_from
    if request["uid"] is not None:
        from runner.agents.warden import become

        become(request["uid"])
    return function, make_facts


def _call(
    function: Callable[..., Any], make_facts: Callable[..., Any] | None, request: dict[str, Any]
) -> tuple[bytes, bytes, bytes]:
    """Return kind and payload of the reply, and what is told of usage before it, if anything."""
    access, before = None, _change_environment(request["env"])
    try:
        if make_facts is None:
            output = function(request["inputs"])
        else:
            facts, access = make_facts(request["call"], request["access"])
            output = function(request["inputs"], call=facts)
    except BaseException as error:
        if _is_no_json(error):
            return NO_JSON, json.dumps({"why": str(error)[:TRACE_CHARS]}).encode(), _usage(access)
        return RAISED, _raised(error), _usage(access)
    finally:
        _flush()
        _change_environment(before)
        if access is not None:
            access.close()
    try:
        payload = json.dumps(output, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return NO_JSON, json.dumps({"why": f"{type(error).__name__}: {error}"[:TRACE_CHARS]}).encode(), _usage(access)
    if len(payload) > request["limit"]:
        return LARGE, json.dumps({"bytes": len(payload)}).encode(), _usage(access)
    return OUTPUT, payload, _usage(access)


def _is_no_json(error: BaseException) -> bool:
    facts = sys.modules.get("runner.agents.facts")
    return facts is not None and isinstance(error, facts.NoJson)


def _usage(access: Any) -> bytes:
    """Return what a call told of its usage, as JSON; nothing where it told none, or what is none."""
    usage = None if access is None else access.usage
    try:
        told = b"" if usage is None else json.dumps(usage, allow_nan=False).encode()
    except (TypeError, ValueError):
        return b""
    return told if len(told) <= MAX_USAGE_BYTES else b""


def _change_environment(changes: dict[str, str | None]) -> dict[str, str | None]:
    """Set variables, or remove them where the value is None. Return what undoes it."""
    before = {name: os.environ.get(name) for name in changes}
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return before


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105 (contextlib is 3 ms of a start)
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass


def _raised(error: BaseException) -> bytes:
    agents = sys.modules.get("runner.agents")
    text = None
    if agents is not None and isinstance(error, agents.AgentError):
        try:
            text = str(error)[:TEXT_CHARS]
        except Exception:
            text = ""
    import traceback  # 4 ms of a start, and seldom needed

    try:
        trace = "".join(traceback.format_exception(error))[-TRACE_CHARS:]
    except Exception:
        trace = ""
    return json.dumps({"type": type(error).__name__[:TEXT_CHARS], "text": text, "trace": trace}).encode()


if __name__ == "__main__":
    main()
