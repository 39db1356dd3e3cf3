"""The tools of `runner mcp`, as the official client of the protocol sees them, in one process."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import Implementation

from runner import Handed, Runner, Script
from runner.cli.app import command
from runner.engine.submission import os_user
from runner.errors import UsageError
from runner.events import Event, EventKind
from runner.mcp_server import forms
from runner.mcp_server.forms import RunForm
from runner.mcp_server.live import Live
from runner.mcp_server.server import make_server
from runner.models import RunState
from runner.policy import load_policy
from runner.policy.source import read_yaml
from tests.runs import mcp_home

DOCS = Path(__file__).parents[2] / "docs"
ECHOES = "result = [out['said'] for out in gather([spawn('echo', {'say': word}) for word in inputs['words']])]"
SLOW = "result = spawn('slow', {}).result()['said']"
RAISES = "raise ValueError('no\\x1b[31m red\\x07 here')"


@dataclass
class Served:
    """One client of one server."""

    client: Client
    runner: Runner
    live: Live

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return (await self.client.call_tool(tool, arguments)).structured_content or {}

    async def run(self, script: str, **more: Any) -> dict[str, Any]:
        return await self.call("run_script", **{"script": script, "policy": "plain", **more})

    def events(self, kind: EventKind) -> list[Event]:
        return [event for row in self.runner.runs() for event in self.runner.events(row.run) if event.kind is kind]


@pytest.fixture
def home(own_home: Path) -> Path:
    return mcp_home(own_home, {"plain": ["echo", "slow"]})


@asynccontextmanager
async def serving(policies: dict[str, str] | None = None, **more: Any) -> AsyncIterator[Served]:
    """Serve the home of the test, or these policies of it; `more` goes to the server's runs."""
    async with Runner(sandbox="process") as runner, Live(runner, **more) as live:
        server = make_server(runner, live, runner.named_policies(policies or {}))
        async with Client(server, client_info=Implementation(name="a\x1b[1m model", version="1")) as client:
            yield Served(client, runner, live)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


def is_dead(pid: int) -> bool:
    """Say whether a process is gone; one that waits to be buried is."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


# --- running ------------------------------------------------------------------------------------


async def test_a_run_that_ends_in_time_comes_back_as_the_command_line_tells_it(home):
    async with serving() as served:
        told = await served.run(ECHOES, inputs={"words": ["one", "two"]}, name="words")
        view = served.runner.view(told["run"])
        submitted = served.events(EventKind.RUN_SUBMITTED)[0].body

    envelope = set(json.loads((DOCS / "run-envelope.schema.json").read_text())["required"])
    assert envelope - {"story"} <= set(told)
    assert {name: told[name] for name in ("state", "exit_code", "result", "error", "spawns", "sandbox", "findings")} == {
        "state": "done", "exit_code": 0, "result": ["one", "two"], "error": None, "spawns": {"ok": 2},
        "sandbox": "process", "findings": [],
    }  # fmt: skip
    assert (view.state, view.script, told["usage"]["attempts"]) == (RunState.DONE, "words", 2)
    assert (submitted["door"], submitted["client"], submitted["submitter"]) == ("mcp", "a model", os_user())


async def test_every_tool_says_what_it_takes_and_what_it_returns(home):
    async with serving() as served:
        tools = {tool.name: tool for tool in (await served.client.list_tools()).tools}

    assert list(tools) == ["run_script", "review_script", "get_run", "stop_run"]
    assert set(tools["run_script"].input_schema["properties"]) == {"script", "policy", "inputs", "name", "wait_seconds"}
    assert set(tools["run_script"].output_schema["properties"]) == set(RunForm.model_fields)
    assert tools["get_run"].annotations.read_only_hint and tools["run_script"].annotations.destructive_hint


async def test_what_the_check_refuses_comes_back_with_what_to_correct(home):
    async with serving() as served:
        answer = await served.client.call_tool("run_script", {"script": "import os\nresult = 1", "policy": "plain"})
        told = answer.structured_content

    assert (answer.is_error, told["state"], told["exit_code"]) == (False, "rejected", 3)
    assert (told["findings"][0]["rule"], told["findings"][0]["line"], bool(told["findings"][0]["fix"])) == ("import-not-allowed", 1, True)
    assert told["mend"].startswith("The script is rejected, with 1 error:\n- line 1")
    assert told["next"] == "correct the script as mend says, and call run_script again"


async def test_a_script_that_raises_is_an_answer_without_what_a_terminal_acts_on(home):
    async with serving() as served:
        told = await served.run(RAISES)

    assert (told["state"], told["exit_code"], told["error"]["kind"]) == ("failed", 1, "ValueError")
    assert told["error"]["message"] == "no red here"


async def test_a_result_that_is_too_large_is_left_out_and_its_size_told(home):
    async with serving() as served:
        told = await served.run(f"result = 'x' * {forms.MAX_RESULT_BYTES}")

    assert (told["state"], told["result"], told["result_left_out"]) == ("done", None, forms.MAX_RESULT_BYTES + 2)
    assert told["next"].startswith("let the script return less")


async def test_progress_tells_how_many_spawns_have_settled(home):
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(*told: Any) -> None:
        heard.append(told)

    async with serving() as served:
        words = {"words": ["one", "two", "three"]}
        await served.client.call_tool(
            "run_script", {"script": ECHOES, "policy": "plain", "inputs": words}, progress_callback=hear
        )

    counts = [count for count, _, _ in heard]
    assert counts == sorted(set(counts))
    assert heard[-1] == (3, 3, "3 of 3 spawns settled")


# --- long runs ----------------------------------------------------------------------------------


async def test_a_run_that_takes_longer_goes_on_and_is_asked_for_again(home):
    async with serving() as served:
        began = await served.run("result = spawn('slow', {'seconds': 0.2}).result()['said']", wait_seconds=0)
        ended = await served.call("get_run", run=began["run"], wait_seconds=60)
        again = await served.call("get_run", run=began["run"])

    assert began["state"] in ("waiting", "running") and began["exit_code"] is None
    assert began["next"] == "call get_run with this run until it has ended, or stop_run"
    assert (ended["state"], ended["result"]) == ("done", "late")
    assert again == ended


async def test_a_call_that_its_client_cancels_stops_the_run_its_guest_and_its_agents(home):
    async with serving() as served:
        call = asyncio.ensure_future(served.run(SLOW))
        await until(lambda: served.events(EventKind.ATTEMPT_STARTED) != [])
        (pid,) = (event.body["pid"] for event in served.events(EventKind.SANDBOX_STARTED))
        alive = not is_dead(pid)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        run = served.runner.runs()[0].run
        await until(lambda: served.runner.view(run).ended and is_dead(pid))
        view = served.runner.view(run)
        counts, told = view.counts(), await served.call("get_run", run=run)

    assert alive
    assert (view.state, view.stop_by, counts) == (RunState.STOPPED, "mcp client a model", {"cancelled": 1})
    assert (told["state"], told["exit_code"], told["error"]["message"]) == ("stopped", 130, "stopped by mcp client a model")


async def test_who_only_asked_how_a_run_stands_does_not_stop_it(home):
    async with serving() as served:
        began = await served.run(SLOW, wait_seconds=0)
        asking = asyncio.ensure_future(served.call("get_run", run=began["run"], wait_seconds=60))
        await until(lambda: served.events(EventKind.ATTEMPT_STARTED) != [])
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        told = await served.call("get_run", run=began["run"])

    assert told["state"] == "running"


async def test_a_run_is_stopped_by_its_id_and_a_second_time_too(home):
    async with serving() as served:
        began = await served.run(SLOW, wait_seconds=0)
        stopped = await served.call("stop_run", run=began["run"])
        again = await served.call("stop_run", run=began["run"])

    assert (stopped["state"], stopped["error"]["message"]) == ("stopped", "stopped by mcp client a model")
    assert (again["state"], again["error"]) == ("stopped", stopped["error"])


async def test_a_call_that_is_cancelled_before_it_has_a_run_leaves_none(home):
    async with serving() as served:
        call = asyncio.ensure_future(served.run(SLOW))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        after = await served.run(ECHOES, inputs={"words": []})
        states = {row.state for row in served.runner.runs() if row.run != after["run"]}

    assert after["state"] == "done" and states <= {"stopped"}


async def test_a_run_of_another_server_on_this_store_is_stopped_too(home):
    async with serving() as served, Runner(sandbox="process") as other:
        handed = Handed(door="mcp", client="another")
        running = asyncio.ensure_future(other.run(Script("s", SLOW.encode()), policy=home / "plain.yaml", handed=handed))
        await until(lambda: served.events(EventKind.ATTEMPT_STARTED) != [])
        run = served.runner.runs()[0].run
        asked = await served.call("stop_run", run=run)
        result = await running

    assert asked["state"] == "running"
    assert (result.state, result.error.message) == (RunState.STOPPED, "stopped by mcp client a model")


async def test_no_run_outlives_its_server(home):
    async with serving() as served:
        began = await served.run(SLOW, wait_seconds=0)
    view = Runner().view(began["run"])

    assert (view.state, view.error.message) == (RunState.STOPPED, "stopped by the end of the mcp server")


async def test_no_more_runs_at_once_than_the_server_takes(home):
    async with serving(most=1) as served:
        began = await served.run(SLOW, wait_seconds=0)
        refused = await served.run(ECHOES, inputs={"words": []})
        await served.call("stop_run", run=began["run"])
        after = await served.run(ECHOES, inputs={"words": []})

    assert refused["error"]["message"] == "1 scripts run here already, which is the most"
    assert (refused["run"], after["state"]) == (None, "done")


async def test_reviews_have_a_bound_of_their_own_and_take_no_room_from_runs(home, monkeypatch):
    entered, leave = asyncio.Event(), asyncio.Event()
    review = Runner.review

    async def held(self: Runner, *script: Any, **more: Any) -> Any:
        entered.set()
        await leave.wait()
        return await review(self, *script, **more)

    monkeypatch.setattr(Runner, "review", held)
    asked = {"script": "result = 1", "policy": "plain", "faults": 0}
    async with serving(most=1, most_reviews=1) as served:
        first = asyncio.ensure_future(served.call("review_script", **asked))
        await entered.wait()
        refused = await served.client.call_tool("review_script", asked)
        ran = await served.run(ECHOES, inputs={"words": []})
        leave.set()
        reviewed = await first
        again = await served.call("review_script", **asked)

    told = refused.structured_content
    assert (refused.is_error, told["accepted"], told["error"]["kind"]) == (True, None, "UsageError")
    assert told["error"]["message"] == "1 scripts are reviewed here already, which is the most"
    assert told["error"]["hint"] == "call again when one of these reviews has ended"
    assert (ran["state"], reviewed["accepted"], again["accepted"]) == ("done", True, True)


async def test_a_run_under_a_policy_that_cannot_be_named_here_is_neither_told_nor_stopped(home):
    mcp_home(home, {"public": ["echo"], "secret": ["echo", "slow"]})
    async with serving() as wide, serving({"public": ""}) as narrow:
        done = await wide.run("result = 'the secret'", policy="secret")
        live = await wide.run(SLOW, policy="secret", wait_seconds=0)
        asked = [await narrow.call("get_run", run=run["run"]) for run in (done, live)]
        stopped = await narrow.call("stop_run", run=live["run"])
        still = await wide.call("get_run", run=live["run"])
        shared = await wide.run("result = 7", policy="public")
        # What stands in the file now does not matter, nor what the policy is called here.
        (home / "public.yaml").write_text((home / "public.yaml").read_text() + "# edited\n")
        async with serving({"other": str(home / "public.yaml")}) as renamed:
            told = await renamed.call("get_run", run=shared["run"])
        (home / "trust.yaml").write_text("version: 1\n")
        taken_out = await wide.call("get_run", run=shared["run"])

    for refused in (*asked, stopped, taken_out):
        assert (refused["run"], refused["result"], refused["error"]["kind"]) == (None, None, "RunNotFound")
    assert (still["exit_code"], still["state"] in ("waiting", "running"), told["result"]) == (None, True, 7)


async def test_of_a_run_that_came_in_elsewhere_nobody_is_told(home):
    async with serving() as served:
        other = await served.runner.run(Script("s", b"result = 7"), policy=home / "plain.yaml")
        asked = await served.client.call_tool("get_run", {"run": other.run})
        stopped = await served.call("stop_run", run="20260101-000000-00000000")
        begun_so = await served.call("get_run", run=other.run[:8])

    assert other.result == 7 and asked.is_error
    assert asked.structured_content["error"]["kind"] == "RunNotFound"
    for told in (asked.structured_content, stopped, begun_so):
        assert (told["run"], told["result"]) == (None, None)
        assert told["error"]["message"].startswith("no run that was handed in over MCP has the id")


# --- policies -----------------------------------------------------------------------------------


async def test_without_a_trust_file_mcp_may_use_no_policy(home):
    (home / "trust.yaml").unlink()
    async with Runner(sandbox="process") as runner, Live(runner) as live:
        with pytest.raises(UsageError) as nothing:
            make_server(runner, live, runner.named_policies())
        # The door itself is shut too, whoever holds it.
        with pytest.raises(UsageError) as shut:
            await runner.run(Script("s", b"result = 7"), policy=home / "plain.yaml", handed=Handed(door="mcp"))
        runs = runner.runs()

    assert nothing.value.message == "trust.yaml lets MCP use no policy"
    assert f"{home}/trust.yaml (mode 0600)" in nothing.value.hint
    assert shut.value.message.endswith("is none that trust.yaml lets the mcp use") and runs == []


@pytest.mark.parametrize("name", ["{home}/plain.yaml", "../plain", "other", ""])
async def test_a_policy_is_named_and_never_given_by_path(home, name):
    async with serving() as served:
        answer = await served.client.call_tool(
            "run_script", {"script": "result = 1", "policy": name.format(home=home)[:64]}
        )
        runs = served.runner.runs()

    assert answer.is_error and runs == []
    assert answer.structured_content["error"]["message"].startswith("no policy is called")
    assert answer.structured_content["error"]["hint"] == "trust.yaml names under policies.mcp: plain"


async def test_the_operator_can_offer_fewer_and_only_what_the_host_trusts(home):
    mcp_home(home, {"plain": ["echo"], "wide": ["echo", "slow"]})
    (home / "other.yaml").write_text((home / "plain.yaml").read_text())
    async with Runner(sandbox="process") as runner:
        named = runner.named_policies({"small": str(home / "plain.yaml"), "other": str(home / "other.yaml")})
        found = named.look()
        with pytest.raises(UsageError, match='no policy is called "wide" here'):
            named.load("wide")
        with pytest.raises(UsageError, match="cannot be the name"):
            runner.named_policies({"a/b": ""})

    assert (found["small"].name, set(found["small"].agents)) == ("plain", {"echo"})
    assert found["other"].message == 'policy "other" is none that trust.yaml lets MCP use'
    assert f"{{other: {home}/other.yaml}}" in found["other"].hint


async def test_what_is_taken_out_of_the_trust_file_holds_at_once(home):
    async with serving() as served:
        (home / "trust.yaml").write_text("version: 1\n")
        told = await served.run("result = 1")

    assert (told["run"], told["error"]["message"]) == (None, "trust.yaml lets MCP use no policy")


async def test_a_script_that_needs_a_decision_says_who_must_make_it_and_how(home):
    mcp_home(home, {"plain": ["echo"]}, review="required")
    Runner().new_reviewer_key("ann")
    script = Script("script", b"result = spawn('echo', {'say': 1}).result()['said']")
    async with serving() as served:
        answer = await served.client.call_tool("run_script", {"script": script.text, "policy": "plain"})
        needed, runs = answer.structured_content, served.runner.runs()
        await served.runner.approve(script, policy=load_policy(home / "plain.yaml"), reason="read it")
        approved = await served.run(script.text)

    assert (answer.is_error, needed["state"], needed["exit_code"], runs) == (False, None, 4, [])
    assert (needed["error"]["kind"], needed["approve"]) == ("ReviewNeeded", f'runner approve {script.digest[:12]} --reason "..."')
    assert needed["next"].startswith("a person must approve it")
    assert (approved["state"], approved["result"]) == ("done", 1)


async def test_the_name_of_a_client_does_not_make_it_another_submitter(home):
    """Whoever is asked to be a second person must not be the first under another name."""
    mcp_home(home, {"plain": ["echo"]}, review="required")
    written = yaml.safe_load((home / "trust.yaml").read_text())
    (home / "trust.yaml").write_text(yaml.safe_dump({**written, "second_person": True}))
    Runner().new_reviewer_key("ann")
    script = Script("script", b"result = 1")
    async with serving() as served:
        await served.runner.approve(script, policy=load_policy(home / "plain.yaml"), reason="read it")
        told = await served.run(script.text)

    assert (told["state"], told["error"]["kind"]) == (None, "ReviewNeeded")


# --- reviews and resources ----------------------------------------------------------------------


async def test_a_review_is_data_and_calls_no_agent(home):
    async with serving() as served:
        told = await served.call("review_script", script=SLOW, policy="plain")
        runs = served.runner.runs()

    assert runs == []
    assert (told["accepted"], told["flagged"], told["risk"], told["error"]) == (True, False, "warning", None)
    assert told["screen"][0] == "at most 1 calls to slow"
    assert [(one["name"], one["effects"], one["calls_at_most"]) for one in told["agents"]] == [("slow", "none", 1)]
    assert (told["rehearsal"]["state"], told["rehearsal"]["spawns"]) == ("done", {"slow": {"ok": 1}})
    assert [(one["line"], one["agent"]) for one in told["weaknesses"]] == [(1, "slow")]
    assert told["risks"][0]["rule"] == "single-failure-fatal"


async def test_a_review_of_what_the_check_refuses_says_what_to_correct(home):
    async with serving() as served:
        told = await served.call("review_script", script="import os", policy="plain")

    assert (told["accepted"], told["flagged"], told["risk"], told["rehearsal"]) == (False, True, "error", None)
    assert told["mend"].startswith("The script is rejected")


async def test_the_resources_tell_what_a_model_needs_and_not_where_agents_are(home):
    async with serving() as served:
        listed = [str(one.uri) for one in (await served.client.list_resources()).resources]
        policies = json.loads(await _text(served, "runner://policies"))
        outline = await _text(served, "runner://policies/plain")
        prompt = await _text(served, "runner://policies/plain/prompt")
        expected = served.runner.prompt(home / "plain.yaml")
        with pytest.raises(MCPError, match='no policy is called "other" over MCP'):
            await _text(served, "runner://policies/other/prompt")

    assert listed == ["runner://policies"]
    assert policies["policies"] == [
        {"name": "plain", "usable": True, "why": None, "policy": "runner://policies/plain",
         "prompt": "runner://policies/plain/prompt"}
    ]  # fmt: skip
    assert prompt == expected
    assert set(json.loads(outline)["agents"]) == {"echo", "slow"}
    assert "actors" not in outline and str(home) not in outline


async def _text(served: Served, uri: str) -> str:
    text: str = (await served.client.read_resource(uri)).contents[0].text
    return text


async def test_the_instructions_name_the_policies_and_their_agents(home):
    async with serving() as served:
        assert served.client.instructions.endswith("Policies:\n- plain: agents echo, slow")


# --- the page -----------------------------------------------------------------------------------


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the last table below a heading of docs/mcp-server.md, without its head."""
    section = (DOCS / "mcp-server.md").read_text().split(f"## {heading}\n", 1)[1].split("\n## ")[0]
    tables = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")[1:-1]] for table in tables for line in table.splitlines()[2:]]


async def test_the_page_tells_of_every_tool_field_and_resource_and_no_other(home):
    async with serving() as served:
        tools = {tool.name: set(tool.input_schema["properties"]) for tool in (await served.client.list_tools()).tools}
        templates = (await served.client.list_resource_templates()).resource_templates
    told = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in rows("Tools") if len(row) == 3}
    fields = {name for row in rows("Tools") if len(row) == 2 for name in re.findall(r"`(\w+)`", row[0])}
    uris = {row[0].strip("`") for row in rows("Resources")}

    assert told == tools
    assert fields == set(RunForm.model_fields)
    assert uris == {"runner://policies", *(one.uri_template for one in templates)}


def test_the_configuration_of_the_page_starts_a_server_that_there_is():
    page = (DOCS / "mcp-server.md").read_text()
    config = json.loads(page.split("```json\n", 1)[1].split("```")[0])["mcpServers"]["runner"]
    given = command().get_command(None, "mcp").make_context("mcp", config["args"][1:]).params

    assert (config["command"], config["args"][0], given["policy"]) == ("runner", "mcp", ["research"])
    assert read_yaml(page.split("```yaml\n", 1)[1].split("```")[0], file="trust.yaml").value["policies"]["mcp"]
