"""The tools, and who is told what: each is one call of Runner, and its answer is data.

What a model can mend (findings, inputs, an unknown policy) and what a person must do (approve) comes back as a
result, not as an error of the protocol. Nothing approves a script here.

Not here: the runs themselves (live), what answers look like (forms), how bytes travel (stdio, http).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Mapping
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import Field

import runner as package
from runner.engine import Runner
from runner.engine.named import NamedPolicies
from runner.errors import PolicyError, RunnerError, RunNotFound, StoreError, UsageError
from runner.events import EventKind
from runner.mcp_server import briefing, forms
from runner.mcp_server.forms import Form, ReviewForm, RunForm
from runner.mcp_server.live import Live, LiveRun
from runner.models import MIB, RunResult, Script
from runner.policy.model import Policy
from runner.printable import clean, clean_block, json_text

DEFAULT_WAIT_SECONDS = 30.0
MAX_WAIT_SECONDS = 600.0
# A guest is dead within milliseconds; its agents have a second to end by themselves.
STOP_SECONDS = 15.0
MAX_SCRIPT_CHARS = 1 * MIB
REVIEW_FAULTS = 100
MAX_FAULTS = 400
_RUN = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")
_CLIENT_CHARS = 64

Source = Annotated[str, Field(max_length=MAX_SCRIPT_CHARS, description="Python that calls spawn() and gather().")]
PolicyName = Annotated[str, Field(max_length=64, description="A name that runner://policies lists.")]
Inputs = Annotated[dict[str, Any] | None, Field(description="What the script sees as `inputs`.")]
ScriptName = Annotated[str, Field(max_length=128, description="What the record calls the script.")]
Wait = Annotated[float, Field(ge=0, le=MAX_WAIT_SECONDS, description="How long to wait for its end; then it goes on.")]
RunId = Annotated[str, Field(max_length=64, description="The id of a run, as run_script returned it.")]
Faults = Annotated[int, Field(ge=0, le=MAX_FAULTS, description="How many single failures to try; 0: none.")]
RunAnswer = Annotated[CallToolResult, RunForm]
ReviewAnswer = Annotated[CallToolResult, ReviewForm]


def make_server(
    runner: Runner, live: Live, policies: NamedPolicies, *, known: Mapping[str, Policy | RunnerError] | None = None
) -> MCPServer[Any]:
    """Return the MCP server of one Runner. `known` is how its policies looked just now.

    Raises UsageError: no policy can be named.
    """
    tools = Tools(runner, live, policies)
    server: MCPServer[Any] = MCPServer(
        "runner",
        title="runner",
        version=package.__version__,
        instructions=briefing.instructions(policies.look() if known is None else known),
        # What a client sends is its own business: only what went wrong in here goes to stderr.
        log_level="ERROR",
    )
    reads = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    acts = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True)
    stops = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)
    server.add_tool(tools.run_script, title="Run a script", annotations=acts)
    server.add_tool(tools.review_script, title="Review a script without running it", annotations=reads)
    server.add_tool(tools.get_run, title="Ask how a run stands", annotations=reads)
    server.add_tool(tools.stop_run, title="Stop a run", annotations=stops)
    server.resource(briefing.POLICIES, mime_type="application/json", title="The policies that can be named")(
        tools.policies
    )
    server.resource(briefing.POLICIES + "/{name}", mime_type="application/json", title="What a policy grants")(
        tools.policy
    )
    server.resource(
        briefing.POLICIES + "/{name}/prompt", mime_type="text/markdown", title="How to write scripts under a policy"
    )(tools.prompt)
    return server


class Tools:
    """The tools and resources of one server. Their docstrings are what a model reads."""

    def __init__(self, runner: Runner, live: Live, policies: NamedPolicies) -> None:
        self._runner = runner
        self._live = live
        self._policies = policies

    # --- tools -----------------------------------------------------------------------------

    async def run_script(
        self, script: Source, policy: PolicyName, ctx: Context[Any, Any], inputs: Inputs = None,
        name: ScriptName = "script", wait_seconds: Wait = DEFAULT_WAIT_SECONDS,
    ) -> RunAnswer:  # fmt: skip
        """Check a script, run it in a sandbox under a policy, and return its result.

        Where the check refuses it, state is "rejected": correct what `mend` says and call again. A run that takes
        longer than wait_seconds goes on: state is "running", and get_run asks again. Cancelling this stops the run.
        """
        run: LiveRun | None = None
        try:
            chosen = await asyncio.to_thread(self._policies.load, policy)
            run = await self._live.start(
                _script(script, name), policy=chosen, inputs={} if inputs is None else inputs, client=_client(ctx)
            )
            try:
                ended = await self._live.follow(run, wait_seconds, ctx.report_progress)
            except asyncio.CancelledError:
                self._live.stop(run, _client(ctx))
                raise
            return await self._told(run, ended, chosen)
        except RunnerError as error:
            return _refusal(error, forms.of_error(error, script=name, run=None if run is None else run.run))

    async def get_run(
        self, run: RunId, ctx: Context[Any, Any], wait_seconds: Wait = 0.0
    ) -> RunAnswer:  # fmt: skip
        """Say how a run stands: its state, its result where it has ended, its spawns by outcome.

        wait_seconds waits for its end, where it runs in this server. Cancelling this call does not stop the run.
        """
        try:
            live = self._live.of(run)
            if live is not None:
                return await self._told(live, await self._live.follow(live, wait_seconds, ctx.report_progress))
            return _answer(await self._view(run))
        except RunnerError as error:
            return _refusal(error, forms.of_error(error))

    async def stop_run(self, run: RunId, ctx: Context[Any, Any]) -> RunAnswer:
        """Stop a run: its guest and its agents are killed, and what it did stays in the record."""
        try:
            live = self._live.of(run)
            if live is not None:
                self._live.stop(live, _client(ctx))
                return await self._told(live, await self._live.follow(live, STOP_SECONDS, _tell_nobody))
            found = await self._view(run)
            if found.exit_code is None:
                # It runs in another process, which looks four times a second.
                await asyncio.to_thread(self._runner.request_stop, run, by=f"mcp client {_client(ctx)}".rstrip())
            return _answer(found)
        except RunnerError as error:
            return _refusal(error, forms.of_error(error))

    async def review_script(
        self, script: Source, policy: PolicyName, inputs: Inputs = None, name: ScriptName = "script",
        faults: Faults = REVIEW_FAULTS,
    ) -> ReviewAnswer:  # fmt: skip
        """Say what a script could do at most, what it does against mock agents, and which failures bring it down.

        No agent is called, and nothing outside is changed. Without inputs the report holds for any that fit.
        """
        try:
            chosen = await asyncio.to_thread(self._policies.load, policy)
            report = await self._live.review(_script(script, name), policy=chosen, inputs=inputs, faults=faults)
            return _answer(forms.of_report(report, agents=chosen.agents))
        except RunnerError as error:
            return _refusal(error, ReviewForm(error=forms.of_exception(error)))

    async def _told(self, run: LiveRun, ended: RunResult | None, policy: Policy | None = None) -> CallToolResult:
        if ended is None:
            return _answer(await self._view(run.run))
        return _answer(forms.of_result(ended, agents=() if policy is None else policy.agents))

    async def _view(self, run: str) -> RunForm:
        """Return how a run of this door stands. Raises RunNotFound: of another one nobody is told here."""

        def read() -> RunForm:
            if not _RUN.fullmatch(run) or not self._came_in_here(run):
                raise RunNotFound(f'no run that was handed in over MCP has the id "{clean(run, limit=80)}"')
            return forms.of_view(self._runner.view(run))

        return await asyncio.to_thread(read)

    def _came_in_here(self, run: str) -> bool:
        """True of a run that was handed in over MCP, here or elsewhere, under a policy that can be named here."""
        try:
            first = next(self._runner.events(self._runner.find(run)), None)
        except RunNotFound:
            return False
        if first is None or first.kind is not EventKind.RUN_SUBMITTED or first.body.get("door") != "mcp":
            return False
        # By its file: what it says may have been edited since.
        return self._policies.has(str(first.content().get("policy_file", "")))

    # --- resources -------------------------------------------------------------------------

    async def policies(self) -> str:
        """The policies that a script can be run under, and where their prompts are."""
        return await _read(asyncio.to_thread(lambda: briefing.listing(self._policies.look())))

    async def policy(self, name: str) -> str:
        """What a policy grants: its agents with their schemas, scopes and effects, its limits, its review rule."""
        return await _read(asyncio.to_thread(lambda: briefing.outline(name, self._policies.load(name))))

    async def prompt(self, name: str) -> str:
        """The API of scripts and the agents of a policy: read it before writing one."""
        return await _read(asyncio.to_thread(lambda: self._runner.prompt(self._policies.load(name))))


async def _read(text: Awaitable[str]) -> str:
    try:
        return await text
    except (PolicyError, StoreError) as error:
        raise ResourceError(_words(error)) from error
    except UsageError as error:
        raise ResourceNotFoundError(_words(error)) from error


def _words(error: RunnerError) -> str:
    return clean_block(f"{error.message}\nhint: {error.hint}" if error.hint else error.message)


def _script(source: str, name: str) -> Script:
    # What is no UTF-8 is refused by the check, with a finding.
    return Script(clean(name) or "script", source.encode("utf-8", "surrogatepass"))


def _client(ctx: Context[Any, Any]) -> str:
    """Return what the client calls itself; "" where it does not."""
    params = ctx.session.client_params
    return "" if params is None else clean(params.client_info.name, limit=_CLIENT_CHARS)


async def _tell_nobody(progress: float, total: float | None, message: str | None) -> None:
    pass


def _answer(form: Form) -> CallToolResult:
    return _result(form, is_error=False)


def _refusal(error: RunnerError, form: RunForm | ReviewForm) -> CallToolResult:
    """Return a call of which nothing was started. That a person must approve is no error of the call."""
    needs_person = isinstance(form, RunForm) and form.approve is not None
    return _result(form, is_error=not needs_person)


def _result(form: Form, *, is_error: bool) -> CallToolResult:
    # As text too, without what says nothing: clients that know no structured content give that to the model.
    text = json_text(form.model_dump(mode="json", exclude_defaults=True), indent=False)
    structured = form.model_dump(mode="json")
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=structured, is_error=is_error
    )
