"""Whether one policy gives more authority than another: each difference, and what it means.

The resolved forms are compared, field by field. What is not known here, and what cannot be shown to be less, counts as
widened: a field that a later version adds is told as changed until somebody says what it means.

Not compared is what a policy does not hold: the code of agents, but for what a lock says of it, and the folder against
which names resolve.

Not here: how values are compared (comparing), how a difference is shown (cli, review).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields

from runner.guest.wire import canonical
from runner.models import Json, Limits
from runner.policy import comparing
from runner.policy.comparing import Compare, Kind, Told, shown
from runner.policy.model import AgentEntry, Effects, Policy

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyDifference:
    """One thing in which two policies differ. Texts are as they were archived: not clean."""

    path: Path
    """Where it stands in the resolved form."""
    kind: Kind
    message: str
    before: Json = None
    after: Json = None


@dataclass(frozen=True, slots=True)
class PolicyDiff:
    """All in which a policy differs from another: limits first, agents last."""

    entries: tuple[PolicyDifference, ...]

    @property
    def widens(self) -> bool:
        """Whether authority is widened, or changed in a way that is not shown to narrow it."""
        return any(entry.kind in (Kind.WIDENED, Kind.CHANGED) for entry in self.entries)

    def of(self, kind: Kind) -> tuple[PolicyDifference, ...]:
        """Return the differences of one kind."""
        return tuple(entry for entry in self.entries if entry.kind is kind)


def policy_diff(old: Policy, new: Policy) -> PolicyDiff:
    """Return in what `new` differs from `old`, and whether it gives more. Pure."""
    if old.digest == new.digest:
        return PolicyDiff(())
    one, other = json.loads(old.resolved), json.loads(new.resolved)
    found = tuple(_fields((), "", one, other, _TOP, _TOP_DEFAULTS))
    if not found:
        # A digest that differs is never called equal for want of words.
        found = (PolicyDifference((), Kind.CHANGED, "the policies differ in what is not compared"),)
    return PolicyDiff(found)


# --- walking -------------------------------------------------------------------------------------


def _fields(
    path: Path, called: str, was: Mapping[str, Json], now: Mapping[str, Json], table: Mapping[str, _Field],
    defaults: Mapping[str, Json],
) -> Iterator[PolicyDifference]:  # fmt: skip
    """Yield the differences of one mapping, of which each field has a row in the table."""
    for name in dict.fromkeys([*table, *was, *now]):
        before, after = was.get(name, defaults.get(name)), now.get(name, defaults.get(name))
        if canonical(before) == canonical(after):
            continue
        word, compare = table.get(name, (name, comparing.changed))
        if isinstance(compare, _Within):
            yield from compare.told((*path, name), before or {}, after or {})
        else:
            found = list(compare(word, before, after))
            if not found and compare is not _lock:
                found = [(Kind.EQUAL, f"{word} has another order", before, after)]
            yield from _told((*path, name), called, found)


def _told(path: Path, called: str, found: Iterable[Told]) -> Iterator[PolicyDifference]:
    for kind, words, before, after in found:
        yield PolicyDifference(path, kind, f"{called}: {words}" if called else words, before, after)


class _Within:
    """Compares a mapping by a table of its own."""

    def __init__(self, called: str, table: Mapping[str, _Field], defaults: Mapping[str, Json]) -> None:
        self._called = called
        self._table = table
        self._defaults = defaults

    def told(self, path: Path, was: Json, now: Json) -> Iterator[PolicyDifference]:
        yield from _fields(path, self._called, was, now, self._table, self._defaults)


class _Named(_Within):
    """Compares a mapping of named entries, such as agents: each one gives something."""

    def told(self, path: Path, was: Json, now: Json) -> Iterator[PolicyDifference]:
        for name in [*was, *(key for key in now if key not in was)]:
            called = f'{self._called} "{name}"'
            if name not in was:
                words = f"{called} is new{self.introduced(now[name])}"
                yield PolicyDifference((*path, name), Kind.WIDENED, words, None, now[name])
            elif name not in now:
                yield PolicyDifference((*path, name), Kind.NARROWED, f"{called} is gone", was[name], None)
            else:
                yield from self.both((*path, name), called, was[name], now[name])

    def introduced(self, form: Json) -> str:
        """Return what is said of a new one."""
        return f": {form.get('url', '')}"

    def both(self, path: Path, called: str, was: Json, now: Json) -> Iterator[PolicyDifference]:
        yield from _fields(path, called, was, now, self._table, self._defaults)


class _Agents(_Named):
    """Compares agents. What they say of their effects is believed: it is compared together with their code."""

    def introduced(self, form: Json) -> str:
        scopes = ", ".join(f'"{scope}"' for scope in form.get("scopes", ())) or "none"
        return f": effects {form.get('effects')}, scopes {scopes}"

    def both(self, path: Path, called: str, was: Json, now: Json) -> Iterator[PolicyDifference]:
        same_code = all(canonical(was.get(key)) == canonical(now.get(key)) for key in ("backend", "options"))
        plain = {key: value for key, value in was.items() if key not in ("options", "effects")}
        others = {key: value for key, value in now.items() if key not in ("options", "effects")}
        yield from _fields(path, called, plain, others, self._table, self._defaults)
        before, after = was.get("options", {}), now.get("options", {})
        if "within" in before and "within" in after:
            yield from _script((*path, "options"), called, before, after)
        else:
            yield from _told((*path, "options"), called, _code(before, after))
        if was.get("effects") != now.get("effects"):
            yield from _told((*path, "effects"), called, _effects(was.get("effects"), now.get("effects"), same_code))


# --- what has more than a value ------------------------------------------------------------------


def _code(was: Mapping[str, Json], now: Mapping[str, Json]) -> Iterator[Told]:
    """Yield what is other in how an agent is reached: other code, or the same that is told other things."""
    for key in [*was, *(name for name in now if name not in was)]:
        before, after = was.get(key), now.get(key)
        if canonical(before) == canonical(after):
            continue
        if key == "env" and isinstance(before or {}, dict) and isinstance(after or {}, dict):
            yield from _variables(before or {}, after or {})
        else:
            word = {"call": "python", "argv": "command"}.get(key, key)
            yield Kind.CHANGED, f"other code: {word} is {shown(after)}, was {shown(before)}", before, after


def _script(path: Path, called: str, was: Mapping[str, Json], now: Mapping[str, Json]) -> Iterator[PolicyDifference]:
    """Yield what is other in a script agent: its script, and its policy part by part."""
    for key, word in (("file", "script file"), ("policy", "policy file")):
        if was.get(key) != now.get(key):
            words = f"{called}: {word} is {shown(now.get(key))}, was {shown(was.get(key))}"
            yield PolicyDifference((*path, key), Kind.EQUAL, words, was.get(key), now.get(key))
    if was.get("source") != now.get("source"):
        words = f"{called}: other code: script {shown(now.get('script_digest'))}, was {shown(was.get('script_digest'))}"
        yield PolicyDifference((*path, "source"), Kind.CHANGED, words, was.get("source"), now.get("source"))
    yield from _fields((*path, "within"), f"{called}, within", was["within"], now["within"], _TOP, _TOP_DEFAULTS)


def _variables(was: Mapping[str, Json], now: Mapping[str, Json]) -> Iterator[Told]:
    """Yield the variables that differ, by name: a value may be what nobody should read."""
    for name in [*was, *(key for key in now if key not in was)]:
        before, after = was.get(name), now.get(name)
        if before != after:
            what = "is new" if before is None else "is gone" if after is None else "has another value"
            yield Kind.CHANGED, f'variable "{name}" {what}', before, after


_WEAKEST_FIRST = [str(effect) for effect in Effects]


def _effects(was: Json, now: Json, same_code: bool) -> Iterator[Told]:
    words = f"effects {shown(now)} are declared, were {shown(was)}"
    if was not in _WEAKEST_FIRST or now not in _WEAKEST_FIRST:
        yield Kind.CHANGED, words, was, now
    elif _WEAKEST_FIRST.index(now) < _WEAKEST_FIRST.index(was):
        same = "of the same code" if same_code else "of other code"
        yield Kind.WIDENED, f"{words}: less is feared {same}", was, now
    elif same_code:
        yield Kind.NARROWED, f"{words}: more is feared of the same code", was, now
    else:
        yield Kind.WIDENED, f"{words}: other code does more", was, now


def _attached(word: str, was: Json, now: Json) -> Iterator[Told]:
    before, after = ("the attempt's token" if form is None else f"its own {form['header']}" for form in (was, now))
    yield Kind.WIDENED, f"requests carry {after}, carried {before}: other authority", was, now


def _lock(word: str, was: Json, now: Json) -> Iterator[Told]:
    """Yield what a lock holds otherwise. Agents that are new or gone are told as such."""
    if was is None or now is None:
        kind, words = (Kind.NARROWED, "is new: other code is refused") if was is None else (
            Kind.WIDENED, "is gone: any code is taken")  # fmt: skip
        yield kind, f"{word} {words}", None, None
        return
    before, after = was.get("agents", {}), now.get("agents", {})
    for name in before:
        if name in after and canonical(before[name]) != canonical(after[name]):
            facts, others = before[name].get("facts", {}), after[name].get("facts", {})
            differing = [key for key in [*facts, *others] if facts.get(key) != others.get(key)]
            told = ", ".join(dict.fromkeys(differing)) or "its schemas"
            yield Kind.CHANGED, f'{word} has other code of agent "{name}": {told}', before[name], after[name]
    if was.get("version") != now.get("version"):
        yield Kind.CHANGED, f"{word} is of version {now.get('version')}, was of {was.get('version')}", None, None


# --- the tables ----------------------------------------------------------------------------------

_Field = tuple[str, Compare | _Within]
"""How a field is called, as in a policy's file, and how it is compared."""

_FLAG = comparing.ranked(False, True)
_HELD = comparing.ranked(True, False)

_LIMITS: dict[str, _Field] = {
    "wall_seconds": ("wall", comparing.longer),
    "cpu_seconds": ("cpu", comparing.longer),
    "memory_bytes": ("memory", comparing.larger),
    "spawns": ("spawns", comparing.more),
    "parallel_spawns": ("parallel", comparing.more),
    "fallbacks": ("fallbacks", comparing.more),
    "backoff_seconds": ("backoff", comparing.longer),
    "bytes_in": ("bytes_in", comparing.larger),
    "bytes_out": ("bytes_out", comparing.larger),
    "log_bytes": ("logged", comparing.larger),
    "frame_bytes": ("frame", comparing.larger),
    "token_seconds": ("token", comparing.longer),
    "cost_usd": ("cost_usd", comparing.bound),
    "model_tokens": ("model_tokens", comparing.bound),
}
_SANDBOX: dict[str, _Field] = {
    "demand": ("demand", comparing.ranked("docker", "process")),
    "runtime": ("runtime", comparing.changed),
    "unsafe_unverified_lock": ("unsafe_unverified_lock", _FLAG),
}
_AGENT: dict[str, _Field] = {
    "description": ("description", comparing.worded),
    "backend": ("backend", comparing.changed),
    "input_schema": ("input", comparing.takes),
    "output_schema": ("output", comparing.passes),
    "scopes": ("scopes", comparing.members),
    "default_scopes": ("default_scopes", comparing.members),
    "timeout_seconds": ("timeout", comparing.longer),
    "max_timeout_seconds": ("max_timeout", comparing.longer),
    "parallel": ("parallel", comparing.more),
    "idempotent": ("idempotent", _FLAG),
    "max_retries": ("retries", comparing.more),
    "unsafe_retry_unknown": ("unsafe_retry_unknown", _FLAG),
    "isolation": ("isolation", comparing.ranked("process", "none")),
    "unsafe_same_uid": ("unsafe_same_uid", _FLAG),
    "unsafe_raw_token": ("unsafe_raw_token", _FLAG),
    "cost_usd": ("cost", comparing.costs),
    "price": ("price", comparing.changed),
    "call_tokens": ("model_tokens", comparing.bound),
    "rate": ("rate", comparing.rates),
    "provider": ("provider", comparing.other),
    "trusted": ("trusted", _FLAG),
}
_RESOURCE: dict[str, _Field] = {
    "url": ("url", comparing.other),
    "audience": ("audience", comparing.other),
    "issuer": ("issuer", comparing.other),
    "credential": ("credential", _attached),
    "scopes": ("scopes", comparing.scope_rules),
    "details": ("details", comparing.changed),
    "private": ("private", comparing.networks),
    "ca": ("ca", comparing.other),
    "record": ("record", comparing.kept),
}
_ISSUER: dict[str, _Field] = {
    "url": ("url", comparing.other),
    "client_id": ("client_id", comparing.other),
    "auth": ("auth", comparing.changed),
    "credential": ("credential", comparing.other),
    "grant": ("grant", comparing.other),
    "subject": ("subject", comparing.other),
    "max_seconds": ("max_lifetime", comparing.longer),
    "per_second": ("per_second", comparing.more),
    "revoke": ("revoke", _HELD),
    "private": ("private", comparing.networks),
    "ca": ("ca", comparing.other),
}
# What an archived form of an earlier version may lack.
_AGENT_DEFAULTS = {
    field.name: str(field.default) if isinstance(field.default, Effects) else field.default
    for field in fields(AgentEntry)
    if field.name in _AGENT and isinstance(field.default, (bool, int, float, str, type(None)))
}
_TOP: dict[str, _Field] = {
    "description": ("description", comparing.worded),
    "limits": ("limits", _Within("limits", _LIMITS, asdict(Limits()))),
    "sandbox": ("sandbox", _Within("sandbox", _SANDBOX, {})),
    "imports": ("imports", comparing.modules),
    "resources": ("resources", _Named("resource", _RESOURCE, {})),
    "issuers": ("issuers", _Named("issuer", _ISSUER, {})),
    "agents": ("agents", _Agents("agent", _AGENT, _AGENT_DEFAULTS)),
    "providers": ("rate of provider", comparing.providers),
    "risk": ("risk", comparing.levels),
    "lock": ("lock", _lock),
    "review": ("review", comparing.ranked("required", "when_flagged", "none")),
}
_TOP_DEFAULTS: dict[str, Json] = {
    "resources": {}, "issuers": {}, "providers": {}, "risk": {}, "lock": None, "review": "none",
}  # fmt: skip
