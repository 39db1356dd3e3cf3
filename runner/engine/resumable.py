"""Whether a run may go on, and under which policy: asked before its lease is taken. And one spawn of it, given up.

Not here: going on (resuming).
"""

from __future__ import annotations

from pathlib import Path

from runner.check import check
from runner.engine.imported import require_vouched
from runner.engine.replaying import read_whole_record, require_same_versions
from runner.engine.resuming import cancelled_body
from runner.errors import PolicyError, UsageError
from runner.events import EventKind, fold
from runner.guest.wire import canonical
from runner.journal import SqliteJournal
from runner.journal.freeze import why_frozen
from runner.models import OutcomeKind, Verdict
from runner.policy import load_policy
from runner.policy.archived import hidden_values
from runner.policy.model import Policy
from runner.replay import Record


def require_resumable(store: SqliteJournal, run: str, *, old_policy: bool) -> tuple[Record, Policy, Verdict]:
    """Return the record of a run, the policy that it goes on under and the check's answer.

    `old_policy`: go on under the archived policy although its file says something else by now.

    Raises:
        UsageError: It has ended, is alive, or may not go on: a freeze, another version, a policy that was changed, a
            file that it came in and for which nobody vouches.
        RecordBroken, RunNotFound, StoreError: It cannot be read.
    """
    if store.run_ended(run):
        raise UsageError(f'run "{run}" has ended', hint=f"runner show {run}")
    if store.run_alive(run):
        raise UsageError(f'run "{run}" is served by a living process', hint=f"runner watch {run}")
    elsewhere = require_vouched(store, run, refused="it does not go on")
    if store.frozen:
        why = why_frozen(store.home).get("reason", "")
        told = f" ({why})" if why else ""
        raise UsageError(f"this host is frozen: nothing may go on{told}", hint="runner unfreeze")
    record = read_whole_record(store, run)
    require_same_versions(record, anyway=False, hint="resume it with the version of runner and Python that began it")
    policy = standing_policy(record, old_policy=old_policy, imported=elsewhere)
    verdict = check(record.script, policy)
    if not verdict.accepted and record.started_seq:
        error = next(finding for finding in verdict.findings if finding.severity == "error")
        raise UsageError(
            f'run "{run}" cannot go on: the check refuses its script now (line {error.line}: {error.message})',
            hint=f"runner replay {run} tells whether the record still holds",
        )
    return record, policy, verdict


def standing_policy(record: Record, *, old_policy: bool, imported: bool = False) -> Policy:
    """Return the policy of a run if it still stands: its file, where it came from one, resolves to the same digest.

    Of an `imported` run only a policy that is here stands by itself. Raises UsageError.
    """
    archived = record.policy
    changed = f'policy "{archived.file}" of run "{record.run}" has changed since'
    hint = (
        f"runner replay {record.run} --policy {archived.file} shows what it would change; --old-policy goes on under "
        "the archived one"
    )
    if archived.file:
        try:
            current = load_policy(Path(archived.file))
        except PolicyError as error:
            changed, current = f"{changed}: it cannot be read ({error.message})", None
        if current is not None and current.digest == archived.digest:
            return current
        if not old_policy:
            raise UsageError(changed, hint=hint)
    elif imported and not old_policy:
        raise UsageError(
            f'run "{record.run}" was imported, and names no policy file that could be here',
            hint="runner show tells what its policy was; --old-policy goes on under it, with its commands and modules",
        )
    if hidden := hidden_values(archived):
        raise UsageError(
            f"the archive holds of {hidden[0]} only its digest: it looked like a key",
            hint="restore the policy file that the run was started with",
        )
    return archived


async def give_up(store: SqliteJournal, run: str, spawn: int, *, by: str, reason: str) -> str:
    """Settle an open spawn of an interrupted run as failed, for good; durable on return. Return its agent.

    Its attempt is not made again, and the script hears that it failed, and why. Raises UsageError, StoreError.
    """
    journal, _ = store.resume_run(run, on_failure=_told_by_close)
    try:
        found = fold(store.read(run)).spawns.get(spawn)
        if found is None:
            raise UsageError(f'run "{run}" has no spawn {spawn}', hint=f"runner show {run}")
        if found.outcome:
            raise UsageError(f"spawn {spawn} has settled: {found.outcome}", hint=f"runner show {run}")
        agent = found.called or found.agent
        body = {**cancelled_body(spawn, agent, found.attempts), "outcome": str(OutcomeKind.FAILED), "by": by}
        value = canonical({"message": f'agent "{agent}" was given up by {by}: {reason}'})
        journal.append(EventKind.SPAWN_SETTLED, body, value)
    finally:
        await journal.close()
    return agent


def _told_by_close(error: Exception) -> None:
    """`close` of the journal raises what the store failed with."""
