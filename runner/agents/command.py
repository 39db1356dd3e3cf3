"""The `command` backend: a program that reads JSON on stdin and writes one JSON value on stdout.

Its environment is exactly PATH, HOME (a fresh folder) and what the entry lists under `env`; for a spawn that asked for
scopes of a resource also RUNNER_GATEWAY (path of a unix socket) and RUNNER_GATEWAY_KEY, and with `unsafe_raw_token`
RUNNER_TOKEN_<RESOURCE>. Its working directory is fresh; it runs in a session of its own under a warden, and all of it
is dead when the attempt is over. Output is read up to the call's bound, never further. Referenced values are read at
use; they, the key and the tokens are cut out of details, and an output that repeats one is refused.

Not here: starting and killing (launch, warden), under which uid (uids). What it may do as that: docs/limits.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from runner.agents import Setting, faults, origins
from runner.agents.access import Handed, hand
from runner.agents.launch import Launcher
from runner.agents.program import NotStarted, Program, WardenLost
from runner.agents.uids import Identity, closed_to_others, identify, program_needs
from runner.errors import AgentFault, PolicyError
from runner.guest.wire import WireError, canonical, compact, loads
from runner.models import Json, OutcomeKind, digest_of
from runner.policy.model import AgentEntry, Reference
from runner.seams import Call

ReadReference = Callable[[Reference], str]

# Ours to set: a policy's `env` may have none of these, nor one that begins with TOKEN_VARIABLE.
GATEWAY_VARIABLE, KEY_VARIABLE = "RUNNER_GATEWAY", "RUNNER_GATEWAY_KEY"
TOKEN_VARIABLE = "RUNNER_TOKEN_"


def build(entry: AgentEntry, setting: Setting) -> CommandAgent:
    """Return the agent of an entry. Raises PolicyError: it has references, and nothing reads them."""
    folder, read_reference = setting.folder, setting.read_reference
    env: Mapping[str, str | Reference] = entry.options.get("env") or {}
    if read_reference is None and any(isinstance(value, Reference) for value in env.values()):
        raise PolicyError(
            f'agent "{entry.name}" has references in its env, and nothing is there to read them', line=entry.line
        )
    written: list[str] = entry.options["argv"]
    argv = [_resolve(argument, folder, first=n == 0) for n, argument in enumerate(written)]
    # What stands as it was written is no file of the policy: it may be anything, a key among them.
    own_files = {n: found for n, found in enumerate(argv) if n and found != written[n]}
    as_written = digest_of(canonical({"argv": written, "env": {name: str(value) for name, value in env.items()}}))
    return CommandAgent(
        entry.name, argv, env, read_reference or _refuse, same_uid=entry.unsafe_same_uid, own_files=own_files,
        as_written=as_written,
    )  # fmt: skip


def _refuse(reference: Reference) -> str:
    raise PolicyError(f"nothing reads {reference}")


def _resolve(argument: str, folder: Path, *, first: bool) -> str:
    """Return "./x" and "../x", and a program's relative path, as seen from the policy's folder; all else as it is."""
    relative = argument.startswith(("./", "../")) or (first and "/" in argument and not argument.startswith("/"))
    return os.path.normpath(folder.absolute() / argument) if relative else argument


class Reads(Protocol):
    """How a program's stdout is read that has a form of its own."""

    def most_bytes(self, call: Call) -> int:
        """Return how much it may write."""
        ...

    def output(self, agent: str, call: Call, said: Json, guarded: Sequence[str]) -> Json:
        """Return the output that it said, whatever its exit code. Raises AgentFault, with nothing guarded in it."""
        ...


class CommandAgent:
    """One agent that is a program, started anew for each attempt."""

    def __init__(
        self,
        name: str,
        argv: list[str],
        env: Mapping[str, str | Reference],
        read_reference: ReadReference,
        *,
        same_uid: bool,
        own_files: Mapping[int, str],
        as_written: str,
        reads: Reads | None = None,
        program: int = 0,
    ) -> None:
        """`reads` None: stdout is the output. `program` is its place in `argv`, behind what starts it."""
        self._name = name
        self._argv = argv
        self._own_files = own_files
        self._as_written = as_written
        self._reads = reads
        self._own_argv = argv[program:] if program else argv
        self._env = env
        self._read_reference = read_reference
        self._same_uid = same_uid
        self._closed: dict[str, str] = {}
        """PATH → what keeps other users from what the program runs on."""
        self._launcher = Launcher()

    async def run(self, call: Call) -> Json:
        env = await self._environment()
        if self._own_argv is not self._argv and shutil.which(self._own_argv[0], path=env["PATH"]) is None:
            raise self._not_started("there is no such program")
        identity = self._identity(env["PATH"])
        attempt = _Attempt(self._name, call, self._reads)
        attempt.references = [env[name] for name, value in self._env.items() if isinstance(value, Reference)]
        try:
            if call.credential is not None and self._reads is not None:
                # A model may read what stands in its program's environment: it is handed nothing.
                call.credential.observe("all")
            elif call.credential is not None:
                attempt.handed = await hand(call.credential, identity, attempt.owns)
                env |= _variables(attempt.handed)
            attempt.program = self._launcher.start(
                self._argv, env, cwd=None, on_output=attempt.take, identity=identity
            )
            try:
                if attempt.handed is not None:
                    attempt.program.leave(attempt.handed.folder)
                attempt.program.write(_stdin(call.inputs), last=True)
                return await attempt.outcome()
            finally:
                attempt.program.terminate()
                attempt.program.abandon()
        except WardenLost as error:
            raise faults.lost(self._name, "was lost", str(error)) from None
        except NotStarted as error:
            raise self._not_started(str(error)) from None

    def facts(self) -> dict[str, str]:
        path = self._env.get("PATH", os.environ.get("PATH", os.defpath))
        found = origins.of_program(self._own_argv, self._own_files, path if isinstance(path, str) else None)
        return {"command": self._as_written, **found}

    async def close(self) -> None:
        await self._launcher.close()

    async def _environment(self) -> dict[str, str]:
        """Return what the program gets, but for HOME, which its warden makes."""
        env = {"PATH": os.environ.get("PATH", os.defpath)}
        for name, value in self._env.items():
            env[name] = value if isinstance(value, str) else await self._read(value)
        return env

    async def _read(self, reference: Reference) -> str:
        try:
            if reference.kind == "env":
                return self._read_reference(reference)
            # A file may lie on a slow disk, and a command takes as long as it takes.
            return await asyncio.to_thread(self._read_reference, reference)
        except Exception as error:
            raise self._not_started(f"{reference} cannot be read: {error}") from error

    def _identity(self, path: str) -> Identity:
        """Return under which uid the next program runs. What it needs to reach is looked at once."""
        if path not in self._closed:
            needs = [*program_needs(self._argv[:1], path), *program_needs(self._own_argv, path), tempfile.gettempdir()]
            self._closed[path] = closed_to_others(needs)
        return identify(same_uid=self._same_uid, closed=self._closed[path])

    def _not_started(self, why: str) -> AgentFault:
        fix = 'hint: install it, or correct "argv" of the agent'
        return faults.not_started(self._name, f'argv[0] is "{self._own_argv[0]}": {why}\n{fix}')


class _Attempt:
    """What one program was handed, and what came back from it so far."""

    def __init__(self, name: str, call: Call, reads: Reads | None) -> None:
        self.program: Program | None = None
        self.references: list[str] = []
        self.handed: Handed | None = None
        self._name = name
        self._call = call
        self._reads = reads
        self._limit = call.output_bytes if reads is None else reads.most_bytes(call)
        self._output = bytearray()
        self._too_large = False

    @property
    def _running(self) -> Program:
        assert self.program is not None
        return self.program

    def owns(self, pid: int) -> bool:
        """True while a process is the program, or descends from it."""
        return self.program is not None and self.program.owns(pid)

    def take(self, data: bytes) -> None:
        """Keep what the program wrote; beyond the limit keep nothing and kill it."""
        if len(self._output) + len(data) <= self._limit:
            self._output += data
            return
        self._too_large = True
        self._output.clear()
        self._running.kill()

    async def outcome(self) -> Json:
        """Return the program's output once it has ended. Raises AgentFault and NotStarted."""
        # Shielded: a cancelled attempt must not cancel what tells of its program's end.
        await asyncio.shield(self._running.started)
        end = await asyncio.shield(self._running.ended)
        if self._too_large:
            raise faults.too_large(self._name, self._call.output_bytes)
        if end.status is None or end.status < 0:
            # By a signal that was not ours: what it had begun is not known.
            raise faults.lost(self._name, str(end), self._errors())
        if end.status != 0 and (self._reads is None or not self._output):
            raise AgentFault(OutcomeKind.FAILED, f'agent "{self._name}" {end}', detail=self._errors())
        return self._parse()

    def _parse(self) -> Json:
        try:
            text = self._output.decode().strip(" \t\r\n")
            value = loads(text)
        except (UnicodeDecodeError, WireError) as error:
            why = f"{error}" if self._output else "it wrote nothing"
            raise faults.no_json(self._name, f"stdout: {why}\nstderr: {self._errors()}") from None
        if self._reads is not None:
            value = self._reads.output(self._name, self._call, value, self.references)
            if len(compact(value).encode()) > self._call.output_bytes:
                raise faults.too_large(self._name, self._call.output_bytes)
        if faults.repeats(text, self.references):
            raise faults.repeated(self._name, "a value that its policy keeps by reference")
        if self.handed is not None and faults.repeats(text, self.handed.guarded):
            raise faults.repeated(self._name, "a credential that it was handed")
        return value

    def _errors(self) -> str:
        guarded = self.references + (self.handed.guarded if self.handed else [])
        return faults.errors_of(bytes(self._running.errors), guarded, cut=self._running.errors_cut)


def _variables(handed: Handed) -> dict[str, str]:
    """Return what the environment of a program has beside its own."""
    tokens = {TOKEN_VARIABLE + re.sub("[^A-Z0-9]", "_", name.upper()): text for name, text in handed.tokens.items()}
    return {GATEWAY_VARIABLE: handed.door.path, KEY_VARIABLE: handed.door.key, **tokens}


def _stdin(inputs: Json) -> bytes:
    return json.dumps(inputs, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
