"""`Runner`: the one object that doors (CLI, library) hold. Each of their verbs is one call of it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from runner.engine.archive import ArchiveVerbs
from runner.engine.decisions import DecisionVerbs
from runner.engine.policies import PolicyVerbs
from runner.engine.reviews import Reviews
from runner.engine.submission import read_script
from runner.events import Event, RunView, TokensView, fold
from runner.journal import RegisterKind, freeze
from runner.models import Json, Script, Verdict
from runner.policy import load_policy
from runner.policy.model import Policy

if TYPE_CHECKING:
    from runner.credentials.selection import Selection
    from runner.engine.audit import FoundToken
    from runner.engine.calling import Called
    from runner.engine.explain import Explained
    from runner.engine.submission import Handed
    from runner.policy.model import LockedAgent


class Runner(Reviews, ArchiveVerbs, DecisionVerbs, PolicyVerbs):
    """Runs scripts, and tells of runs. One per process; an async context manager.

        async with Runner() as runner:
            result = await runner.run("script.py", policy="runner.yaml", inputs={"topic": "x"})

    `run` works outside of `async with` too; then everything is opened and closed for that one run.
    """

    @staticmethod
    @asynccontextmanager
    async def of_file(
        path: Path, *, progress: Callable[[str], object] | None = None
    ) -> AsyncIterator[tuple[Runner, str]]:
        """Within, the run of a file of `export` is the one run of a store that is gone afterwards: no other has it.

        Give its id with the Runner of that store. Raises UsageError, RecordBroken: it is no whole file.
        """
        with tempfile.TemporaryDirectory(prefix="runner-file-") as folder:
            async with Runner(home=Path(folder), progress=progress) as runner:
                found = await runner.import_run(path, by="a look at the file")
                yield runner, found.run

    # --- telling ---------------------------------------------------------------------------

    def check(self, script: Script | str | Path, *, policy: Policy | str | Path) -> Verdict:
        """Return the check's answer. Runs nothing, imports no agent."""
        from runner.check import check

        chosen = script if isinstance(script, Script) else read_script(script)
        return check(chosen, policy if isinstance(policy, Policy) else load_policy(policy))

    def prompt(self, policy: Policy | str | Path) -> str:
        """Return what a model needs to write scripts under this policy."""
        from runner.check.prompt import prompt

        return prompt(policy if isinstance(policy, Policy) else load_policy(policy))

    def stubs(self, policy: Policy | str | Path) -> str:
        """Return Python stubs of the API with this policy's agents typed, for type checkers and editors."""
        from runner.check.stubs import stubs

        return stubs(policy if isinstance(policy, Policy) else load_policy(policy))

    def find(self, prefix: str) -> str:
        """Return the one run whose id begins so. Raises RunNotFound."""
        return self.store.find(prefix)

    def events(self, run: str, *, after: int = 0) -> Iterator[Event]:
        """Yield the durable events of a run, in order."""
        return self.store.read(run, after=after)

    def view(self, run: str) -> RunView:
        """Return what the journal says of a run; `interrupted` if it has not ended and its host is gone."""
        alive = self.store.run_alive(run)
        # Asked before the events are read: a run that ends in between is told as ended, not as dead.
        view = fold(self.events(run))
        if not view.ended and not alive:
            view.interrupt()
        return view

    def with_nested(self, run: str) -> list[str]:
        """Return a run and all that are nested in it, at any depth. Raises RunNotFound."""
        from runner.engine.closing import nested_in

        found = [run]
        for one in found:
            found += [nested for nested in nested_in(self.store, one) if nested not in found]
        return found

    def request_stop(self, run: str, *, by: str) -> bool:
        """Ask the host of a live run, in whatever process, to stop it. False when it is not alive."""
        return self.store.request_stop(run, by)

    # --- one agent -------------------------------------------------------------------------

    async def call_agent(
        self, policy: Policy, name: str, inputs: Json, *, scopes: tuple[str, ...] | None = None,
        timeout: float | None = None, handed: Handed | None = None, on_start: Callable[[str], object] | None = None,
    ) -> Called:  # fmt: skip
        """Call one agent as a spawn would, in a run of its own, and tell what crossed its border. `scopes` None: its
        default ones. Raises what `run` raises; UsageError: the policy has no such agent.
        """
        from runner.engine.calling import call_agent

        return await call_agent(
            self, policy, name, inputs, scopes=scopes, timeout=timeout, handed=handed, on_start=on_start
        )

    @staticmethod
    async def live_facts(policy: Policy, name: str) -> LockedAgent:
        """Make an agent, and return what it says of itself. Imports a python agent, asks a server for its schemas.

        Raises UsageError: the policy has no such agent. PolicyError: it cannot be made, or asked.
        """
        from runner.engine.calling import live_facts

        return await live_facts(policy, name)

    # --- credentials -----------------------------------------------------------------------

    @staticmethod
    def explain(
        policy: Policy, *, agent: str, scopes: tuple[str, ...] | None, inputs: object, timeout: float | None = None
    ) -> Explained:
        """Say whether an agent may be asked with these scopes, and what that opens. Mints and starts nothing."""
        from runner.engine.explain import explain

        return explain(policy, agent=agent, scopes=scopes, inputs=inputs, timeout=timeout)

    def freeze(self, *, by: str, reason: str) -> bool:
        """Let no spawn, attempt or token begin in any process of this store. False where it is so already."""
        done = freeze.freeze(self.store, by=by, reason=reason)
        self.store.look_again()
        return done

    def unfreeze(self, *, by: str, reason: str) -> bool:
        """Let the host work again. False where it was not frozen."""
        done = freeze.unfreeze(self.store, by=by, reason=reason)
        self.store.look_again()
        return done

    def revoke(self, selection: Selection, *, by: str, reason: str) -> int:
        """Ask every host of this store to close the tokens that are selected. Return the entry of the register.

        Hosts carry it out within half a second; for resource servers that introspect it holds at once.
        """
        body = {key: value for key, value in asdict(selection).items() if value}
        return self.store.note(RegisterKind.REVOCATION, {"by": by, "reason": reason, **body})

    def tokens(self, run: str) -> TokensView:
        """Return the tokens of a run and what was requested with them."""
        from runner.engine.audit import tokens_of

        return tokens_of(self.store, run)

    def find_token(self, text: str) -> FoundToken | None:
        """Return whose token a text is, None where it is none of this store. Raises UsageError."""
        from runner.credentials.keys import fingerprint_key
        from runner.engine.audit import find

        return find(self.store, text, fingerprint_key(self.store.home))

    def token_active(self, jti: str) -> bool | None:
        """Say whether a token of the embedded issuer is active; None where the record has none of it."""
        from runner.engine.audit import is_active

        return is_active(self.store, jti, self._clock.now())

    def revoke_token(self, jti: str, *, by: str) -> None:
        """Revoke one token, as a resource server may that has seen it where it should not be."""
        from runner.credentials.selection import Selection

        self.revoke(Selection(token=jti), by=by, reason="asked for by a resource server")

    def verify(self, run: str) -> None:
        """Prove the run's record whole. Raises RecordBroken."""
        self.store.verify(run)
