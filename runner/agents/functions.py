"""Functions of a policy's author, "module:function": what the `python` backend calls, and what a model's tools are.

`async def f(inputs)` runs in the host's event loop; `def f(inputs)` in a worker process that is killed when its
attempt is over. A parameter named `call` gets a `CallFacts`, and with it the way to resources. The module is imported
once in the host either way: that tells async from sync, and a policy that cannot work before anything was started.

An async function is not restrained: it shares the host's process, and is cancelled, not killed. One that swallows
its cancellation goes on; nothing is shielded here, so the broker, which owns the task, answers the script at once
and journals that it lingers.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from runner.agents import Setting, faults, origins
from runner.agents.facts import NO_ACCESS, Access, CallFacts
from runner.agents.imports import load
from runner.agents.workers import Workers, told_of
from runner.clock import Clock, SystemClock
from runner.errors import PolicyError
from runner.models import Json
from runner.policy.model import AgentEntry
from runner.seams import Agent, Call, Credential, Probe


def build_function(entry: AgentEntry, setting: Setting, path: str, *, key: str, name: str) -> Agent:
    """Return a function of an entry as an agent. `key` is where in the entry it is written, `name` how faults call it.

    Raises PolicyError: it is not there, or cannot be called so.
    """
    folder = setting.folder
    function = _load(entry, path, key, folder)
    wants_facts = _wants_facts(entry, path, function)
    held = setting.clock or SystemClock()
    origin = Origin(path, function, in_host=_is_async(function))
    if origin.in_host:
        # That of a model is its program's; its functions run where functions run.
        if entry.isolation == "process" and entry.backend == "python":
            raise PolicyError(
                f'agent "{entry.name}" has isolation "process" and calls "{path}", an async def, '
                "which runs in the host's process",
                line=entry.line,
                hint='write it as def, or "isolation: none"',
            )
        if wants_facts:
            return InHostWithFacts(name, function, held, origin)
        return InHost(name, function, origin)
    return InWorkers(
        Workers(
            name, path, folder=folder.absolute(), parallel=entry.parallel,
            wants_facts=wants_facts, same_uid=entry.unsafe_same_uid, clock=held,
        ),
        origin,
    )  # fmt: skip


class Origin:
    """What a function is made of, looked at when it was imported; its package when somebody asks."""

    __slots__ = ("_call", "_facts", "_function", "in_host")

    def __init__(self, call: str, function: Callable[..., Any], *, in_host: bool) -> None:
        self._call = call
        self.in_host = in_host
        self._function = function
        self._facts = origins.of_function(call, function, in_host=in_host)

    def facts(self) -> dict[str, str]:
        return self._facts | origins.package_of(self._function)

    async def probe(self) -> list[Probe]:
        """Tell what was imported. More than that would be calling it."""
        where = "an async def, which runs in the host's process" if self.in_host else "a def, for worker processes"
        return [Probe("function", True, f"{self._call} imports, and is {where}")]


class InHost:
    """An async function of the inputs. What it adds to the bare await is one frame."""

    __slots__ = ("_function", "_name", "facts", "probe")

    def __init__(self, name: str, function: Callable[[Json], Awaitable[Json]], origin: Origin) -> None:
        self._name = name
        self._function = function
        self.facts = origin.facts
        self.probe = origin.probe

    async def run(self, call: Call) -> Json:
        if call.credential is not None:
            call.credential.observe("gateway only")
        try:
            return await self._function(call.inputs)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            raise _fault(self._name, error) from None

    async def close(self) -> None:
        pass


class InHostWithFacts:
    """An async function of the inputs and the facts of its call."""

    __slots__ = ("_clock", "_function", "_name", "facts", "probe")

    def __init__(self, name: str, function: Callable[..., Awaitable[Json]], clock: Clock, origin: Origin) -> None:
        self._name = name
        self._function = function
        self._clock = clock
        self.facts = origin.facts
        self.probe = origin.probe

    async def run(self, call: Call) -> Json:
        access = NO_ACCESS if call.credential is None else CredentialAccess(call.credential)
        guarded = list(access.tokens.values())
        try:
            output = await self._function(call.inputs, call=CallFacts(**told_of(call, self._clock), _access=access))
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            raise _fault(self._name, error, guarded) from None
        # What is no JSON the broker refuses.
        if guarded and faults.repeats(json.dumps(output, ensure_ascii=False, default=str), guarded):
            raise faults.repeated(self._name, "a credential that it was handed")
        return output

    async def close(self) -> None:
        pass


class CredentialAccess(Access):
    """The way of a function in the host's process: the credential's own client."""

    def __init__(self, credential: Credential) -> None:
        self.tokens = MappingProxyType({name: token.reveal() for name, token in credential.tokens.items()})
        self._credential = credential
        self._client: Any = None
        credential.observe("none" if self.tokens else "gateway only")

    def client(self) -> Any:
        if self._client is None:
            self._client = self._credential.client()
        return self._client


class InWorkers:
    """A sync function, called in worker processes."""

    __slots__ = ("_workers", "facts", "probe")

    def __init__(self, workers: Workers, origin: Origin) -> None:
        self._workers = workers
        self.facts = origin.facts
        self.probe = origin.probe

    async def run(self, call: Call) -> Json:
        return await self._workers.call(call)

    async def close(self) -> None:
        await self._workers.close()


def _fault(name: str, error: BaseException, guarded: Sequence[str] = ()) -> BaseException:
    """Return what is raised instead: a fault, or the cancellation if it is this task's own.

    SystemExit is a fault: out of a task it would end the event loop.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        if task is None or task.cancelling():
            return error
    return faults.raised(name, error, guarded)


def _load(entry: AgentEntry, path: str, key: str, folder: Path) -> Callable[..., Any]:
    try:
        return load(path, str(folder))
    except (Exception, SystemExit) as error:
        raise PolicyError(
            f'agent "{entry.name}" calls "{path}", which cannot be imported: {type(error).__name__}: {error}',
            line=entry.line,
            hint=f'correct "{key}" of agent "{entry.name}"; its module is looked for in {folder} first',
        ) from error


def _is_async(function: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _wants_facts(entry: AgentEntry, path: str, function: Callable[..., object]) -> bool:
    """True when the function has a parameter named `call`. Raises PolicyError when it does not take the inputs."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False
    wants_facts = "call" in signature.parameters
    try:
        signature.bind({}, **({"call": None} if wants_facts else {}))
    except TypeError as error:
        raise PolicyError(
            f'agent "{entry.name}" calls "{path}", which takes {signature}',
            line=entry.line,
            hint="write it as f(inputs) or f(inputs, call)",
        ) from error
    return wants_facts
