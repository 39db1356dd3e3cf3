"""A trace: one line of JSON for each step of an agent, with its seconds and bytes.

`Trace` writes it for any program. `langchain_trace` does so for LangGraph, as a callback.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path


class Trace:
    """Writes steps to a file. Times are seconds from when it was made."""

    def __init__(self, path: str | Path) -> None:
        self._began = time.monotonic()
        self._file = Path(path).open("w", encoding="utf-8")
        self._outputs: list[tuple[str, str]] = []

    def now(self) -> float:
        return time.monotonic() - self._began

    def tool(self, step: str, began: float, output: str) -> None:
        """Note a call of a tool that ended now."""
        self._outputs.append((step, output))
        self._write("tool", step, began, read={}, written=size(output))

    def model(self, began: float, prompt: str, answer: str) -> None:
        """Note a turn of a model that ended now, and whose outputs stood in what it was sent."""
        read: Counter = Counter()
        for step, output in self._outputs:
            read[step] += size(output) if output in prompt else 0
        read["rest"] = size(prompt) - sum(read.values())
        self._write("model", "model", began, read=dict(read), written=size(answer))

    def close(self) -> None:
        """Note how long it took as a whole."""
        self._write("whole", "whole", 0.0, read={}, written=0)
        self._file.close()

    def _write(self, kind: str, step: str, began: float, *, read: dict[str, int], written: int) -> None:
        seconds = round(self.now() - began, 4)
        line = {"kind": kind, "step": step, "at": round(began, 4), "seconds": seconds, "read": read, "written": written}
        self._file.write(json.dumps(line) + "\n")


def size(text: str) -> int:
    return len(text.encode())


def langchain_trace(trace: Trace):
    """Return the callback that notes each call of a tool and of a model: `config={"callbacks": [...]}`."""
    from langchain_core.callbacks import BaseCallbackHandler

    class LangChainTrace(BaseCallbackHandler):
        run_inline = True

        def __init__(self) -> None:
            self._open: dict = {}

        def on_tool_start(self, serialized, input_str, *, run_id, **more):
            self._open[run_id] = (serialized["name"], trace.now())

        def on_tool_end(self, output, *, run_id, **more):
            trace.tool(*self._open.pop(run_id), str(getattr(output, "content", output)))

        def on_chat_model_start(self, serialized, messages, *, run_id, **more):
            self._open[run_id] = (trace.now(), "".join(str(message.content) for message in messages[0]))

        def on_llm_end(self, response, *, run_id, **more):
            trace.model(*self._open.pop(run_id), response.generations[0][0].text)

    return LangChainTrace()
