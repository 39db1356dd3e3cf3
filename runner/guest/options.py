"""The options of the API: `Retry`, `Fallback`, and the checks of what stands in `spawn(...)` and `gather(...)`.

A mistake is refused at its line with what to write instead. A bool is no number, a text is no list.

Not here: what the host makes of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from runner.guest.dialect.composing import Composable
from runner.guest.errors import SpawnError
from runner.guest.values import NotJson, exact
from runner.guest.wire import (
    MAX_ACCEPT_CHARS,
    MAX_FALLBACKS,
    MAX_LABEL_CHARS,
    MAX_NAME_CHARS,
    MAX_RETRIES,
    MAX_SCOPES,
    RETRIED,
    Json,
    NextAgent,
    RetryRule,
    canonical,
)

# About 31 years: more than any clock of the host has to hold.
_MAX_SECONDS = 1e9
_DEFAULT_ON = ("timed_out", "failed", "invalid_output")


@dataclass(frozen=True, slots=True, match_args=False)
class Retry:
    """How to try again. `attempts` counts the further ones."""

    attempts: int = 1
    backoff: float = 1.0
    max_backoff: float = 30.0
    on: tuple[str, ...] = _DEFAULT_ON

    def __post_init__(self) -> None:
        _whole(self.attempts, "Retry(attempts=...)")
        object.__setattr__(self, "backoff", seconds(self.backoff, "Retry(backoff=...)"))
        object.__setattr__(self, "max_backoff", seconds(self.max_backoff, "Retry(max_backoff=...)"))
        object.__setattr__(self, "on", _kinds(self.on))


@dataclass(frozen=True, slots=True, match_args=False, init=False)
class Fallback:
    """Another agent to try, with scopes of its own."""

    agent: str
    scopes: tuple[str, ...] | None

    def __init__(self, agent: str, *, scopes: Iterable[str] | None = None) -> None:
        object.__setattr__(self, "agent", agent_name(agent, "Fallback()"))
        object.__setattr__(self, "scopes", scope_list(scopes))


def agent_name(agent: object, where: str) -> str:
    """Return the name of an agent. A text of a class of the script, such as a StrEnum, is one."""
    if not isinstance(agent, str):
        raise TypeError(f"{where} takes the name of an agent first, not {a(agent)}")
    name = str.__str__(agent)
    if not 0 < len(name) <= MAX_NAME_CHARS:
        raise ValueError(f"an agent's name has 1 to {MAX_NAME_CHARS} characters")
    return name


def label_text(label: object) -> str | None:
    if label is None:
        return None
    if not isinstance(label, str):
        more = "" if isinstance(label, Composable) else ": write label=str(...)"
        raise TypeError(f"label= takes a text, not {a(label)}{more}")
    text = str.__str__(label)
    if len(text) > MAX_LABEL_CHARS:
        raise ValueError(f"label= takes a text of at most {MAX_LABEL_CHARS} characters")
    return text


def scope_list(scopes: object) -> tuple[str, ...] | None:
    """Return the scopes, or None for the agent's default. Those of a set are sorted."""
    if scopes is None:
        return None
    if isinstance(scopes, str):
        raise TypeError(f"scopes= takes a list of texts: write scopes=[{scopes!r}]")
    if isinstance(scopes, Composable) or not isinstance(scopes, Iterable):
        raise TypeError(f"scopes= takes a list of texts, not {a(scopes)}")
    plain: list[str] = []
    for scope in scopes:
        text = str.__str__(scope) if isinstance(scope, str) else ""
        if not 0 < len(text) <= MAX_NAME_CHARS:
            raise TypeError(f"a scope is a text of 1 to {MAX_NAME_CHARS} characters, not {a(scope)}")
        plain.append(text)
    if len(plain) > MAX_SCOPES:
        raise ValueError(f"scopes= takes at most {MAX_SCOPES} scopes")
    return tuple(sorted(plain) if isinstance(scopes, (set, frozenset)) else plain)


def seconds(value: object, name: str, *, above_zero: bool = False) -> float:
    # A bool is an int to Python, but nobody means one second by True.
    if type(value) is not int and type(value) is not float:
        more = ": write .total_seconds() behind it" if type(value).__name__ == "timedelta" else ""
        raise TypeError(f"{name} takes seconds as a number, not {a(value)}{more}")
    if not 0 <= value <= _MAX_SECONDS or (above_zero and value == 0):
        shown = "that many" if type(value) is int and value > _MAX_SECONDS else repr(value)
        raise ValueError(f"{name} takes seconds {'above' if above_zero else 'from'} 0, not {shown}")
    return float(value)


def retry_rule(retry: object) -> RetryRule | None:
    """Return how to try again; None for not at all."""
    if isinstance(retry, Retry):
        return RetryRule(retry.attempts, retry.backoff, retry.max_backoff, retry.on)
    if retry is None or (type(retry) is int and retry == 0):
        return None
    if type(retry) is not int:
        raise TypeError(f"retry= takes how many further attempts, as in retry=2, or Retry(...), not {a(retry)}")
    made = Retry(_whole(retry, "retry="))
    return RetryRule(made.attempts, made.backoff, made.max_backoff, made.on)


def _whole(value: object, name: str) -> int:
    if type(value) is not int:
        raise TypeError(f"{name} takes how many further attempts, not {a(value)}")
    if not 0 <= value <= MAX_RETRIES:
        raise ValueError(f"{name} takes 0 to {MAX_RETRIES} further attempts")
    return value


def _kinds(on: object) -> tuple[str, ...]:
    if isinstance(on, str):
        raise TypeError(f"Retry(on=...) takes a list of kinds: write on=[{on!r}]")
    if isinstance(on, Composable) or not isinstance(on, Iterable):
        raise TypeError(f"Retry(on=...) takes a list of kinds, not {a(on)}")
    found = []
    for kind in on:
        if isinstance(kind, type) and issubclass(kind, SpawnError) and kind.kind in RETRIED:
            raise TypeError(f'Retry(on=...) takes kinds as texts: write "{kind.kind}" for {kind.__name__}')
        text = str.__str__(kind) if isinstance(kind, str) else ""
        if text not in RETRIED:
            shown = repr(text) if isinstance(kind, str) and len(text) < MAX_NAME_CHARS else a(kind)
            raise ValueError(f"Retry(on=...) takes {', '.join(RETRIED)}; it found {shown}")
        found.append(text)
    return tuple(sorted(found, key=RETRIED.index) if isinstance(on, (set, frozenset)) else found)


def fallbacks(fallback: object) -> tuple[NextAgent, ...]:
    """Return the agents to try after the first, in order."""
    if fallback is None:
        return ()
    if isinstance(fallback, (str, Fallback)):
        fallback = (fallback,)
    if isinstance(fallback, (set, frozenset)):
        raise TypeError("fallback= takes agents in order, and a set has none: write a list")
    if isinstance(fallback, (Composable, dict)) or not isinstance(fallback, Iterable):
        raise TypeError(f"fallback= takes an agent's name, Fallback(...) or a list of them, not {a(fallback)}")
    found = [
        NextAgent(one.agent, one.scopes) if isinstance(one, Fallback) else NextAgent(agent_name(one, "fallback="))
        for one in fallback
    ]
    if len(found) > MAX_FALLBACKS:
        raise ValueError(f"fallback= takes at most {MAX_FALLBACKS} agents")
    return tuple(found)


def schema(accept: object, max_nodes: int) -> Json:
    """Return the JSON Schema of `accept=`; None for no further demand."""
    if accept is None:
        return None
    if type(accept) is not dict and type(accept) is not bool:
        example = 'accept={"required": ["summary"]}'
        raise TypeError(f"accept= takes a JSON Schema, such as {example}, not {a(accept)}")
    try:
        accept = exact(accept, "accept", max_nodes)
        size = len(canonical(accept))
    except NotJson as refused:
        raise TypeError(f"accept= takes a JSON Schema: {refused.reason}") from None
    except ValueError:
        raise ValueError("accept= takes a JSON Schema, and a text or number in it cannot be sent") from None
    if size > MAX_ACCEPT_CHARS:
        raise ValueError(f"accept= takes a JSON Schema of at most {MAX_ACCEPT_CHARS} characters, not {size}")
    return accept


def share(value: object, total: int, name: str) -> int:
    """Return how many of `total` an int (a count) or a float (a fraction, rounded up) asks for."""
    if type(value) is float:
        if not 0 < value <= 1:
            raise ValueError(f"{name}= takes a fraction above 0 and up to 1, or a whole number, not {value!r}")
        # 0.7 * 10 is 7.000000000000001.
        return math.ceil(round(value * total, 9))
    if type(value) is not int:
        raise TypeError(f"{name}= takes a whole number or a fraction such as 0.5, not {a(value)}")
    if value < 0:
        raise ValueError(f"{name}= takes a whole number from 0, or a fraction such as 0.5")
    if value > total:
        raise ValueError(f"{name}= asks for more than the {total} handles that were given")
    return value


def a(value: object) -> str:
    """Return what a value is, for a message."""
    if isinstance(value, Composable):
        return "a handle"
    if value is None:
        return "None"
    name = type(value).__name__
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"
