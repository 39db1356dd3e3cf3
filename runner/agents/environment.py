"""Variables that a policy writes under an agent's `env`: texts, and references that are read at each attempt.

Not here: which variables a policy may write (policy.values), how a process gets them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from runner.agents import Setting, faults
from runner.errors import PolicyError
from runner.policy.model import AgentEntry, Reference


class Environment:
    """What stands under `env` of one agent."""

    def __init__(self, entry: AgentEntry, setting: Setting) -> None:
        """Raises PolicyError: it has references, and nothing reads them."""
        self._name = entry.name
        self._written: Mapping[str, str | Reference] = entry.options.get("env") or {}
        self._read_reference = setting.read_reference
        if self._read_reference is None and any(isinstance(each, Reference) for each in self._written.values()):
            message = f'agent "{entry.name}" has references in its env, and nothing is there to read them'
            raise PolicyError(message, line=entry.line)

    def as_written(self) -> dict[str, str]:
        """Return the variables with references as they are written, for what is digested."""
        return {name: str(value) for name, value in self._written.items()}

    async def read(self) -> tuple[dict[str, str], list[str]]:
        """Return the variables as they are now, and those of the values that are kept by reference.

        Raises AgentFault: a reference cannot be read.
        """
        found, kept = {}, []
        for name, value in self._written.items():
            found[name] = value if isinstance(value, str) else await self._read(value)
            if isinstance(value, Reference):
                kept.append(found[name])
        return found, kept

    async def _read(self, reference: Reference) -> str:
        assert self._read_reference is not None
        try:
            if reference.kind == "env":
                return self._read_reference(reference)
            # A file may lie on a slow disk, and a command takes as long as it takes.
            return await asyncio.to_thread(self._read_reference, reference)
        except Exception as error:
            raise faults.not_started(self._name, f"{reference} cannot be read: {error}") from error
