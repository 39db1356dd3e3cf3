"""The `crewai` backend, with CrewAI itself and a model that answers at once. Run by `make test-backends`.

One agent serves most tests: a worker's import of CrewAI takes seconds.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from runner.agents import Setting, build_agent
from runner.agents.looking import Listings, Look
from runner.agents.probing import probe
from runner.errors import AgentFault, PolicyError
from runner.events import EventKind
from runner.models import Json, RunState
from runner.policy import load_policy_text
from runner.policy.model import Reference
from runner.seams import Agent, Call, ModelUsage
from tests.contract import test_agent_contract as contract
from tests.process_lists import Look as ProcessLists
from tests.resource_server import ResourceServer, Said
from tests.runs import run_script
from tests.token_watch import WATCH
from tests.unit.agents_by_hand import HandCredential, all_gone, call, entry, open_folder, written

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = "canary-c0ffee-4d1f-a-token-of-crm"
KEY = "sk-canary-9b1d-a-key-of-a-model"
TEXTS = {"type": "array", "items": {"type": "string"}}
Make = Callable[[str], Agent]


class Wrapped:
    """An agent that is handed any JSON value, as one input of a crew, which does what the other says."""

    def __init__(self, agent: Agent, behaviour: str) -> None:
        self._agent, self._behaviour = agent, behaviour
        self.facts, self.close = agent.facts, agent.close

    async def run(self, one: Call) -> Json:
        one.inputs = {"value": json.dumps(one.inputs), "do": self._behaviour}
        return await self._agent.run(one)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with open_folder() as made:
        shutil.copy(Path(__file__).with_name("crews.py"), made)
        yield made


def crew_agent(folder: Path, name: str, **options: Any) -> Agent:
    setting = Setting(folder, read_reference=lambda reference: KEY)
    return build_agent(entry("crewai", {"crew": f"crews:{name}", **options}, isolation="process", parallel=2), setting)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def make(folder: Path) -> AsyncIterator[Make]:
    env = {"MODEL_KEY": Reference("env", ("K",)), "MODEL_URL": "http://model"}
    agent = crew_agent(folder, "main", env=env)
    # A worker is there before a test waits for what it does.
    await agent.run(call({"value": "1", "do": "echo"}))
    yield lambda behaviour: Wrapped(agent, behaviour)
    await agent.close()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with open_folder() as made:
        yield made


async def once(folder: Path, name: str, **options: Any) -> Json:
    agent = crew_agent(folder, name, **options)
    try:
        return await agent.run(call({"value": "1", "do": "garbage"}))
    finally:
        await agent.close()


async def fault_of(agent: Agent, *args: Any, **more: Any) -> AgentFault:
    with pytest.raises(AgentFault) as raised:
        await agent.run(call(*args, **more))
    return raised.value


# --- as every backend ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behaviour",
    [
        contract.test_inputs_reach_the_agent_and_its_output_comes_back,
        contract.test_attempts_at_once_do_not_mix,
        contract.test_inputs_larger_than_a_pipe_reach_the_agent,
        contract.test_a_failure_tells_the_script_who_and_how_and_the_journal_why,
        contract.test_an_output_beyond_the_bound_is_refused_and_not_kept,
        contract.test_what_is_no_json_is_refused_and_not_repeated_to_the_script,
        contract.test_an_agent_says_what_it_is_the_same_each_time_and_in_texts_of_one_line,
    ],
)
async def test_it_does_what_every_backend_does(make: Make, behaviour: Callable[[Make], Awaitable[None]]) -> None:
    await behaviour(make)


@pytest.mark.parametrize(
    "behaviour",
    [
        contract.test_a_cancelled_attempt_ends_promptly_and_the_agent_serves_on,
        contract.test_cancellation_kills_what_the_agent_had_started,
        contract.test_what_an_agent_is_made_of_names_no_folder_of_this_machine,
    ],
)
async def test_it_ends_as_every_backend_does(
    make: Make, tmp_path: Path, behaviour: Callable[[Make, Path], Awaitable[None]]
) -> None:
    await make("echo").run(call(1))

    await behaviour(make, tmp_path)


async def test_close_kills_attempts_that_run_and_leaves_no_process(folder: Path, tmp_path: Path) -> None:
    agent = crew_agent(folder, "main")
    await agent.run(call({"value": "1", "do": "echo"}))

    await contract.test_close_kills_attempts_that_run_and_leaves_no_process(lambda name: Wrapped(agent, name), tmp_path)
    await agent.close()


@pytest.mark.parametrize("behaviour", ["stay", "leave", "quit"])
async def test_what_a_crew_starts_does_not_outlive_its_worker(
    folder: Path, tmp_path: Path, behaviour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ignores SIGTERM, or ends, or ends its process, and has detached a child that holds the worker's pipes."""
    (tmp_path / "temporary").mkdir()
    (tmp_path / "temporary").chmod(0o1777)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    agent = crew_agent(folder, "main")
    attempt = asyncio.ensure_future(agent.run(call({"value": json.dumps(str(tmp_path / "pids")), "do": behaviour})))
    pids = [int(pid) for pid in (await written(tmp_path / "pids")).split()]
    if behaviour == "stay":
        attempt.cancel()
    done, _ = await asyncio.wait([attempt], timeout=30)
    await agent.close()

    assert done and attempt.cancelled() is (behaviour == "stay")
    if behaviour == "leave":
        assert attempt.result() == 1
    if behaviour == "quit":
        assert str(attempt.exception()) == 'agent "a" ended without an answer'
    assert len(pids) == 2 and await all_gone(pids)
    assert list((tmp_path / "temporary").iterdir()) == []


# --- outputs ---------------------------------------------------------------------------------


async def test_the_json_of_a_typed_task_is_the_output_of_a_class_in_the_style_of_crewai(folder: Path) -> None:
    assert await once(folder, "InStyle") == {"score": 0.5}


async def test_the_model_of_a_task_is_the_output(folder: Path) -> None:
    assert await once(folder, "modelled") == {"score": 0.25}


async def test_a_text_is_the_output_where_the_policy_says_so(folder: Path) -> None:
    assert await once(folder, "main", output_as="text") == "this is no JSON"


async def test_the_text_of_an_agent_error_reaches_the_script(make: Make) -> None:
    assert (await fault_of(make("refuse"))).message == "no such vendor"


async def test_inputs_that_have_no_names_are_refused_before_anything_is_started(folder: Path) -> None:
    fault = await fault_of(crew_agent(folder, "main"), [1])

    assert (fault.kind, fault.message) == ("invalid_input", 'agent "a" takes an object: names and their values')


# --- credentials, usage, silence -------------------------------------------------------------


async def test_a_tool_reaches_the_gateway_and_the_token_is_nowhere(make: Make) -> None:
    credential = HandCredential()
    one = call(1, credential=credential, output_bytes=10_000_000)
    told = await make("with_tool").run(one)
    (door,) = credential.doors
    await credential.close()

    assert [f"{asked.method} {asked.host}{asked.target}" for asked in credential.requests] == ["GET crm/customers/42"]
    assert "GET http://crm/customers/42" in told["asked"][-1]
    assert (told["attempt"], told["resources"]) == (2, [])
    assert door.door.key not in json.dumps(told)


async def test_a_raw_token_is_in_the_call_alone(make: Make) -> None:
    credential = HandCredential(crm=CANARY)
    told = await make("with_tool").run(call(1, credential=credential, output_bytes=10_000_000))
    await credential.close()

    assert told["resources"] == ["crm"] and credential.observed == ["none"]
    assert CANARY not in json.dumps(told)


async def test_an_output_that_repeats_a_token_is_refused(make: Make) -> None:
    credential = HandCredential(crm=CANARY)
    fault = await fault_of(make("repeat_token"), credential=credential)
    await credential.close()

    assert (fault.kind, fault.message) == ("invalid_output", 'agent "a" returned a credential that it was handed')
    assert CANARY not in fault.detail


async def test_what_the_models_used_is_told_also_where_the_crew_failed(make: Make) -> None:
    done, failed = call(1), call(2)
    await make("echo").run(done)
    with pytest.raises(AgentFault):
        await make("fail").run(failed)

    assert done.usage == ModelUsage("fake-1", 100, 20)
    # CrewAI itself tries a task twice more.
    assert failed.usage == ModelUsage("fake-1", 300, 60)


async def test_a_worker_is_silent_serves_again_and_keeps_nothing(make: Make, folder: Path) -> None:
    agent = make("facts")
    first, second = [await agent.run(call(n)) for n in range(2)]

    assert first["pid"] == second["pid"] and first["connected"] == second["connected"] == []
    assert first["cwd"] == str(folder) and first["home"] != str(Path.home())
    assert first["variables"].pop("CREWAI_STORAGE_DIR") != second["variables"].pop("CREWAI_STORAGE_DIR")
    assert first["key_at_import"] == len(KEY) and "MODEL_KEY" not in first["environment"]
    assert first["variables"] == {
        "MODEL_URL": "http://model", "CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_DISABLE_TRACKING": "true", "CREWAI_DISABLE_VERSION_CHECK": "true",
        "CREWAI_TRACING_ENABLED": "false", "OTEL_SDK_DISABLED": "true",
    }  # fmt: skip


async def test_a_key_kept_by_reference_is_there_for_the_call_and_refused_in_its_output(make: Make) -> None:
    fault = await fault_of(make("repeat_key"))

    assert (fault.kind, fault.message) == ("invalid_output", 'agent "a" returned a value that its policy keeps by reference')
    assert KEY not in fault.detail


async def test_in_a_run_its_usage_is_on_the_record_and_nobody_sees_its_key_or_its_token(
    own_home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    key = "canary-key-of-a-crew-in-a-run-61b2d7"
    monkeypatch.setenv("CANARY_KEY", key)
    look = ProcessLists(key)
    agent = {
        "description": "A crew.", "crewai": {"crew": "crews:main", "env": {"MODEL_KEY": "env:CANARY_KEY"}}, "scopes": ["crm:read"],
        "input": {"type": "object"}, "output": {"type": "object", "properties": dict.fromkeys(("asked", "resources", "stored"), TEXTS)},
        "effects": "read", "price": {"input": 10, "output": 100}, "timeout": "120s",
    }  # fmt: skip
    with ResourceServer(look.during(lambda got: Said(body=b'{"customer": "Ann"}'))) as crm:
        resources = {"crm": {"url": crm.url, "scopes": {"crm:read": "GET /customers/42"}}}
        text = {"version": 1, "sandbox": "process", "agents": {"crew": agent}, "resources": resources}
        source = "result = spawn('crew', {'value': '1', 'do': 'with_tool'}, scopes=['crm:read']).result()"
        ran = await run_script(own_home, source, policy=load_policy_text(json.dumps(text), folder=folder, name="p"))
    (got,) = crm.received
    token = got.headers["authorization"].removeprefix("Bearer ")

    assert ran.result.state is RunState.DONE, ran.result.error
    assert '{\\"customer\\": \\"Ann\\"}' in ran.result.result["asked"][-1] and ran.result.result["resources"] == []
    (settled,) = ran.of(EventKind.SPAWN_SETTLED)
    # Its model is asked twice, before and after the tool.
    assert settled.body["model_usage"] == {"tokens": 240, "cost_usd": 0.006, "input_tokens": 200, "output_tokens": 40}
    assert (ran.result.usage.model_tokens, ran.result.usage.cost_usd) == (240, pytest.approx(0.006))
    assert (look.looks, look.found) == (1, []) and token.encode() in WATCH.minted
    stored = b"".join(path.read_bytes() for path in own_home.rglob("*") if path.is_file())
    for canary in (key, token):
        assert canary not in json.dumps(ran.result.result) + caplog.text
        assert canary.encode() not in stored + got.body


# --- before a run ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("crews:mian", 'the module has no "mian"'),
        ("nowhere:main", 'there is no module "nowhere"'),
        ("broken:main", "SyntaxError: expected ':' (<unknown>, line 1)"),
    ],
)
async def test_a_path_that_leads_nowhere_is_told_with_its_line_and_imports_nothing(folder: Path, path: str, why: str) -> None:
    (folder / "broken.py").write_text("def main()")
    text = f"version: 1\nagents:\n  a:\n    description: a\n    crewai: {path}\n    input: {{}}\n    output: {{}}\n"
    found = load_policy_text(text, folder=folder, name="p")
    with pytest.raises(PolicyError) as refused:
        build_agent(found.agents["a"], Setting(folder))

    assert refused.value.message == f'p:3: agent "a" calls "{path}", which cannot be imported: {why}'
    assert refused.value.line == 3
    assert "crewai" not in sys.modules


async def test_its_facts_are_its_files_its_variables_and_the_version(make: Make, folder: Path) -> None:
    facts = make("echo").facts()

    assert sorted(facts) == ["call", "code", "crewai", "env"]
    assert facts["crewai"] == metadata.version("crewai")
    assert facts != crew_agent(folder, "modelled").facts()


async def test_before_a_run_it_is_imported_elsewhere_with_its_variables_and_called_nowhere(folder: Path) -> None:
    (folder / "keyed.py").write_text(
        "import os\nimport crewai\nassert os.environ['MODEL_KEY'].startswith('sk-canary')\n"
        "def main():\n    open('called', 'w').close()\n"
    )  # fmt: skip
    env = {"MODEL_KEY": Reference("env", ("K",))}
    one = entry("crewai", {"crew": "keyed:main", "env": env}, isolation="process")
    setting = Setting(folder, read_reference=lambda reference: KEY)
    told = await probe(Look(one, setting, None, Listings()))
    agent = build_agent(one, setting)
    of_itself = await agent.probe()  # type: ignore[attr-defined]
    await agent.close()

    assert [(each.what, each.ok, each.fact) for each in told] == [
        ("library", True, f"crewai {metadata.version('crewai')}"),
        ("crew", True, "keyed:main imports"),
        ("credential env:K", True, "can be read"),
    ]
    assert [(each.ok, each.fact) for each in of_itself] == [
        (True, "keyed:main is there; it is imported in a worker process alone"),
    ]
    assert not (folder / "called").exists() and "keyed" not in "".join(sys.modules)
