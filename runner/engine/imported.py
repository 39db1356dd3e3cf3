"""What a run that came in a file may do here.

Its record is whole, and says what its maker liked: script, policy with the commands and modules of agents, outcomes.
It can be read, proven, replayed and tried, which calls nothing. It goes on, and its outcomes are taken, only where
somebody vouches for the file: it was signed by this home, or by the key that was demanded when it was imported.

Not here: proving the file (archive), calling nothing (replaying, what_if).
"""

from __future__ import annotations

from dataclasses import replace

from runner.errors import UsageError
from runner.journal import SqliteJournal
from runner.models import MIB
from runner.policy.model import Policy, SandboxRule

MOST_MEMORY_BYTES = 1024 * MIB
"""Of a guest whose policy anybody may have written."""


def contained(store: SqliteJournal, run: str, policy: Policy) -> Policy | None:
    """Return the policy under which a guest is started for a run for which nobody vouches; None where it is believed.

    Such a record chooses no sandbox, no runtime, no image and no guest whose lock nobody saw.
    """
    found = store.imported(run)
    if found is None or found.get("known"):
        return None
    limits = replace(policy.limits, memory_bytes=min(policy.limits.memory_bytes, MOST_MEMORY_BYTES))
    return replace(policy, sandbox=SandboxRule(policy.sandbox.demand), limits=limits)


def require_vouched(store: SqliteJournal, run: str, *, refused: str) -> bool:
    """Return whether a run came from elsewhere. Raises UsageError, with what is refused: and nobody vouches for it."""
    found = store.imported(run)
    if found is not None and not found.get("known"):
        signer = found.get("signer", "")
        raise UsageError(
            f'run "{run}" was imported from a file for which nobody vouches: {refused}',
            hint=f'once you know whose key "{signer}" is: runner archive prune {run}, then runner import FILE --key '
            f"{signer}",
        )
    return found is not None
