"""Which tokens and requests an audit is about: over all runs or one, by scope, agent, resource, time, and use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from runner.errors import UsageError
from runner.events import TokensView, TokenView, UseView

if TYPE_CHECKING:
    from runner.engine import Runner

_DAY = 86_400.0


@dataclass(slots=True)
class Selected:
    """A selection. Runs are read one after the other: a store may hold more than memory."""

    runner: Runner
    run: str | None
    scope: str | None
    agent: str | None
    resource: str | None
    since: float | None
    until: float | None
    used: bool | None
    open_: bool
    now: float

    def views(self) -> Iterator[TokensView]:
        """Yield each run's tokens, oldest run first. Raises RunNotFound."""
        if self.run is not None:
            for run in self.runner.with_nested(self.runner.find(self.run)):
                yield self.runner.tokens(run)
            return
        for run in self.runner.store.runs_with_tokens():
            yield self.runner.tokens(run)

    def tokens(self) -> Iterator[TokenView]:
        for view in self.views():
            yield from (one for one in view.tokens.values() if self._takes(one))

    def uses(self) -> Iterator[UseView]:
        """Yield the requests that were made with the selected tokens, and refused ones that had none."""
        for view in self.views():
            chosen = {one.id for one in view.tokens.values() if self._takes(one)}
            for use in view.uses:
                if use.token in chosen or (not use.token and self._takes_use(use)):
                    yield use

    def over_asked(self) -> list[dict[str, Any]]:
        """Return the scopes that an agent was given and never used, as far as every use is known."""
        given: dict[tuple[str, str], list[TokenView]] = {}
        needed: set[tuple[str, str]] = set()
        for view in self.views():
            for one in view.tokens.values():
                if not self._is_about(one) or not one.closed_at:
                    continue
                for scope in one.scopes:
                    given.setdefault((one.agent, scope), []).append(one)
                    if scope in one.scopes_used or one.used is None:
                        needed.add((one.agent, scope))
        return [
            {"agent": agent, "scope": scope, "tokens": len(tokens), "runs": len({one.run for one in tokens})}
            for (agent, scope), tokens in sorted(given.items())
            if (agent, scope) not in needed
        ]

    def _takes(self, one: TokenView) -> bool:
        if not self._is_about(one):
            return False
        if self.used is not None and one.used is not self.used:
            return False
        return not self.open_ or one.open_until(self.now) is not None

    def _is_about(self, one: TokenView) -> bool:
        if self.scope is not None and self.scope not in one.scopes:
            return False
        return self._concerns(one.agent, one.resource, one.asked_at)

    def _takes_use(self, use: UseView) -> bool:
        if self.scope is not None or self.used is not None or self.open_:
            return False
        return self._concerns(use.agent, use.resource, use.at)

    def _concerns(self, agent: str, resource: str, at: float) -> bool:
        if self.agent is not None and self.agent != agent:
            return False
        if self.resource is not None and self.resource != resource:
            return False
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)


def moment_of(text: str | None, now: float) -> float | None:
    """Return epoch seconds of "2h" or "3d" (ago), or of an ISO time, local unless it says. Raises UsageError."""
    from runner.policy.units import seconds_of

    if text is None:
        return None
    try:
        if text[-1:] == "d" and text[:-1].isdigit():
            return now - int(text[:-1]) * _DAY
        return now - seconds_of(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"{text!r} is no time", hint='such as 30m, 2h, 3d (ago), "2026-11-28" or "2026-11-28T03:00"'
        ) from None
