"""The policies that clients may name over MCP: those of trust.yaml, or those of them that the operator chose.

Whoever starts a server can choose fewer and call them otherwise; trust.yaml alone lets a policy be used at all. Both
it and the policies are read anew with each call: what is taken out holds at once.

Not here: whether a script may run (deciding, review.gate).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from runner.errors import RunnerError, UsageError
from runner.policy import load_policy
from runner.policy.model import Policy
from runner.printable import clean
from runner.review.keys import reviewer_key
from runner.review.trust import FILE, Door, Trust, is_same_file, read_trust

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a policy can be called over MCP: it stands in URIs."""


class NamedPolicies:
    """What one server lets its clients name."""

    def __init__(self, home: Path, chosen: Mapping[str, str]) -> None:
        """`chosen` is name → file, "" for the file that trust.yaml has under this name. Empty: all of trust.yaml.

        Raises UsageError: a name cannot stand in a URI.
        """
        for name in chosen:
            if not NAME.fullmatch(name):
                hint = "letters, digits, dots, hyphens and underscores, at most 64"
                raise UsageError(f'"{clean(name, limit=80)}" cannot be the name of a policy over MCP', hint=hint)
        self._home = home
        self._chosen = dict(chosen)

    def names(self) -> list[str]:
        """Return the names, usable or not. Raises UsageError: there is none."""
        found = sorted(self._chosen or self._trust().mcp)
        if not found:
            raise UsageError("trust.yaml lets MCP use no policy", hint=self._remedy())
        return found

    def look(self) -> dict[str, Policy | RunnerError]:
        """Return each name's policy, or why it cannot be used now. Raises UsageError: there is no name."""
        found: dict[str, Policy | RunnerError] = {}
        for name in self.names():
            try:
                found[name] = self.load(name)
            except RunnerError as error:
                found[name] = error
        return found

    def load(self, name: str) -> Policy:
        """Return the policy of a name, as it is now.

        Raises UsageError: it is not named here, trust.yaml does not let MCP use it, or it cannot be read.
        """
        trust = self._trust()
        policy = load_policy(self._file(trust, name))
        if not trust.permits(Door.MCP, policy):
            raise UsageError(f'policy "{name}" is none that {FILE} lets MCP use', hint=self._remedy(name, policy.file))
        return policy

    def has(self, file: str) -> bool:
        """True where a name that can be used leads to this policy file, whatever stands in it now."""
        try:
            trust, names = self._trust(), self.names()
        except UsageError:
            return False
        if not any(is_same_file(file, path) for path in trust.mcp.values()):
            return False
        for name in names:
            with suppress(UsageError):  # One that trust.yaml no longer has.
                if is_same_file(file, str(self._file(trust, name))):
                    return True
        return False

    def _file(self, trust: Trust, name: str) -> Path:
        if self._chosen and name not in self._chosen:
            known = ", ".join(sorted(self._chosen))
            raise UsageError(f'no policy is called "{clean(name, limit=80)}" here', hint=f"there is: {known}")
        if self._chosen.get(name):
            return Path(self._chosen[name])
        if not trust.mcp:
            raise UsageError("trust.yaml lets MCP use no policy", hint=self._remedy(name))
        return trust.mcp_policy(name)

    def _trust(self) -> Trust:
        return read_trust(self._home, reviewer_key(self._home))

    def _remedy(self, name: str = "", path: str = "") -> str:
        named = f"{{{name if NAME.fullmatch(name) else 'NAME'}: {path or '/absolute/path/of/policy.yaml'}}}"
        return (
            f"whoever owns this host writes into {self._home / FILE} (mode 0600): "
            f"`version: 1` and `policies: {{mcp: {named}}}`"
        )
