"""The `claude` backend: the real library and the CLI that it brings, pointed at a server that speaks the format."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import claude_agent_sdk
import pytest

from runner.agents import Setting, build_agent
from runner.errors import AgentFault
from runner.events import EventKind
from runner.policy import load_policy_text
from runner.policy.model import Reference
from runner.seams import Agent, Call
from runner.seams.agents import ModelUsage
from tests.process_lists import Look
from tests.resource_server import ResourceServer, Said
from tests.runs import run_script
from tests.unit.agents_by_hand import HandCredential, all_gone, call, entry, lives, open_folder, own_children, written
from tests.vendors import Request, Say, Vendors

KEY = "canary-key-7d20b1"
TOKEN = "canary-token-41ce9a"
MODEL = "claude-sonnet-4-5"
ANSWER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
ARGUMENTS = {"type": "object", "properties": {"x": {"type": "integer"}}}
FUNCTIONS = """
import asyncio
async def double(inputs): return {"twice": 2 * inputs["x"]}
async def raises(inputs): raise ValueError("/etc/passwd has hunter2")
async def told(inputs, call): return {"token": call.tokens["crm"]}
async def crm(inputs, call): return (await call.http.get(f"http://crm/{inputs['x']}")).json()
async def hang(inputs):
    try: await asyncio.sleep(600)
    except asyncio.CancelledError: await asyncio.sleep(600)
"""
BUNDLED = Path(str(claude_agent_sdk.__file__)).parent / "_bundled"

Make = Callable[..., Agent]
each_way = pytest.mark.parametrize("via", ["sdk", "cli"])


@pytest.fixture
def vendors() -> Iterator[Vendors]:
    with Vendors() as server:
        yield server


@pytest.fixture
async def make(vendors: Vendors, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    made: list[Agent] = []
    monkeypatch.setenv("PATH", f"{BUNDLED}:{os.environ['PATH']}")
    with open_folder() as folder:
        (folder / "tools.py").write_text(FUNCTIONS)

        def build(output: Any = ANSWER, *functions: str, via: str = "sdk", **options: Any) -> Agent:
            tools = {name: {"description": name, "python": f"tools:{name}", "input": ARGUMENTS} for name in functions}
            written = {"model": MODEL, "api_key": Reference("env", ("KEY",)), "base_url": vendors.url, **options}
            written |= ({"tools": tools} if tools else {}) | ({"via": "cli"} if via == "cli" else {})
            found = replace(entry("claude", written, isolation="process"), output_schema=output)
            made.append(build_agent(found, Setting(folder, read_reference=lambda reference: KEY)))
            return made[-1]

        yield build
        for agent in made:
            await agent.close()


async def fault_of(agent: Agent, attempt: Call) -> AgentFault:
    with pytest.raises(AgentFault) as raised:
        await agent.run(attempt)
    return raised.value


def told(fault: AgentFault) -> tuple[str, str, bool]:
    return str(fault.kind), fault.message, fault.lost


def processes_with(text: str) -> list[int]:
    """Return the processes that live and have a text in their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and lives(int(folder.name)) and text.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@each_way
async def test_the_cli_is_told_system_and_inputs_and_gives_its_structured_output(make, vendors, via):
    before = set(os.listdir("/tmp"))
    attempt = call({"n": 7})
    agent = make(via=via, system="--be-brief")
    output = await agent.run(attempt)
    await agent.close()
    (asked,) = vendors.requests

    assert output == {"n": 7}
    assert attempt.usage is not None and attempt.usage == ModelUsage(MODEL, 10, 5, attempt.usage.cost_usd)
    assert attempt.usage.cost_usd is not None and attempt.usage.cost_usd > 0
    assert asked.inputs == {"n": 7} and b'"--be-brief"' in asked.body
    assert [tool["name"] for tool in asked.json["tools"]] == ["StructuredOutput"]
    assert asked.headers.get("traceparent") == (attempt.traceparent if via == "sdk" else None)
    assert vendors.said(KEY) == ["x-api-key 0"]
    assert {name for name in set(os.listdir("/tmp")) - before if "claude" in name or name.startswith("runner-agent")} == set()


@each_way
async def test_without_a_schema_its_text_is_the_output_and_other_outputs_are_wrapped(make, vendors, via):
    vendors.say(Say(text="Good morning."))

    assert await make(None, via=via).run(call("hello")) == {"text": "Good morning."}
    assert await make({"type": "array", "items": {"type": "integer"}}, via=via).run(call([1, 2])) == [1, 2]


@each_way
@pytest.mark.parametrize(
    ("say", "kind", "message", "lost"),
    [
        (Say(status=401), "unauthorised", "answered with status 401: it does not accept its credential", False),
        (Say(status=429, headers={"retry-after": "7"}), "failed", "answered with status 429", False),
        (Say(status=500), "failed", "answered with status 500", True),
        (Say(cut=40), "failed", "broke off", True),
        (Say(body=b"<html>busy</html>"), "failed", "broke off", True),
    ],
)  # fmt: skip
async def test_an_answer_that_is_none_becomes_one_clear_fault(make, vendors, via, say, kind, message, lost):
    vendors.answer = lambda request: say
    fault = await fault_of(make(via=via, max_turns=3), call({"n": 7}))

    assert told(fault) == (kind, f'agent "a" {message}', lost)
    assert len(vendors.requests) == 1 and KEY not in fault.detail


@each_way
async def test_a_server_that_repeats_the_key_in_an_error_does_not_bring_it_into_the_journal(make, vendors, via):
    vendors.answer = lambda request: Say(status=400, body=f'{{"type": "error", "error": {{"type": "x", "message": "bad {KEY}"}}}}'.encode())
    fault = await fault_of(make(via=via), call({"n": 7}))

    assert told(fault) == ("failed", 'agent "a" answered with status 400', False)
    assert KEY not in fault.detail


@each_way
async def test_an_output_that_repeats_the_key_is_refused(make, vendors, via):
    text = {"type": "object", "properties": {"n": {"type": "string"}}}
    fault = await fault_of(make(text, via=via), call({"n": KEY}))

    assert told(fault) == ("invalid_output", 'agent "a" returned a value that its policy keeps by reference', False)


@each_way
async def test_an_output_beyond_the_bound_is_refused(make, vendors, via):
    fault = await fault_of(make(None, via=via), call("x" * 3000, output_bytes=1000))

    assert told(fault) == ("invalid_output", 'agent "a" returned more than 1000 bytes', False)


@each_way
async def test_a_model_that_never_says_its_result_is_stopped_and_its_usage_recorded(make, vendors, via):
    vendors.answer = lambda request: Say(calls=[("StructuredOutput", {"n": "seven"})])
    attempt = call({"n": 7})
    fault = await fault_of(make(via=via, max_turns=2), attempt)

    assert fault.kind in ("failed", "invalid_output") and 'agent "a"' in fault.message
    assert attempt.usage is not None and attempt.usage.tokens == 15 * len(vendors.requests)


async def test_functions_are_called_in_this_process_and_their_results_go_back(make, vendors):
    calls = [("double", {"x": 4}), ("raises", {"x": 1}), ("double", {"x": "four"})]
    vendors.say(*(Say(calls=[(f"mcp__runner__{name}", arguments)]) for name, arguments in calls))
    attempt = call({"n": 7})
    output = await make(ANSWER, "double", "raises").run(attempt)
    results = vendors.requests[3].tool_results

    assert output == {"n": 7}
    assert [failed for _, failed in results] == [False, True, True]
    assert '{"twice":8}' in results[0][0] and "raised ValueError" in results[1][0] and "integer" in results[2][0]
    assert "hunter2" not in str(vendors.requests)
    assert attempt.usage is not None and attempt.usage.tokens == 60


async def test_a_function_has_the_attempts_credential_and_the_cli_has_none(make, vendors):
    vendors.say(Say(calls=[("mcp__runner__crm", {"x": 42})]), Say(calls=[("mcp__runner__told", {"x": 1})]))
    credential = HandCredential(crm=TOKEN)
    try:
        await make(ANSWER, "crm", "told").run(call({"n": 7}, credential=credential))
    finally:
        await credential.close()

    assert [request.target for request in credential.requests] == ["/42"]
    assert credential.observed[-1] == "none"
    assert vendors.said(TOKEN) == []


async def test_credentials_of_attempts_at_once_do_not_mix(make, vendors):
    def answer(request: Request) -> Say:
        return Say() if request.tool_results else Say(calls=[("mcp__runner__crm", {"x": request.inputs["n"]})])

    vendors.answer = answer
    agent = make(ANSWER, "crm")
    credentials = [HandCredential() for _ in range(4)]
    attempts = [call({"n": n}, credential=one) for n, one in enumerate(credentials)]
    outputs = await asyncio.gather(*(agent.run(attempt) for attempt in attempts))

    assert outputs == [{"n": n} for n in range(4)]
    assert [[request.target for request in one.requests] for one in credentials] == [["/0"], ["/1"], ["/2"], ["/3"]]


@each_way
async def test_a_cancelled_attempt_returns_at_once_and_its_cli_is_dead(make, vendors, via):
    hold, mark = threading.Event(), f"marked-{via}-{os.getpid()}"
    vendors.say(Say(hold=hold))
    attempt = asyncio.ensure_future(make(via=via, system=mark).run(call({"n": 7})))
    await vendors.got(1)
    pids = processes_with(mark)
    uids = {os.stat(f"/proc/{pid}").st_uid for pid in pids}
    attempt.cancel()
    done, _ = await asyncio.wait([attempt], timeout=3)

    assert done and attempt.cancelled()
    # Where the host is root it is not.
    assert (0 in uids) is False or os.geteuid() != 0
    assert pids and await all_gone(pids)
    assert await asyncio.to_thread(vendors.hung_up.wait, 10)


async def test_a_function_that_swallows_its_cancellation_does_not_hold_the_attempt(make, vendors):
    vendors.say(Say(calls=[("mcp__runner__hang", {"x": 1})]))
    mark = f"marked-swallow-{os.getpid()}"
    attempt = asyncio.ensure_future(make(ANSWER, "hang", system=mark).run(call({"n": 7})))
    await vendors.got(1)
    pids = processes_with(mark)
    attempt.cancel()
    done, _ = await asyncio.wait([attempt], timeout=3)

    assert done and attempt.cancelled()
    assert pids and await all_gone(pids)


@each_way
async def test_close_ends_an_attempt_that_runs_and_leaves_no_process(make, vendors, via):
    before, hold = own_children(), threading.Event()
    vendors.say(Say(hold=hold))
    agent = make(via=via)
    attempt = asyncio.ensure_future(agent.run(call({"n": 7})))
    await vendors.got(1)
    await agent.close()
    await asyncio.wait([attempt], timeout=10)

    assert isinstance(attempt.exception(), AgentFault)
    assert own_children() <= before


@each_way
@pytest.mark.parametrize("behaviour", ["stays", "leaves"])
async def test_what_a_model_starts_with_its_shell_does_not_outlive_its_attempt(make, vendors, via, behaviour, monkeypatch):
    """It detaches a child that has the shell's pipes, and ignores SIGTERM itself or ends and lets the model answer."""
    with open_folder() as folder:
        (folder / "temporary").mkdir()
        (folder / "temporary").chmod(0o1777)
        monkeypatch.setattr("tempfile.tempdir", str(folder / "temporary"))
        begin = f"setsid sleep 600 & echo $$ $! > {folder}/pids; "
        script = f"trap '' TERM HUP INT; {begin} while :; do wait; done" if behaviour == "stays" else begin
        vendors.say(Say(calls=[("Bash", {"command": script, "description": "starts a child"})]))
        agent = make(via=via, builtin_tools=["Bash"])
        attempt = asyncio.ensure_future(agent.run(call({"n": 7})))
        pids = [int(pid) for pid in (await written(folder / "pids")).split()]
        if behaviour == "stays":
            attempt.cancel()
        done, _ = await asyncio.wait([attempt], timeout=60)
        await agent.close()

        assert done and (attempt.cancelled() if behaviour == "stays" else attempt.result() == {"n": 7})
        assert len(pids) == 2 and await all_gone(pids)
        assert list((folder / "temporary").iterdir()) == []


async def test_tools_of_the_cli_are_those_that_the_policy_names(make, vendors):
    await make(builtin_tools=["Read"]).run(call({"n": 7}))

    assert sorted(tool["name"] for tool in vendors.requests[0].json["tools"]) == ["Read", "StructuredOutput"]


async def test_nothing_of_this_machines_settings_or_environment_reaches_the_cli(make, vendors, monkeypatch, tmp_path):
    (tmp_path / "CLAUDE.md").write_text("canary-of-a-folder")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "canary-of-a-session")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "x-canary: canary-of-a-header")
    await make().run(call({"n": 7}))

    assert vendors.said("canary-of") == []


async def test_a_program_that_is_not_there_is_told_so(make, vendors, monkeypatch):
    agent = make(via="cli")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    fault = await fault_of(agent, call({"n": 7}))

    assert told(fault) == ("failed", 'agent "a" could not be started', False)
    assert fault.detail.startswith('argv[0] is "claude": there is no such program')


RUN_KEY = {"sdk": "canary-key-of-a-run-9c04e1", "cli": "canary-key-of-a-program-5ab7f3"}


@each_way
async def test_in_a_run_its_usage_is_on_the_record_and_nobody_sees_its_key_or_its_token(own_home, vendors, monkeypatch, caplog, via):
    """The key is in the environment of the CLI, which takes it from nowhere else; a token is in none."""
    caplog.set_level("DEBUG")
    key = RUN_KEY[via]
    monkeypatch.setenv("PATH", f"{BUNDLED}:{os.environ['PATH']}")
    monkeypatch.setenv("CANARY_KEY", key)
    look = Look(key, files=("cmdline",))
    asks = Say(calls=[("mcp__runner__crm", {"x": 42})], tokens=(100, 20))
    answers = [asks, Say(tokens=(30, 4))] if via == "sdk" else [Say(tokens=(30, 4))]
    vendors.say(*answers)
    options: dict[str, Any] = {"model": MODEL, "api_key": "env:CANARY_KEY", "base_url": vendors.url}
    if via == "sdk":
        options["tools"] = {"crm": {"description": "Looks up.", "python": "tools:crm", "input": ARGUMENTS}}
    else:
        options["via"] = "cli"
    more = {"scopes": ["crm:read"]} if via == "sdk" else {}
    agent = {"description": "Thinks.", "claude": options, "input": ANSWER, "output": ANSWER, "effects": "read", "timeout": "60s", **more}
    with open_folder() as folder, ResourceServer(look.during(lambda got: Said())) as crm:
        (folder / "tools.py").write_text(FUNCTIONS)
        resources = {"crm": {"url": crm.url, "scopes": {"crm:read": "GET /42"}}} if via == "sdk" else {}
        text = {"version": 1, "sandbox": "process", "agents": {"thinks": agent}, "resources": resources}
        monkeypatch.setattr(vendors, "_take", look.during(vendors._take))
        scopes = sorted(more.get("scopes", []))
        source = f"result = spawn('thinks', {{'n': 7}}, scopes={scopes!r}).result()"
        ran = await run_script(own_home, source, policy=load_policy_text(json.dumps(text), folder=folder, name="p"))
    told = [event.body["model_usage"] for event in ran.of(EventKind.SPAWN_SETTLED)]
    tokens = {got.headers["authorization"].removeprefix("Bearer ") for got in crm.received}

    assert ran.result.result == {"n": 7}, ran.result.error
    given, answered = (sum(say.tokens[n] for say in answers) for n in (0, 1))
    assert told == [{"tokens": given + answered, "cost_usd": told[0]["cost_usd"], "input_tokens": given, "output_tokens": answered}]
    assert told[0]["cost_usd"] > 0
    assert (ran.result.usage.model_tokens, ran.result.usage.cost_usd) == (given + answered, pytest.approx(told[0]["cost_usd"]))
    assert (look.looks, look.found) == (len(vendors.requests) + len(crm.received), [])
    assert len(tokens) == len(crm.received) == len(scopes)
    assert {place.partition(" ")[0] for place in vendors.said(key)} == {"x-api-key"}
    stored = b"".join(path.read_bytes() for path in own_home.rglob("*") if path.is_file())
    for canary in (key, *tokens):
        assert canary not in caplog.text and canary.encode() not in stored
    assert [vendors.said(token) for token in tokens] == [[]] * len(tokens)


@each_way
async def test_facts_are_texts_that_change_with_what_the_model_is_told(make, via):
    one, other = make(via=via, system="a").facts(), make(via=via, system="b").facts()

    assert one != other and one == make(via=via, system="a").facts()
    assert all(text.isprintable() and str(BUNDLED) not in text for text in one.values())
