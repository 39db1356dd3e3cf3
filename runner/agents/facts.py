"""What an agent may know of the attempt that calls it, and its way to resources.

Standard library only, httpx2 when it is asked for: workers import this too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn


class NoJson(Exception):
    """An agent made something that is no JSON. `str` says what; it may hold paths."""


class Access:
    """The way to resources of a call that has none: its spawn asked for no scope of one."""

    tokens: Mapping[str, str] = MappingProxyType({})
    usage: dict[str, Any] | None = None
    """What the attempt used of models, by the names of `Call.used`; set in a worker, told with its reply."""

    def client(self) -> Any:
        raise RuntimeError("this spawn asked for no scope of a resource")

    def close(self) -> None:
        """End what was opened; the attempt is over."""

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse to be pickled or copied: it holds what must not be stored, in a checkpoint or elsewhere."""
        raise TypeError("the call of an attempt cannot be stored or copied")


class DoorAccess(Access):
    """The way of a process of its own: through the socket of its attempt."""

    def __init__(self, path: str, key: str, tokens: Mapping[str, str]) -> None:
        self.tokens = MappingProxyType(dict(tokens))
        self._path = path
        self._key = key
        self._client: Any = None

    def client(self) -> Any:
        if self._client is None:
            from runner.agents.door_client import client_through

            self._client = client_through(self._path, self._key)
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


NO_ACCESS = Access()


@dataclass(frozen=True, slots=True)
class CallFacts:
    """The second argument of a python agent that has a parameter named `call`. Read-only."""

    deadline: float
    """When this attempt is cut off, seconds since the epoch."""
    idempotency_key: str
    """Equal exactly when this attempt is made again: hand it to services that know such keys."""
    traceparent: str
    """W3C trace context, ready to be sent as a header."""
    attempt: int
    """1 for the first."""
    spawn: int
    """Number of the spawn in its run, from 1."""
    _access: Access = field(default=NO_ACCESS, repr=False, compare=False)

    @property
    def http(self) -> Any:
        """Client for the resources whose scopes the spawn asked for, by name or URL, until the attempt is over.

        An `httpx2.Client` in a `def`, an `httpx2.AsyncClient` in an `async def`. Raises RuntimeError: no scope of a
        resource was asked.
        """
        return self._access.client()

    @property
    def tokens(self) -> Mapping[str, str]:
        """Resource → the token itself, where the policy says `unsafe_raw_token`; else empty."""
        return self._access.tokens


def facts_from(told: Mapping[str, Any], access: Mapping[str, Any] | None) -> tuple[CallFacts, Access]:
    """Return the facts that a frame tells a worker, and the access in them, to be closed after the call."""
    made = Access() if access is None else DoorAccess(**access)
    return CallFacts(**told, _access=made), made


def tell_usage(call: CallFacts, **used: Any) -> None:
    """Have a worker tell the host what the attempt used of models, by the names of `Call.used`; the last word holds."""
    call._access.usage = used


_SERVED: ContextVar[CallFacts] = ContextVar("runner_call")


@contextmanager
def serving(call: CallFacts) -> Iterator[None]:
    """Make this the call that `current` returns, here and in tasks and threads that are begun with this context."""
    before = _SERVED.set(call)
    try:
        yield
    finally:
        _SERVED.reset(before)


def current() -> CallFacts:
    """Return the facts of the attempt that is served here. Raises RuntimeError: none is."""
    found = _SERVED.get(None)
    if found is None:
        raise RuntimeError("no attempt of an agent is served here")
    return found
