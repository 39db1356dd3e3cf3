"""The libraries of backends: imported when a policy names one, and only at versions that were tested."""

from __future__ import annotations

from importlib import import_module, metadata
from types import ModuleType

from runner.errors import PolicyError
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
    require_version(entry)
    try:
        return import_module(module)
    except (Exception, SystemExit) as error:
        distribution, *_ = TESTED[BACKENDS[entry.backend].extra]
        message = f'agent "{entry.name}" needs {distribution}, which does not import: {type(error).__name__}: {error}'
        raise PolicyError(message, line=entry.line, hint=_hint(entry)) from error


def require_version(entry: AgentEntry) -> None:
    """Raises PolicyError: the library of an entry's backend is not installed, or at a version that was not tested."""
    distribution, lowest, below = TESTED[BACKENDS[entry.backend].extra]
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        message = f'agent "{entry.name}" needs {distribution}, which is not installed'
        raise PolicyError(message, line=entry.line, hint=_hint(entry)) from None
    if not _parts(lowest) <= _parts(version) < _parts(below):
        message = f'agent "{entry.name}" needs {distribution} from {lowest} to below {below}; {version} is installed'
        raise PolicyError(message, line=entry.line, hint=_hint(entry))


def _hint(entry: AgentEntry) -> str:
    return f'install it: pip install "spawn-runner[{BACKENDS[entry.backend].extra}]"'


def _parts(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: what follows them, such as rc1, is of no weight here."""
    found: list[int] = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        found.append(int(part))
    return tuple(found)
