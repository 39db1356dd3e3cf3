"""An entry's mapping of texts and references (`env`, `headers`), read at use, each time, and not kept.

Not here: reading one reference (policy.references), what the values are for (commanded, remote).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.agents import Setting
from runner.errors import PolicyError
from runner.policy.model import AgentEntry, Reference


class NotRead(Exception):
    """A reference cannot be read. `str` names it and says why, for a detail."""


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one attempt."""

    texts: dict[str, str] = field(repr=False)
    guarded: list[str] = field(repr=False)
    """Those of references: no output and no detail may repeat them."""


class Kept:
    """One such mapping of an entry."""

    def __init__(
        self, entry: AgentEntry, key: str, setting: Setting, written: Mapping[str, str | Reference] | None = None
    ) -> None:
        """`written` stands for what the entry has under the key. Raises PolicyError: nothing reads its references."""
        self._written: Mapping[str, str | Reference] = entry.options.get(key) or {} if written is None else written
        self._read_reference = setting.read_reference
        if self._read_reference is None and any(isinstance(value, Reference) for value in self._written.values()):
            raise PolicyError(
                f'agent "{entry.name}" has references in its {key}, and nothing is there to read them', line=entry.line
            )

    def as_written(self) -> dict[str, str]:
        """Return the mapping with references by their names."""
        return {name: str(value) for name, value in self._written.items()}

    def written(self, name: str, default: str) -> str | None:
        """Return a value as the policy has it; None where that is a reference."""
        value = self._written.get(name, default)
        return value if isinstance(value, str) else None

    async def read(self) -> Values:
        """Return the values now. Raises NotRead."""
        values = Values({}, [])
        for name, value in self._written.items():
            if isinstance(value, Reference):
                values.texts[name] = await self._read(value)
                values.guarded.append(values.texts[name])
            else:
                values.texts[name] = value
        return values

    async def _read(self, reference: Reference) -> str:
        assert self._read_reference is not None
        try:
            if reference.kind == "env":
                return self._read_reference(reference)
            # A file may lie on a slow disk, and a command takes as long as it takes.
            return await asyncio.to_thread(self._read_reference, reference)
        except Exception as error:
            raise NotRead(f"{reference} cannot be read: {error}") from error
