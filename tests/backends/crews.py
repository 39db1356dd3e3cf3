"""Crews with a model of their own. It is copied into the folder of a test's policy, and imported in workers alone."""

import json
import os
import subprocess
import sys

from crewai import Agent, BaseLLM, Crew, Task
from crewai.tools import BaseTool
from pydantic import BaseModel

from runner.agents import AgentError, current_call

CONNECTED = []
sys.addaudithook(lambda event, args: CONNECTED.append(str(args)) if event == "socket.connect" else None)


class Model(BaseLLM):
    """Answers at once. What it was asked stands in `asked`."""

    def __init__(self, answer, uses=""):
        super().__init__(model="fake-1")
        self.additional_params = {"answer": answer, "uses": uses, "asked": []}

    def call(self, messages, *args, **kwargs):
        known = self.additional_params
        known["asked"].append(json.dumps(messages, default=str))
        self._track_token_usage_internal({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120})
        if known["uses"] and len(known["asked"]) == 1:
            return f"Thought: I look it up\nAction: {known['uses']}\nAction Input: {{}}"
        return "Thought: I know\nFinal Answer: " + known["answer"](messages, known["asked"])

    def supports_function_calling(self):
        return False

    def get_context_window_size(self):
        return 1_000_000


def crew(answer, *, tools=(), **task):
    model = Model(answer, uses=tools[0].name if tools else "")
    one = Agent(role="clerk", goal="answer", backstory="none", llm=model, tools=list(tools), max_iter=3)
    return Crew(agents=[one], tasks=[Task(description="say <<{value}>>", expected_output="a value", agent=one, **task)])


def said(messages):
    """What stands between << and >> in the prompt: the inputs' only value, as JSON."""
    text = "".join(message["content"] for message in messages)
    return text.partition("<<")[2].partition(">>")[0]


# --- what every backend does -----------------------------------------------------------------


def echo():
    return crew(lambda messages, _: said(messages))


def fail():
    def answer(messages, asked):
        raise ValueError("/etc/passwd has hunter2")

    return crew(answer)


def hang():
    def answer(messages, asked):
        child = subprocess.Popen(["sleep", "600"])
        with open(json.loads(said(messages)), "w") as file:
            file.write(f"{os.getpid()} {child.pid}\n")
        child.wait()

    return crew(answer)


def large():
    return crew(lambda *_: '"' + "x" * 200_000 + '"')


def garbage():
    return crew(lambda *_: "this is no JSON")


# --- what crews do ---------------------------------------------------------------------------


class Score(BaseModel):
    score: float


def typed():
    return crew(lambda *_: '{"score": 0.5}', output_json=Score)


def modelled():
    return crew(lambda *_: '{"score": 0.25}', output_pydantic=Score)


def refusing():
    def answer(messages, asked):
        raise AgentError("no such vendor")

    return crew(answer)


class InStyle:
    def crew(self):
        return crew(lambda *_: '"in style"')


def nothing():
    return 5


class LookUp(BaseTool):
    name: str = "look_up"
    description: str = "Look a customer up."

    def _run(self) -> str:
        return current_call().http.get("http://crm/customers/42").text


def with_tool():
    def answer(messages, asked):
        call = current_call()
        stored = [os.path.join(place, name) for place, _, names in os.walk(os.environ["HOME"]) for name in names]
        return json.dumps(
            {
                # The library takes what stands behind the last "Final Answer".
                "asked": [text.replace("Final Answer", "Answer") for text in asked],
                "attempt": call.attempt, "resources": sorted(call.tokens),
                "environment": open("/proc/self/environ").read(), "arguments": open("/proc/self/cmdline").read(),
                "variables": dict(os.environ), "stored": [open(path, "rb").read().decode("latin-1") for path in stored],
            }
        )  # fmt: skip

    return crew(answer, tools=[LookUp()])


def repeating():
    return crew(lambda *_: json.dumps(current_call().tokens["crm"]))


FIRST_KEY = os.environ.get("MODEL_KEY", "")


def facts():
    """What is so in a worker while a crew is at work."""

    def answer(*_):
        names = [name for name in os.environ if name.startswith(("CREWAI_", "OTEL_", "MODEL_"))]
        return json.dumps(
            {
                "pid": os.getpid(), "variables": {name: os.environ[name] for name in names}, "connected": CONNECTED,
                "storage": os.listdir(os.environ["CREWAI_STORAGE_DIR"]), "cwd": os.getcwd(), "home": os.environ["HOME"],
                "environment": open("/proc/self/environ").read(), "key_at_import": len(FIRST_KEY),
            }
        )  # fmt: skip

    return crew(answer)


def key():
    return crew(lambda *_: json.dumps(os.environ["MODEL_KEY"]))
