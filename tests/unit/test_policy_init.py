"""`runner policy init` writes a policy that loads, assumes the worst of what nobody said, and says where to look."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from runner.agents import Setting, build_agent
from runner.agents.extras import TESTED
from runner.cli import call
from runner.engine import Runner
from runner.errors import UsageError
from runner.policy import load_policy
from runner.policy.draft import HEAD, Draft, agent_name, plain_schema, policy_text
from tests.mcp_servers import PROGRAM, serving

AGENTS = '''\
from typing import Any
from typing_extensions import NotRequired, TypedDict


class Asked(TypedDict):
    text: str
    most: NotRequired[int]


class Found(TypedDict):
    words: list[str]


def count(inputs: Asked) -> Found:
    """Count the words # of a text.

    At once.
    """
    print("imported code may print")
    return {"words": []}


async def loose(inputs, call):
    return {}


def several(a, b):
    return a


def three():
    return 3


broken = 3
'''
HINTED = """\
  count:
    description: 'Count the words # of a text.  At once.'
    python: agents:count
    # from its type hints
    input:
      properties:
        text:
          type: string
        most:
          type: integer
      required:
      - text
      type: object
    # from its type hints
    output:
      properties:
        words:
          items:
            type: string
          type: array
      required:
      - words
      type: object
    effects: irreversible  # nothing said otherwise; none, read or write, if you know that it can be undone
    timeout: 60s  # of one attempt
    retries: 2  # further attempts that a script may ask for
"""
LOOSE = """\
  loose:
    description: Calls agents:loose.
    python: agents:loose
    # no type hint says what it takes: name its properties, so that wrong inputs are refused
    input:
      type: object
    # nothing says what it returns: of an object nothing passes until its properties are named
    output:
      type: object
    effects: irreversible  # nothing said otherwise; none, read or write, if you know that it can be undone
    timeout: 60s  # of one attempt
    retries: 2  # further attempts that a script may ask for
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "agents.py").write_text(AGENTS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- of code ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "text"), [("agents:count", HINTED), ("agents:loose", LOOSE)])
def test_a_function_becomes_a_policy_with_what_its_hints_say(folder, capfd, place, text):
    code = call(["policy", "init", place])

    assert code == 0
    assert (folder / "runner.yaml").read_text() == HEAD + text
    assert capfd.readouterr() == (
        "runner.yaml\n", "1 agent; read the remarks in it\nnext: runner policy check runner.yaml\n",
    )  # fmt: skip
    assert call(["policy", "check", "runner.yaml"]) == 0


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("agents:several", 'agent "several" calls "agents:several", which takes (a, b)'),
        ("agents:three", '"agents:three" takes nothing, and returns "int"'),
        ("agents:broken", '"agents:broken" is "int", and no function, graph or crew'),
        ("agents:gone", '"agents:gone" cannot be imported: AttributeError: '),
        ("nowhere:f", "\"nowhere:f\" cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ("agents", '"agents" is no import path'),
    ],
)
async def test_what_is_no_agent_is_named_and_nothing_is_written(folder, place, message):
    with pytest.raises(UsageError) as caught:
        await Runner.draft_policy(folder / "runner.yaml", place=place)

    assert caught.value.message.startswith(message)
    assert not (folder / "runner.yaml").exists()


def test_nothing_is_overwritten(folder, capfd):
    (folder / "runner.yaml").write_text("mine\n")

    assert call(["policy", "init", "agents:count"]) == 2
    assert (folder / "runner.yaml").read_text() == "mine\n"
    assert "is there already, and nothing is overwritten" in capfd.readouterr().err


@pytest.mark.parametrize("words", [[], ["agents:count", "--mcp", "http://127.0.0.1:9"], ["--mcp-command", "'"]])
def test_a_policy_is_written_from_one_thing(folder, words, capfd):
    assert call(["policy", "init", *words]) == 2


GRAPHS = """\
from typing_extensions import TypedDict
from langgraph.graph import END, START, StateGraph

class State(TypedDict):
    topic: str
    draft: str

class Given(TypedDict):
    topic: str

class Wants(TypedDict):
    user: str

def write(state):
    return {"draft": state["topic"]}

async def later(state):
    return write(state)

def made(node=write, context=None):
    graph = StateGraph(State, input_schema=Given, context_schema=context)
    graph.add_node("write", node)
    graph.add_edge(START, "write")
    graph.add_edge("write", END)
    return graph.compile()

def factory():
    return made()

compiled, held, closed = made(), made(later), made(later, Wants)
"""


@pytest.mark.parametrize(("name", "isolation"), [("compiled", "process"), ("factory", "process"), ("held", "none")])
async def test_a_graph_becomes_an_agent_that_a_run_takes_with_the_schemas_of_its_state(folder, name, isolation):
    pytest.importorskip("langgraph")
    (folder / "graphs.py").write_text(GRAPHS)

    await Runner.draft_policy(folder / "runner.yaml", place=f"graphs:{name}")
    (entry,) = load_policy(folder / "runner.yaml").agents.values()
    agent = build_agent(entry, Setting(folder))
    await agent.close()

    assert (entry.backend, entry.options, entry.isolation) == ("langgraph", {"graph": f"graphs:{name}"}, isolation)
    assert ("some of its nodes are sync" in (folder / "runner.yaml").read_text()) == (isolation == "process")
    assert entry.input_schema["properties"] == {"topic": {"type": "string"}}
    assert set(entry.output_schema["properties"]) == {"topic", "draft"}
    assert entry.effects == "irreversible"


async def test_a_graph_that_a_run_would_refuse_is_refused_and_nothing_is_written(folder):
    pytest.importorskip("langgraph")
    (folder / "graphs.py").write_text(GRAPHS)
    with pytest.raises(UsageError, match='its context_schema Wants has no field "call"'):
        await Runner.draft_policy(folder / "runner.yaml", place="graphs:closed")

    assert not (folder / "runner.yaml").exists()


@pytest.mark.parametrize(
    ("extra", "asked", "who"),
    [
        ("mcp", {"url": "http://127.0.0.1:9/mcp"}, "asking an MCP server"),
        ("langgraph", {"place": "graphs:held"}, 'the graph "graphs:held"'),
    ],
)
async def test_a_library_that_no_run_would_take_writes_no_policy(folder, monkeypatch, extra, asked, who):
    (folder / "graphs.py").write_text("class G:\n    def ainvoke(self): ...\n    def get_input_jsonschema(self): ...\nheld = G()\n")
    for tested, why in ((("no-such-library", "1", "2"), "which is not installed"), (("pytest", "1", "2"), "is installed")):
        monkeypatch.setitem(TESTED, extra, tested)
        with pytest.raises(UsageError) as caught:
            await Runner.draft_policy(folder / "runner.yaml", **asked)

        assert caught.value.message.startswith(f"{who} needs {tested[0]}") and caught.value.message.endswith(why)
        assert caught.value.hint == f'install it: pip install "spawn-runner[{extra}]"'
    assert not (folder / "runner.yaml").exists()


# --- of a server -----------------------------------------------------------------------------


def test_each_tool_of_a_server_becomes_an_agent_that_is_not_trusted(folder, capfd):
    with serving() as url:
        assert call(["policy", "init", "--mcp", url]) == 0

    text = (folder / "runner.yaml").read_text()
    search, remove, rename = load_policy(folder / "runner.yaml").agents.values()
    assert [entry.name for entry in (search, remove, rename)] == ["search", "remove_it_", "remove_it__2"]
    assert search.options == {"url": url, "tool": "search"}
    assert [(one.effects, one.idempotent, one.trusted) for one in (search, remove, rename)] == [
        ("read", True, False), ("irreversible", False, False), ("write", True, False),
    ]  # fmt: skip
    assert search.output_schema == {"properties": {"hits": {"type": "integer"}}, "required": ["hits"], "type": "object"}
    assert rename.output_schema == {}
    assert "# the server says readOnlyHint; believe it only if you know the server" in text


def test_what_a_server_says_stays_data_and_acts_on_no_terminal(folder):
    with serving() as url:
        assert call(["policy", "init", "--mcp", url]) == 0

    text = (folder / "runner.yaml").read_text()
    entry = yaml.safe_load(text)["agents"]["remove_it_"]
    assert text.isprintable() or set(text) - set(filter(str.isprintable, text)) == {"\n"}
    assert entry["description"] == "Delete it all. # effects: none   yes: [*x"
    assert entry["mcp"]["tool"] == "remove: it!"
    assert entry["effects"] == "irreversible"


def test_a_server_that_is_a_command_is_started_asked_and_gone(folder):
    assert call(["policy", "init", "--mcp-command", f"{sys.executable} {PROGRAM}"]) == 0

    (entry, *others) = load_policy(folder / "runner.yaml").agents.values()
    assert entry.options == {"command": [sys.executable, str(PROGRAM)], "tool": "search"}
    assert len(others) == 2


def test_a_tool_that_no_policy_can_name_is_left_out_and_the_others_stay(folder, capfd):
    assert call(["policy", "init", "--mcp-command", f"{sys.executable} {PROGRAM} 201"]) == 0

    text = (folder / "runner.yaml").read_text()
    assert list(load_policy(folder / "runner.yaml").agents) == ["search", "remove_it_", "remove_it__2"]
    assert "  # 1 more of its tools cannot be named here, for a name that is empty, longer than 200 characters" in text
    assert "n" * 201 not in text
    assert "warning: 1 tool of the server cannot be named in a policy: left out" in capfd.readouterr().err


# --- the text --------------------------------------------------------------------------------


def test_what_cannot_be_said_plainly_is_quoted_and_shared_parts_are_written_out():
    shared = {"type": "string"}
    draft = Draft(
        "yes", "a: b # c", {"python": "m:f"}, {"properties": {"on": shared, "1": shared}}, {"enum": ["\x1b[0m", "ü"]}
    )
    text = policy_text([draft])

    assert yaml.safe_load(text)["agents"]["yes"]["input"] == {"properties": {"on": shared, "1": shared}}
    assert yaml.safe_load(text)["agents"]["yes"]["output"] == {"enum": ["\x1b[0m", "ü"]}
    assert "&" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("said", "name"), [("search", "search"), ("a b/c", "a_b_c"), ("../x", "x"), ("\u202e", "agent"), ("n" * 99, "n" * 64), ("taken", "taken_2")]
)
def test_a_name_that_a_policy_cannot_have_becomes_one_that_it_can(said, name):
    assert agent_name(said, ["taken"]) == name


def test_titles_go_and_properties_of_that_name_stay():
    schema = {"title": "T", "properties": {"title": {"title": "Title", "type": "string", "default": {"title": "x"}}}}

    assert plain_schema(schema) == {"properties": {"title": {"type": "string", "default": {"title": "x"}}}}
