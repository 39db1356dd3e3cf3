"""A program that a policy names, started anew for each attempt and killed whole when that is over.

Its environment is exactly PATH, HOME (a fresh folder) and what the entry lists under `env`; for a spawn that asked for
scopes of a resource also RUNNER_GATEWAY (path of a unix socket) and RUNNER_GATEWAY_KEY, and with `unsafe_raw_token`
RUNNER_TOKEN_<RESOURCE>. Its working directory is fresh; it runs in a session of its own under a warden.

Not here: starting and killing (launch, warden), under which uid (uids), what is written to it and what it says
(command, mcp).
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from runner.agents import Setting, faults, origins
from runner.agents.access import Handed, hand
from runner.agents.kept import Kept, NotRead
from runner.agents.launch import Launcher
from runner.agents.program import NotStarted, Program, WardenLost
from runner.agents.uids import Identity, closed_to_others, identify, program_needs
from runner.errors import AgentFault
from runner.guest.wire import canonical
from runner.models import digest_of
from runner.policy.model import AgentEntry, Reference
from runner.seams import Call, Probe

# Ours to set: a policy's `env` may have none of these, nor one that begins with TOKEN_VARIABLE.
GATEWAY_VARIABLE, KEY_VARIABLE = "RUNNER_GATEWAY", "RUNNER_GATEWAY_KEY"
TOKEN_VARIABLE = "RUNNER_TOKEN_"


class Started:
    """One started program, and what it was handed."""

    def __init__(self, name: str) -> None:
        self.handed: Handed | None = None
        self.references: Sequence[str] = ()
        self._name = name
        self._program: Program | None = None

    @property
    def program(self) -> Program:
        assert self._program is not None
        return self._program

    def begin(self, program: Program) -> None:
        self._program = program

    def owns(self, pid: int) -> bool:
        """True while a process is the program, or descends from it."""
        return self._program is not None and self._program.owns(pid)

    def repeated(self, text: str) -> AgentFault | None:
        """Return the fault of an output that repeats what the program was handed; None where it does not."""
        if faults.repeats(text, self.references):
            return faults.repeated(self._name, "a value that its policy keeps by reference")
        if self.handed is not None and faults.repeats(text, self.handed.guarded):
            return faults.repeated(self._name, "a credential that it was handed")
        return None

    @property
    def guarded(self) -> list[str]:
        return [*self.references, *(self.handed.guarded if self.handed is not None else [])]

    def errors(self) -> str:
        """Return the end of what it wrote to stderr, as a detail may hold it."""
        return faults.errors_of(bytes(self.program.errors), self.guarded, cut=self.program.errors_cut)


class Command:
    """The program of one entry. Raises PolicyError: it has references, and nothing reads them."""

    def __init__(
        self,
        entry: AgentEntry,
        written: Sequence[str],
        setting: Setting,
        *,
        key: str,
        env: Mapping[str, str | Reference] | None = None,
        program: int = 0,
        hands: bool = True,
    ) -> None:
        """`key`: where the entry has its argv, for messages; `env` stands for that of the entry; `program` is the
        place of the program itself in the argv, behind what starts it; `hands` False: it is handed no credential.
        """
        self._name = entry.name
        self._key = key
        self._env = Kept(entry, "env", setting, env)
        self._program = program
        self._hands = hands
        # Behind what starts it the argv is ours, and no argument a path of the policy.
        folder = setting.folder
        self._argv = list(written) if program else [_resolve(one, folder, first=not n) for n, one in enumerate(written)]
        # What stands as it was written is no file of the policy: it may be anything, a key among them.
        self._own_files = {n: found for n, found in enumerate(self._argv) if n and found != written[n]}
        self._as_written = digest_of(canonical({"argv": list(written), "env": self._env.as_written()}))
        self._same_uid = entry.unsafe_same_uid
        self._closed: dict[str, str] = {}
        """PATH → what keeps other users from what the program runs on."""
        self._launcher = Launcher()

    @property
    def _own_argv(self) -> list[str]:
        return self._argv[self._program :]

    @asynccontextmanager
    async def started(self, call: Call, on_output: Callable[[bytes], object]) -> AsyncIterator[Started]:
        """Start it for an attempt; when the block is left it is asked to end, and killed soon after.

        `on_output` gets what it writes to stdout. Raises AgentFault: also for NotStarted out of the block.
        """
        started = Started(self._name)
        try:
            env = await self._environment(started)
            if self._program and shutil.which(self._own_argv[0], path=env["PATH"]) is None:
                raise NotStarted("there is no such program")
            identity = self._identity(env["PATH"])
            if call.credential is not None and not self._hands:
                # A model may read what stands in its program's environment.
                call.credential.observe("all")
            elif call.credential is not None:
                started.handed = await hand(call.credential, identity, started.owns)
                env |= _variables(started.handed)
            program = self._launcher.start(self._argv, env, cwd=None, on_output=on_output, identity=identity)
            started.begin(program)
            try:
                if started.handed is not None:
                    program.leave(started.handed.folder)
                yield started
            finally:
                program.terminate()
                program.abandon()
        except WardenLost as error:
            raise faults.lost(self._name, "was lost", str(error)) from None
        except (NotStarted, NotRead) as error:
            fix = f'hint: install it, or correct "{self._key}" of the agent'
            why = f'{self._key}[0] is "{self._own_argv[0]}": {error}\n{fix}'
            raise faults.not_started(self._name, why) from error.__cause__

    def facts(self) -> dict[str, str]:
        path = self._env.written("PATH", os.environ.get("PATH", os.defpath))
        return {"command": self._as_written, **origins.of_program(self._own_argv, self._own_files, path)}

    async def probe(self) -> list[Probe]:
        """Look for the program, and for those of its arguments that are files of the policy. Nothing is started."""
        path, program = self._env.written("PATH", os.environ.get("PATH", os.defpath)), self._own_argv[0]
        if path is None:
            return [Probe("program", True, f"{program} is looked for in a PATH that is kept elsewhere")]
        found = shutil.which(program, path=path)
        if found is None:
            fix = 'install it, make it executable, or correct "command" of the agent'
            return [Probe("program", False, f"{program} is not there, or cannot be executed", fix)]
        lost = [name for name in self._own_files.values() if not os.access(name, os.R_OK)]
        unread = [Probe("argument", False, f"{name} cannot be read", "write it, or correct the path") for name in lost]
        identity = self._identity(path)
        uid = f"as the host's user ({identity.reason})" if identity.uid is None else "under a uid of its own"
        return [Probe("program", True, f"{found}, {uid}"), *unread]

    async def close(self) -> None:
        await self._launcher.close()

    async def _environment(self, started: Started) -> dict[str, str]:
        """Return what the program gets, but for HOME, which its warden makes."""
        values = await self._env.read()
        started.references = values.guarded
        return {"PATH": os.environ.get("PATH", os.defpath), **values.texts}

    def _identity(self, path: str) -> Identity:
        """Return under which uid the next program runs. What it needs to reach is looked at once."""
        if path not in self._closed:
            needs = [*program_needs(self._argv[:1], path), *program_needs(self._own_argv, path), tempfile.gettempdir()]
            self._closed[path] = closed_to_others(needs)
        return identify(same_uid=self._same_uid, closed=self._closed[path])


def _resolve(argument: str, folder: Path, *, first: bool) -> str:
    """Return "./x" and "../x", and a program's relative path, as seen from the policy's folder; all else as it is."""
    relative = argument.startswith(("./", "../")) or (first and "/" in argument and not argument.startswith("/"))
    return os.path.normpath(folder.absolute() / argument) if relative else argument


def _variables(handed: Handed) -> Mapping[str, str]:
    """Return what the environment of a program has beside its own."""
    tokens = {TOKEN_VARIABLE + re.sub("[^A-Z0-9]", "_", name.upper()): text for name, text in handed.tokens.items()}
    return {GATEWAY_VARIABLE: handed.door.path, KEY_VARIABLE: handed.door.key, **tokens}
