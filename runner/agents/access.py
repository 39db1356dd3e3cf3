"""Hand an attempt's credential to a process: its door, the door's key, and where the policy says so the tokens.

Not here: the door itself and what goes through it (credentials), the variables and frames that carry it to the process
(command, workers).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from runner.agents.program import NotStarted
from runner.agents.uids import Identity
from runner.seams import Credential, Door


@dataclass(frozen=True, slots=True)
class Handed:
    """What one process was handed for one attempt."""

    door: Door
    tokens: Mapping[str, str] = field(repr=False)
    """Resource → its token's text."""

    @property
    def folder(self) -> str:
        """The door's, to be removed if the host cannot."""
        return os.path.dirname(self.door.path)

    @property
    def guarded(self) -> list[str]:
        """What no output and no detail may repeat."""
        return [self.door.key, *self.tokens.values()]


async def hand(credential: Credential, identity: Identity, owns: Callable[[int], bool]) -> Handed:
    """Open the door of an attempt to the processes that `owns` knows, which run as `identity`. Raises NotStarted."""
    tokens = {resource: token.reveal() for resource, token in credential.tokens.items()}
    try:
        door = await credential.door(uid=identity.effective_uid, admits=owns)
    except OSError as error:
        raise NotStarted(f"its door to the gateway could not be opened: {error.strerror or error}") from error
    credential.observe(observed(identity, tokens))
    return Handed(door, tokens)


def observed(identity: Identity, tokens: Mapping[str, str]) -> str:
    """Return how much is seen of what a process does with its credential, in the words of `seams.Credential`."""
    if tokens:
        return "none"
    return "gateway only" if identity.uid is None else "all"
