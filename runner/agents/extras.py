"""The libraries of backends: imported when a policy names one, and only at versions that were tested."""

from __future__ import annotations

from importlib import import_module, metadata
from types import ModuleType

from runner.errors import LibraryMissing, PolicyError
from runner.policy.backends import BACKENDS
from runner.policy.model import AgentEntry

# Extra → distribution, and the versions from which and below which it was tested. The same bounds stand in
# pyproject.toml; a test compares them.
TESTED: dict[str, tuple[str, str, str]] = {
    "mcp": ("mcp", "2.3", "3"),
    "anthropic": ("anthropic", "2.12", "3"),
    "openai": ("openai", "3.54", "4"),
    "claude": ("claude-agent-sdk", "0.2.180", "0.3"),
    "langgraph": ("langgraph", "1.2", "2"),
    "crewai": ("crewai", "1.15", "2"),
}


def need(entry: AgentEntry, module: str) -> ModuleType:
    """Return a module of the library of an entry's backend.

    Raises PolicyError: it is not installed, does not import, or is at a version that was not tested.
    """
    try:
        return library(BACKENDS[entry.backend].extra, module, who=f'agent "{entry.name}"')
    except LibraryMissing as error:
        raise PolicyError(error.message, line=entry.line, hint=error.hint) from error.__cause__


def require_version(entry: AgentEntry) -> None:
    """Raise PolicyError: the library of an entry's backend is not installed, or at a version that was not tested."""
    try:
        _require(BACKENDS[entry.backend].extra, who=f'agent "{entry.name}"')
    except LibraryMissing as error:
        raise PolicyError(error.message, line=entry.line, hint=error.hint) from None


def library(extra: str, module: str, *, who: str) -> ModuleType:
    """Return a module of the library of an extra, for whoever needs it.

    Raises LibraryMissing: it is not installed, does not import, or is at a version that was not tested.
    """
    _require(extra, who=who)
    try:
        return import_module(module)
    except (Exception, SystemExit) as error:
        message = f"{who} needs {TESTED[extra][0]}, which does not import: {type(error).__name__}: {error}"
        raise LibraryMissing(message, hint=_hint(extra)) from error


def _require(extra: str, *, who: str) -> None:
    distribution, lowest, below = TESTED[extra]
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        raise LibraryMissing(f"{who} needs {distribution}, which is not installed", hint=_hint(extra)) from None
    if not _parts(lowest) <= _parts(version) < _parts(below):
        message = f"{who} needs {distribution} from {lowest} to below {below}; {version} is installed"
        raise LibraryMissing(message, hint=_hint(extra))


def _hint(extra: str) -> str:
    return f'install it: pip install "spawn-runner[{extra}]"'


def _parts(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: what follows them, such as rc1, is of no weight here."""
    found: list[int] = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        found.append(int(part))
    return tuple(found)


def version_of(entry: AgentEntry) -> str:
    """Return the version of the library of an entry's backend without importing it: a worker will.

    Raises PolicyError: it is not installed, or at a version that was not tested.
    """
    need(entry, "sys")  # Its checks alone: this module is always there.
    return metadata.version(TESTED[BACKENDS[entry.backend].extra][0])
