"""Which sandbox a run gets: what was asked, what the policy demands, what this machine has.

`auto` takes the best that is here and never goes below the policy. An engine that is there but
refuses is not "no engine": that is an error with its fix, never a silent step down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from runner.errors import SandboxUnavailable, UsageError
from runner.models import Limits
from runner.policy.model import Policy, SandboxRule
from runner.seams import Channel, Sandbox

KINDS = ("auto", "docker", "process")


class Sandboxes:
    """The sandboxes of one Runner, started when first asked for and kept until `close`."""

    def __init__(
        self,
        *,
        asked: str,
        store: str,
        host: str,
        alive: Callable[[str], bool],
        waiting_guests: int,
        progress: Callable[[str], object] | None,
    ) -> None:
        """`store` and `host` label what is started, so that a later process can tell whose it was.

        `alive` says whether the process with a host id lives: containers of dead ones are removed.
        """
        _check(asked)
        self._asked = asked
        self._store = store
        self._host = host
        self._alive = alive
        self._waiting_guests = waiting_guests
        self._progress = progress
        self._open: dict[tuple[str, SandboxRule, str], Sandbox] = {}
        self._reaping: asyncio.Task[None] | None = None

    async def choose(self, policy: Policy, *, kind: str = "", image: str = "") -> Sandbox:
        """Return the sandbox for a run under this policy.

        `kind` and `image` are what a journal's `sandbox_started` names: then it is that, whatever was asked of this
        Runner. Whether the engine has the image is told when a guest is started. Raises SandboxUnavailable, UsageError.
        """
        rule = policy.sandbox
        asked = kind or ("docker" if image else self._asked)
        _check(asked, image)
        if asked == "process" and rule.demand == "docker":
            raise UsageError(
                f'policy "{policy.name}" demands sandbox "docker"; "process" was asked',
                hint="leave --sandbox out, or use a policy that allows less",
            )
        found = asked if asked != "auto" else await self._best(rule)
        key = (found, rule, image)
        if key not in self._open:
            sandbox = self._start_docker(rule, image) if found == "docker" else self._start_process()
            # Few runs start from an old image: none of its guests waits for the next.
            self._open[key] = sandbox if image else self._pooled(sandbox)
        return self._open[key]

    async def close(self) -> None:
        if self._reaping is not None:
            await asyncio.gather(self._reaping, return_exceptions=True)
        # Another one may close it too, meanwhile: the last run of a Runner that is being left.
        found, self._open = self._open, {}
        for sandbox in found.values():
            await sandbox.close()

    async def _best(self, rule: SandboxRule) -> str:
        from runner.sandbox.engine_api import Engine, NoEngine

        try:
            (await Engine.find()).close()
        except NoEngine as absent:
            if rule.demand == "docker":
                raise SandboxUnavailable(absent.message, hint=absent.hint) from None
            return "process"
        return "docker"

    def _start_docker(self, rule: SandboxRule, image: str) -> Sandbox:
        from runner.sandbox.docker import DockerSandbox

        # Beside the first run, not before it: nobody waits for what the dead have left.
        self._reaping = self._reaping or asyncio.ensure_future(self._reap())
        return DockerSandbox(store=self._store, host=self._host, rule=rule, image=image, progress=self._progress)

    async def _reap(self) -> None:
        from runner.sandbox.reaper import reap

        # An engine that refuses is told of by the run itself.
        with suppress(SandboxUnavailable):
            await reap(store=self._store, alive=self._alive)

    def _start_process(self) -> Sandbox:
        from runner.sandbox.process import ProcessSandbox

        return ProcessSandbox()

    def _pooled(self, sandbox: Sandbox) -> Sandbox:
        if not self._waiting_guests:
            return sandbox
        from runner.sandbox.pool import Pool

        return Pool(sandbox, self._waiting_guests)


def _check(kind: str, image: str = "") -> None:
    if kind not in KINDS:
        raise UsageError(f'sandbox "{kind}" is none of {", ".join(KINDS)}')
    if image and kind != "docker":
        raise UsageError(f'sandbox "{kind}" starts from no image; "{image}" was asked')


class GuestOnTheWay:
    """One guest for one run, which can be asked for before it is known whether the script is accepted."""

    def __init__(self, sandbox: Sandbox, limits: Limits) -> None:
        self._sandbox = sandbox
        self._limits = limits
        self._starting: asyncio.Task[Channel] | None = None
        self._taken = False

    def start(self) -> None:
        """Begin to start it."""
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._sandbox.start(self._limits))

    async def take(self) -> Channel:
        """Return the guest, which is the caller's to kill now. Raises SandboxUnavailable."""
        self.start()
        assert self._starting is not None
        channel = await asyncio.shield(self._starting)
        self._taken = True
        return channel

    async def discard(self) -> None:
        """Kill the guest if it was started and nobody took it."""
        if self._starting is None or self._taken:
            return
        # A guest that could not be started needs no killing, and who wanted it has heard why.
        with suppress(SandboxUnavailable):
            await (await self._starting).kill()
