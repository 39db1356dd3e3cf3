"""Crews with a model of their own. It is copied into the folder of a test's policy, and imported in workers alone."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading

from crewai import Agent, BaseLLM, Crew, Task
from crewai.tools import BaseTool
from pydantic import BaseModel

from runner.agents import AgentError, current_call

CONNECTED = []


def listen(event, args):
    """Note what is connected to over a network: a unix socket, such as the gateway's door, is a path."""
    if event == "socket.connect" and not isinstance(args[1], str):
        CONNECTED.append(str(args))


sys.addaudithook(listen)


class Model(BaseLLM):
    """Answers at once. What it was asked stands in `asked`."""

    def __init__(self, answer):
        super().__init__(model="fake-1")
        self.additional_params = {"answer": answer, "asked": []}

    def call(self, messages, *args, **kwargs):
        known = self.additional_params
        known["asked"].append(json.dumps(messages, default=str))
        self._track_token_usage_internal({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120})
        if "do with_tool " in known["asked"][0] and len(known["asked"]) == 1:
            return "Thought: I look it up\nAction: look_up\nAction Input: {}"
        return "Thought: I know\nFinal Answer: " + known["answer"](messages, known["asked"])

    def supports_function_calling(self):
        return False

    def get_context_window_size(self):
        return 1_000_000


class LookUp(BaseTool):
    name: str = "look_up"
    description: str = "Look a customer up."

    def _run(self) -> str:
        return current_call().http.get("http://crm/customers/42").text


def crew(answer, **task):
    one = Agent(role="clerk", goal="answer", backstory="none", llm=Model(answer), tools=[LookUp()], max_iter=3)
    return Crew(agents=[one], tasks=[Task(description="do {do} <<{value}>>", expected_output="a value", agent=one, **task)])


def main():
    """Does what its input "do" says: one worker serves most tests, since its start takes seconds."""
    return crew(lambda messages, asked: BEHAVIOURS[said(messages, "do ", " <<")](messages, asked))


def said(messages, before="<<", after=">>"):
    """What stands between these in the prompt; of the input "value" it is JSON."""
    text = "".join(message["content"] for message in messages)
    return text.partition(before)[2].partition(after)[0]


def fail(messages, asked):
    raise ValueError("/etc/passwd has hunter2")


def refuse(messages, asked):
    raise AgentError("no such vendor")


def hang(messages, asked):
    child = subprocess.Popen(["sleep", "600"])
    with open(json.loads(said(messages)), "w") as file:
        file.write(f"{os.getpid()} {child.pid}\n")
    child.wait()


def detach(messages):
    """Begin a child of a session of its own, which has the worker's pipes."""
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    with open(json.loads(said(messages)), "w") as file:
        file.write(f"{os.getpid()} {child.pid}\n")


def stay(messages, asked):
    # Python's own way is open to a main thread alone, and a crew may call its model in another.
    ctypes.CDLL(None).signal(signal.SIGTERM, ctypes.c_void_p(1))
    detach(messages)
    threading.Event().wait()


def leave(messages, asked):
    detach(messages)
    return "1"


def quit(messages, asked):
    detach(messages)
    os._exit(3)


def with_tool(messages, asked):
    call = current_call()
    stored = [os.path.join(place, name) for place, _, names in os.walk(os.environ["HOME"]) for name in names]
    return json.dumps(
        {
            # The library takes what stands behind the last "Final Answer".
            "asked": [text.replace("Final Answer", "Answer") for text in asked],
            "attempt": call.attempt, "resources": sorted(call.tokens),
            "environment": open("/proc/self/environ").read(), "arguments": open("/proc/self/cmdline").read(),
            "variables": {name: text for name, text in os.environ.items() if name != "MODEL_KEY"},
            "stored": [open(path, "rb").read().decode("latin-1") for path in stored],
        }
    )  # fmt: skip


def facts(messages, asked):
    """What is so in a worker while a crew is at work."""
    return json.dumps(
        {
            "pid": os.getpid(), "connected": CONNECTED, "storage": os.listdir(os.environ["CREWAI_STORAGE_DIR"]),
            "variables": {n: text for n, text in os.environ.items() if n.startswith(("CREWAI_", "OTEL_", "MODEL_U"))},
            "cwd": os.getcwd(), "home": os.environ["HOME"], "key_at_import": len(KEY_AT_IMPORT),
            "environment": open("/proc/self/environ").read(),
        }
    )  # fmt: skip


KEY_AT_IMPORT = os.environ.get("MODEL_KEY", "")
BEHAVIOURS = {
    "echo": lambda messages, asked: said(messages), "fail": fail, "hang": hang, "refuse": refuse,
    "stay": stay, "leave": leave, "quit": quit,
    "large": lambda *_: '"' + "x" * 200_000 + '"', "garbage": lambda *_: "this is no JSON",
    "with_tool": with_tool, "facts": facts, "repeat_token": lambda *_: json.dumps(current_call().tokens["crm"]),
    "repeat_key": lambda *_: json.dumps(os.environ["MODEL_KEY"]),
}  # fmt: skip


class Score(BaseModel):
    score: float


class InStyle:
    def crew(self):
        return crew(lambda *_: '{"score": 0.5}', output_json=Score)


def modelled():
    return crew(lambda *_: '{"score": 0.25}', output_pydantic=Score)
