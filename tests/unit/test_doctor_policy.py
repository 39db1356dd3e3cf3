"""`runner doctor --policy` says of each thing that a policy names whether it could be used, and uses none of it."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.agents import Setting, looking, probing
from runner.agents.connecting import connect
from runner.agents.extras import TESTED
from runner.agents.looking import Listings, Look, references_of
from runner.agents.probing_services import as_locked
from runner.cli import call
from runner.cli.machine import diagnosis_lines
from runner.doctor.policy import examine_policy
from runner.policy import load_policy, load_policy_text
from runner.policy.backends import BACKENDS
from runner.policy.references import read_reference
from tests.authorization_servers import WORD, chosen_server, free_port
from tests.mcp_servers import serving
from tests.resource_server import ResourceServer, Said
from tests.unit.agents_by_hand import open_folder

CANARY = "canary-4d7e1b90c2f35a68"
COMMON = {"description": "x", "input": {"type": "object"}, "output": {"type": "object"}, "effects": "none"}


@pytest.fixture
def service() -> Iterator[ResourceServer]:
    with ResourceServer() as server:
        yield server


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", CANARY)
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


async def found_of(folder: Path, agents: dict[str, Any] | None = None, **more: Any) -> list[str]:
    """Return the lines of a doctor that looks at a policy with these agents, each backend by its entry."""
    entries = {name: {**COMMON, **entry} for name, entry in (agents or {}).items()}
    text = yaml.safe_dump({"version": 1, "sandbox": "process", "agents": entries, **more}, sort_keys=False)
    found = await examine_policy(load_policy_text(text, folder=folder, name="p"), folder)
    lines = list(diagnosis_lines(found))
    assert CANARY not in "\n".join(lines)
    return lines


# --- code and programs -----------------------------------------------------------------------


async def test_code_and_programs_are_looked_for_and_not_called(tmp_path):
    (tmp_path / "agents.py").write_text("def good(inputs):\n    raise SystemExit\n\nasync def other(inputs): ...\n")
    (tmp_path / "bad.py").write_text("raise RuntimeError('no database')\n")
    (tmp_path / "plain.txt").write_text("x")
    lines = await found_of(
        tmp_path,
        {
            "a": {"python": "agents:good"}, "b": {"python": "agents:other"}, "c": {"python": "bad:f"},
            "d": {"python": "agents:gone"}, "e": {"command": ["./gone.sh"]}, "f": {"command": ["./plain.txt"]},
            "g": {"command": [sys.executable, "./gone.py"], "env": {"K": "env:NOT_THERE", "L": "env:CANARY_KEY"}},
        },
    )  # fmt: skip

    program = next(line for line in lines if "agent g, program" in line)
    assert program.startswith(f"ok      agent g, program: {sys.executable}, ")
    assert [line for line in lines if line != program] == [
        "ok      agent a, function: agents:good imports, and is a def, for worker processes",
        "ok      agent b, function: agents:other imports, and is an async def, which runs in the host's process",
        'FAILED  agent c, probe: agent "c" calls "bad:f", which cannot be imported: RuntimeError: no database',
        f'        fix: correct "call" of agent "c"; its module is looked for in {tmp_path} first',
        'FAILED  agent d, probe: agent "d" calls "agents:gone", which cannot be imported: AttributeError: module '
        + next(line for line in lines if "agent d" in line).partition("AttributeError: module ")[2],
        f'        fix: correct "call" of agent "d"; its module is looked for in {tmp_path} first',
        f"FAILED  agent e, program: {tmp_path}/gone.sh is not there, or cannot be executed",
        '        fix: install it, make it executable, or correct "command" of the agent',
        f"FAILED  agent f, program: {tmp_path}/plain.txt is not there, or cannot be executed",
        '        fix: install it, make it executable, or correct "command" of the agent',
        f"FAILED  agent g, argument: {tmp_path}/gone.py cannot be read",
        "        fix: write it, or correct the path",
        "FAILED  agent g, credential env:NOT_THERE: env:NOT_THERE is not set",
        "        fix: export NOT_THERE where runner is started",
        "ok      agent g, credential env:CANARY_KEY: can be read",
    ]


def test_an_agent_that_is_not_as_locked_is_named_with_what_differs(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runner.yaml").write_text(yaml.safe_dump({"version": 1, "sandbox": "process", "agents": {"a": {**COMMON, "command": ["./x.sh"]}}}))
    program = tmp_path / "x.sh"
    program.write_text("#!/bin/sh\necho '{}'\n")
    program.chmod(0o755)
    assert call(["policy", "lock", "runner.yaml"]) == 0
    assert call(["doctor", "--policy", "runner.yaml"]) == 0
    program.write_text("#!/bin/sh\necho 1\n")
    capfd.readouterr()

    code = call(["doctor", "--policy", "runner.yaml", "--json"])
    found = json.loads(capfd.readouterr().out)

    assert (code, found["version"], found["policy"], found["can_run"]) == (9, 1, "runner", False)
    assert found["digest"] == load_policy(tmp_path / "runner.yaml").digest
    assert [(one["subject"], one["level"]) for one in found["diagnoses"]] == [
        ("agent a, program", "ok"), ("agent a, lock", "failed"),
    ]  # fmt: skip
    assert found["diagnoses"][1]["fact"].startswith("code is ")
    assert found["diagnoses"][1]["fix"] == "look at what changed, then `runner policy lock`"


async def test_a_script_is_read_and_checked_under_its_own_policy(tmp_path):
    (tmp_path / "inner.yaml").write_text(yaml.safe_dump({"version": 1, "sandbox": "process", "agents": {}}))
    (tmp_path / "good.py").write_text("result = 1\n")
    (tmp_path / "bad.py").write_text("import os\nresult = 1\n")
    files = {"a": ("good.py", "inner.yaml"), "b": ("bad.py", "inner.yaml")}

    lines = await found_of(tmp_path, {n: {"script": {"file": f, "policy": p}} for n, (f, p) in files.items()})

    told = [line for line in lines if not line.startswith(" ")]
    assert told[:2] == [
        "ok      agent a, script: good.py is accepted under inner.yaml",
        "FAILED  agent b, script: bad.py is rejected under inner.yaml: line 1: "
        + told[1].partition("line 1: ")[2],
    ]
    assert "        fix: runner check bad.py --policy inner.yaml" in lines


# --- libraries that are not here -------------------------------------------------------------


@pytest.mark.parametrize("backend", [name for name, rule in BACKENDS.items() if rule.extra])
async def test_a_library_that_is_missing_is_named_with_its_extra(tmp_path, monkeypatch, backend):
    monkeypatch.setitem(TESTED, BACKENDS[backend].extra, ("no-such-library", "1", "2"))
    options = {"mcp": {"url": "http://127.0.0.1:9", "tool": "t"}, "langgraph": {"graph": "m:g"}, "crewai": {"crew": "m:c"}}

    lines = await found_of(tmp_path, {"x": {backend: options.get(backend, {"model": "m"})}})

    assert lines == [
        'FAILED  agent x, library: agent "x" needs no-such-library, which is not installed',
        f'        fix: install it: pip install "spawn-runner[{BACKENDS[backend].extra}]"',
    ]


@pytest.mark.parametrize("there", [True, False])
async def test_claude_as_a_program_needs_no_library(tmp_path, monkeypatch, service, there):
    monkeypatch.setitem(TESTED, "claude", ("no-such-library", "1", "2"))
    monkeypatch.setenv("PATH", str(tmp_path))
    if there:
        (tmp_path / "claude").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "claude").chmod(0o755)
    entry = {"model": "m", "via": "cli", "base_url": service.url, "api_key": "env:CANARY_KEY"}

    lines = await found_of(tmp_path, {"x": {"claude": entry}})

    assert [line for line in lines if "library" in line] == []
    assert [line for line in lines if "program" in line] == [
        f"ok      agent x, program: {tmp_path}/claude" if there else "FAILED  agent x, program: there is no program claude on the PATH"
    ]
    assert ("        fix: install Claude Code, or leave `via: cli` out" in lines) == (not there)


async def test_a_crew_is_imported_in_a_process_of_its_own_and_not_called(tmp_path):
    (tmp_path / "crews.py").write_text("open('imported', 'w').close()\ndef crew():\n    open('called', 'w').close()\n")
    (tmp_path / "bad.py").write_text(f"raise KeyError('no key {'x' * 9}')\n")

    for place, ok in (("crews:crew", True), ("bad:crew", False), ("gone:crew", False)):
        (entry,) = load_policy_text(
            yaml.safe_dump({"version": 1, "sandbox": "process", "agents": {"x": {**COMMON, "crewai": {"crew": place}}}}),
            folder=tmp_path, name="p",
        ).agents.values()  # fmt: skip
        (probe,) = await probing.PROBES["crewai"](Look(entry, Setting(tmp_path), None, Listings()))

        assert probe.ok == ok, probe
    assert (tmp_path / "imported").exists()
    assert not (tmp_path / "called").exists()
    assert not any(name.endswith(".crews") for name in sys.modules)


async def test_a_crew_is_imported_with_its_variables_and_no_error_shows_one(tmp_path):
    (tmp_path / "crews.py").write_text(
        "import os\n"
        "open('seen', 'w').write(open('/proc/self/environ').read())\n"
        "def crew(): ...\n"
        "assert os.environ['MODE'] == 'plain'\n"
        "key = os.environ['KEY']\n"
    )  # fmt: skip
    (tmp_path / "tells.py").write_text("import os\nraise ValueError('no model takes ' + os.environ['KEY'])\n")
    env = {"MODE": "plain", "KEY": "env:CANARY_KEY"}

    found = []
    for place, given in (("crews:crew", env), ("tells:crew", env), ("crews:crew", {"KEY": "env:GONE"})):
        (entry,) = load_policy_text(
            yaml.safe_dump({"version": 1, "sandbox": "process", "agents": {"x": {**COMMON, "crewai": {"crew": place, "env": given}}}}),
            folder=tmp_path, name="p",
        ).agents.values()  # fmt: skip
        setting = Setting(tmp_path, lambda reference: read_reference(reference, tmp_path))
        found += await probing.PROBES["crewai"](Look(entry, setting, None, Listings()))

    assert [(one.ok, one.fact) for one in found] == [
        (True, "crews:crew imports"),
        (False, "tells:crew cannot be imported: ValueError: no model takes [redacted]"),
        (True, "crews:crew is not imported: its env cannot be read"),
    ]
    assert CANARY not in (tmp_path / "seen").read_text()


GRAPHS = """\
import os
from typing_extensions import TypedDict
from langgraph.graph import START, StateGraph

with open(f"imported-by-{os.getpid()}", "w"): pass

class State(TypedDict):
    value: int

def sync(state): open("called", "w").close()
async def other(state): open("called", "w").close()

def made(node):
    graph = StateGraph(State)
    graph.add_node("only", node)
    graph.add_edge(START, "only")
    return graph.compile()

number = 3
"""


async def test_a_graph_is_looked_at_as_a_run_would_and_not_called(tmp_path, monkeypatch):
    pytest.importorskip("langgraph")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "graphs.py").write_text(GRAPHS + "held, threads = made(other), made(sync)\n")
    graphs = {name: {"graph": f"graphs:{name}"} for name in ("held", "threads", "number", "gone")}

    lines = await found_of(
        tmp_path,
        {**{name: {"langgraph": graph} for name, graph in graphs.items()}, "allowed": {"langgraph": {**graphs["threads"], "unsafe_threads": True}}},
    )

    told = [line for line in lines if "library" not in line]
    assert told == [
        "ok      agent held, graph: graphs:held is a compiled graph with async nodes, for the host's process",
        'FAILED  agent threads, probe: agent "threads" calls "graphs:threads", whose nodes "only" are sync: '
        "they would run in threads of the host, which no deadline stops",
        '        fix: write "isolation: process", or the nodes as async def',
        'FAILED  agent number, probe: agent "number" calls "graphs:number", which cannot be used: TypeError: '
        "it is a int and no compiled graph, nor a function that returns one",
        f'        fix: correct "graph" of agent "number"; its module is looked for in {tmp_path} first',
        'FAILED  agent gone, probe: agent "gone" calls "graphs:gone", which cannot be used: AttributeError: module '
        + told[5].partition("AttributeError: module ")[2],
        f'        fix: correct "graph" of agent "gone"; its module is looked for in {tmp_path} first',
        "ok      agent allowed, graph: graphs:threads is a compiled graph with sync nodes in threads (unsafe_threads), for the host's process",
    ]
    assert not (tmp_path / "called").exists()


async def test_a_graph_in_a_process_is_imported_there_with_its_variables_and_not_here(monkeypatch):
    pytest.importorskip("langgraph")
    with open_folder() as folder:
        (folder / "apart.py").write_text(GRAPHS + "key = os.environ['KEY']\ngraph = made(sync)\n")
        (folder / "tells.py").write_text("import os\ngraph = 1\nraise ValueError(os.environ['KEY'])\n")
        entry = {"isolation": "process", "langgraph": {"graph": "apart:graph", "env": {"KEY": "env:CANARY_KEY"}}}
        lines = await found_of(
            folder,
            {
                "a": entry,
                "b": {**entry, "langgraph": {**entry["langgraph"], "graph": "tells:graph"}},
                "c": {**entry, "langgraph": {"graph": "apart:graph", "env": {"KEY": "env:GONE"}}},
                "d": {**entry, "langgraph": {"graph": "apart:gone"}},
            },
        )
        importers = [path.name for path in folder.glob("imported-by-*")]

    assert [line for line in lines if "library" not in line] == [
        "ok      agent a, module: apart:graph imports in a worker process, and can be called there",
        "ok      agent a, credential env:CANARY_KEY: can be read",
        "FAILED  agent b, module: tells:graph cannot be used in a worker process: ValueError: [redacted]",
        "        fix: correct its import path, or what it needs when it is imported",
        "ok      agent b, credential env:CANARY_KEY: can be read",
        "warning agent c, module: apart:graph is not imported: its env cannot be read",
        "        fix: mend the credential",
        "FAILED  agent c, credential env:GONE: env:GONE is not set",
        "        fix: export GONE where runner is started",
        'FAILED  agent d, probe: agent "d" calls "apart:gone", which cannot be imported: the module has no "gone"',
        f'        fix: correct "graph" of agent "d"; its module is looked for in {folder} first',
    ]
    assert len(importers) == 1 and f"imported-by-{os.getpid()}" not in importers
    assert not any(name.endswith(".apart") for name in sys.modules)


async def test_claude_as_a_command_needs_the_program_and_no_library(tmp_path, service, monkeypatch):
    monkeypatch.setitem(TESTED, "claude", ("no-such-library", "1", "2"))
    agents = {"m": {"claude": {"model": "m", "via": "cli", "base_url": service.url, "api_key": "env:CANARY_KEY"}}}
    monkeypatch.setenv("PATH", str(tmp_path))
    before = await found_of(tmp_path, agents)
    (tmp_path / "claude").write_text("#!/bin/sh\n")
    (tmp_path / "claude").chmod(0o755)
    after = await found_of(tmp_path, agents)

    assert [line for line in before if "program" in line or "via" in line or "library" in line] == [
        "FAILED  agent m, program: there is no program claude on the PATH",
        "        fix: install Claude Code, or leave `via: cli` out",
    ]
    assert f"ok      agent m, program: {tmp_path}/claude" in after
    assert not [line for line in after if line.startswith("FAILED") or "library" in line]


# --- services --------------------------------------------------------------------------------


async def test_an_address_is_connected_to_and_sent_nothing(tmp_path, service):
    down = free_port()
    lines = await found_of(
        tmp_path,
        {
            "up": {"http": {"url": f"{service.url}/pay?token=x", "headers": {"authorization": "env:CANARY_KEY"}}},
            "down": {"http": {"url": f"http://127.0.0.1:{down}/"}},
            "lost": {"http": {"url": "http://no..host/"}},
            "plain": {"http": {"url": service.url.replace("http:", "https:")}},
        },
    )
    port = service.url.rpartition(":")[2]

    assert lines == [
        f"ok      agent up, address: 127.0.0.1:{port} takes connections, unencrypted",
        "ok      agent up, credential env:CANARY_KEY: can be read",
        f"FAILED  agent down, address: 127.0.0.1:{down}: connection refused",
        "        fix: start it, or correct its URL",
        "FAILED  agent lost, address: no..host is no known host name",
        "        fix: correct its URL",
        f"FAILED  agent plain, address: 127.0.0.1:{port}: no TLS connection can be made",
        "        fix: start it, or correct its URL",
    ]
    assert service.received == []


async def test_a_service_that_hangs_holds_a_probe_for_its_seconds_alone():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        probe = await connect(f"https://127.0.0.1:{port}", seconds=0.2)

    assert (probe.ok, probe.fact) == (False, f"127.0.0.1:{port} did not answer within 0.2 s")


@pytest.mark.parametrize(
    ("status", "last"),
    [
        (200, "ok      agent m, key: the service takes it"),
        (401, "FAILED  agent m, key: the service does not take it (status 401)"),
        (403, "FAILED  agent m, key: the service does not take it (status 403)"),
        (404, "ok      agent m, key: not proved: the service has no list of models (status 404)"),
        (302, "warning agent m, key: not proved: the service answered with status 302"),
        (500, "warning agent m, key: not proved: the service answered with status 500"),
    ],
)
async def test_a_models_key_is_shown_to_its_free_list_and_to_nobody_else(tmp_path, service, status, last):
    # What it answers beside the status is not read.
    service.answer = lambda got: Said(status, b"<html>" + CANARY.encode(), {"Location": f"{service.url}/elsewhere"})

    openai = await found_of(tmp_path, {"m": {"openai": {"model": "x", "base_url": f"{service.url}/v1", "api_key": "env:CANARY_KEY"}}})
    anthropic = await found_of(tmp_path, {"m": {"anthropic": {"model": "x", "base_url": service.url, "api_key": "env:CANARY_KEY"}}})

    assert last in openai
    assert last in anthropic
    assert [(got.method, got.path, got.body) for got in service.received] == [("GET", "/v1/models", b"")] * 2
    assert service.received[0].headers["authorization"] == f"Bearer {CANARY}"
    assert service.received[1].headers["x-api-key"] == CANARY


async def test_a_key_that_cannot_be_read_is_told_of_once_and_nothing_is_asked_without_it(tmp_path, service):
    lines = await found_of(
        tmp_path,
        {
            "a": {"anthropic": {"model": "x", "base_url": service.url}},
            "b": {"openai": {"model": "x", "base_url": service.url, "api_key": "env:GONE"}},
        },
    )

    assert [line for line in lines if "credential" in line] == [
        "FAILED  agent a, credential env:ANTHROPIC_API_KEY: env:ANTHROPIC_API_KEY is not set",
        "FAILED  agent b, credential env:GONE: env:GONE is not set",
    ]
    assert service.received == []


async def test_a_server_of_ones_own_may_ask_for_no_key(tmp_path, service):
    lines = await found_of(tmp_path, {"m": {"openai": {"model": "x", "base_url": f"{service.url}/v1"}}})

    assert "warning agent m, credential env:OPENAI_API_KEY: env:OPENAI_API_KEY is not set" in lines
    assert "ok      agent m, key: the service asks for none" in lines
    assert "authorization" not in service.received[0].headers


async def test_a_server_of_many_tools_is_asked_once_and_none_of_them_is_called(tmp_path, monkeypatch):
    from runner.agents import mcp_listing

    asked = []
    monkeypatch.setattr(mcp_listing, "listed_by", counted(mcp_listing.listed_by, asked))
    with serving(key=CANARY) as url:
        headers = {"authorization": {"command": ["sh", "-c", 'printf "Bearer %s" "$CANARY_KEY"']}}
        lines = await found_of(
            tmp_path,
            {
                "a": {"mcp": {"url": url, "tool": "search", "headers": headers}},
                "b": {"mcp": {"url": url, "tool": "gone", "headers": headers}},
                "c": {"mcp": {"url": url, "tool": "search"}},
            },
        )

    assert [line for line in lines if "tool" in line or "server" in line] == [
        "ok      agent a, tool: the server has it, among 3",
        'FAILED  agent b, tool: the server has no tool "gone"',
        '        fix: correct "tool" of the agent',
        "FAILED  agent c, server: asked for its tools: it answered with status 401: it does not accept its credential",
    ]
    assert len(asked) == 2


async def test_a_server_that_is_a_command_is_started_as_a_call_would_start_it_and_it_is_told_how(tmp_path):
    # What it does not know of its caller it cannot tell: nothing of the environment is there, and no folder of the policy.
    told = "agent a, server: asked for its tools: it exited with status 7"
    program = 'test -z "$CANARY_KEY" && test "$MINE" = 1 && test ! -e p.yaml && exit 7'
    (tmp_path / "p.yaml").touch()
    lines = await found_of(
        tmp_path,
        {
            "a": {"mcp": {"command": ["sh", "-c", program], "tool": "t", "env": {"MINE": "1"}}},
            "b": {"mcp": {"command": ["./gone"], "tool": "t"}},
        },
    )

    assert f"FAILED  {told}" in lines
    assert next(line for line in lines if "agent a, program" in line).startswith("ok      agent a, program: /")
    assert [line for line in lines if line.startswith("FAILED  agent b")] == [
        f"FAILED  agent b, program: {tmp_path}/gone is not there, or cannot be executed"
    ]


def counted(act: Any, asked: list[Any]) -> Any:
    async def counting(*what: Any, **more: Any) -> Any:
        asked.append(what)
        return await act(*what, **more)

    return counting


def test_schemas_that_are_not_as_locked_are_told():
    from runner.policy.model import LockedAgent

    locked = LockedAgent("mcp", "", {}, {"type": "object"}, None)

    assert [one.ok for one in as_locked(locked, {"type": "object"}, {"any": 1})] == [True]
    assert [one.fact for one in as_locked(locked, {"type": "string"}, None)] == ["its input schema is not as locked"]
    assert as_locked(None, 1, 2) == []


# --- issuers and resources -------------------------------------------------------------------


async def test_issuers_and_resources_are_looked_at_and_no_token_is_minted(tmp_path, service, monkeypatch):
    monkeypatch.setenv("WORD", WORD)
    down = free_port()
    with chosen_server() as server:
        lines = await found_of(
            tmp_path,
            resources={
                "crm": {"url": service.url, "scopes": {"a:read": "GET /a"}, "issuer": "login"},
                "wiki": {"url": f"http://127.0.0.1:{down}", "scopes": {"w:read": "GET /a"}, "credential": {"header": "X-Key", "value": "env:CANARY_KEY"}},
                "own": {"url": service.url, "scopes": {"o:read": "GET /a"}},
            },
            issuers={
                "login": {"url": server.url, "client_id": "c", "credential": "env:WORD"},
                "other": {"url": server.url + "/x", "client_id": "c", "credential": "env:GONE"},
                "signed": {"url": server.url, "client_id": "c", "credential": "env:CANARY_KEY", "auth": "private_key_jwt"},
            },
        )
        asked = {one.path for one in server.asked}
    port = service.url.rpartition(":")[2]

    assert lines == [
        f"ok      resource crm, address: 127.0.0.1:{port} takes connections, unencrypted",
        f"FAILED  resource wiki, address: 127.0.0.1:{down}: no connection",
        "        fix: start it, or correct its URL",
        "ok      resource wiki, credential env:CANARY_KEY: can be read",
        f"ok      resource own, address: 127.0.0.1:{port} takes connections, unencrypted",
        "ok      issuer login, metadata: it names its endpoints; it can be introspected",
        "ok      issuer login, credential env:WORD: can be read, and used for client_secret_basic; that the server accepts it is not proved",
        "FAILED  issuer other, metadata: it has no metadata (RFC 8414) at this address",
        "        fix: correct its URL, or look at the server",
        "FAILED  issuer other, credential env:GONE: env:GONE is not set",
        "        fix: export GONE where runner is started",
        "ok      issuer signed, metadata: it names its endpoints; it can be introspected",
        "FAILED  issuer signed, credential env:CANARY_KEY: its credential is no private key (PEM or JWK; EC, RSA or OKP)",
        "        fix: put a private key there",
        "ok      embedded issuer, keys: none yet; the first run makes one",
    ]
    assert not {"/token", "/revoke", "/introspect"} & asked
    assert service.received == []
    assert not (tmp_path / "keys").exists()


# --- bounds ----------------------------------------------------------------------------------


async def test_a_module_that_never_ends_its_import_holds_nothing_but_its_own_line(tmp_path, monkeypatch):
    monkeypatch.setattr(looking, "LONG_SECONDS", 0.3)
    (tmp_path / "endless.py").write_text("import threading\nthreading.Event().wait(20)\n")

    lines = await found_of(tmp_path, {"x": {"python": "endless:f"}})

    assert lines[0] == "FAILED  agent x, probe: no answer within 0.3 s"


def test_references_are_read_as_a_run_reads_them(tmp_path):
    from runner.policy.model import Reference

    options = {"headers": {"a": Reference("env", ("CANARY_KEY",)), "b": "x"}, "api_key": Reference("env", ("Y",)), "n": [1]}

    assert [str(one) for one in references_of(options)] == ["env:CANARY_KEY", "env:Y"]
    assert read_reference(Reference("env", ("CANARY_KEY",)), tmp_path) == CANARY
