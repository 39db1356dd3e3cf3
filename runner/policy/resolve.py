"""Turn what a policy file says into a `Policy`: defaults filled in, schemas complete, contradictions refused.

The resolved form is canonical JSON of everything that a run depends on; its sha256 is the policy's digest. It names
references, never their values. Nothing named by an entry is imported or started here.

Not here: what may be written where (fields), reading files (load, files).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path as FolderPath
from typing import Any

from pydantic import ValidationError

from runner.errors import PolicyError
from runner.guest.wire import canonical
from runner.models import Json, Limits, digest_of
from runner.policy import resource_entries, served
from runner.policy.backends import BACKENDS, parallel_unless_written
from runner.policy.backends.base import BackendFields
from runner.policy.fields import AgentFields, LimitsFields, PolicyFields, RateFields, keys_at
from runner.policy.forms import resolved_form
from runner.policy.leaks import has_key_prefix, looks_like_key
from runner.policy.model import (
    DEFAULT_TIMEOUT_SECONDS,
    AgentEntry,
    Effects,
    Policy,
    Price,
    RateRule,
    ReviewRule,
    SandboxRule,
)
from runner.policy.problems import Problem, listed, meant, refuse, shown, translate, where
from runner.policy.schemas import ReadFile, SchemaRefused, resolve_schema
from runner.policy.source import Path, Source
from runner.policy.units import show_seconds

_MANDATORY = {
    "version": "write `version: 1` at the top",
    "description": "say in one line what the agent does: models and reviewers choose by it",
}

# A key of `limits` → the field of Limits.
_LIMITS = {
    "wall": "wall_seconds", "cpu": "cpu_seconds", "memory": "memory_bytes", "spawns": "spawns",
    "parallel": "parallel_spawns", "fallbacks": "fallbacks", "backoff": "backoff_seconds", "bytes_in": "bytes_in",
    "bytes_out": "bytes_out", "logged": "log_bytes", "frame": "frame_bytes", "token": "token_seconds",
    "cost_usd": "cost_usd", "model_tokens": "model_tokens",
}  # fmt: skip


_INHERITED = ("sandbox", "imports", "review", "risk", "providers")
"""What an inner policy has as the outer one, where it says nothing of it; limits likewise, each by itself."""


def resolve(
    source: Source, *, folder: FolderPath, name: str, read_file: ReadFile, within: Policy | None = None
) -> Policy:
    """Return the policy; one of a script agent is `within` another. Raises PolicyError that tells every problem."""
    fields = _validated(source)
    problems: list[Problem] = []
    limits = _limits(fields.limits, Limits() if within is None else within.limits)
    problems += _contradictions(fields, limits, source)
    problems += resource_entries.contradictions(fields, source)
    problems += served.contradictions(fields, source)
    imports = _imports(fields.imports, source, problems)
    agents = {}
    for agent, written in fields.agents.items():
        entry = _Entry(agent, written, source, limits, read_file, problems)
        agents[agent] = entry.resolved()
    if problems:
        refuse(problems)
    sandbox = SandboxRule(fields.sandbox.demand, fields.sandbox.unsafe_unverified_lock, fields.sandbox.runtime)
    policy = Policy(
        name=name, agents=agents, limits=limits, sandbox=sandbox, imports=imports, folder=folder, resolved="",
        digest="", resources=resource_entries.resources_of(fields), issuers=resource_entries.issuers_of(fields),
        providers={name: _rate(provider.rate) for name, provider in fields.providers.items()},
        risk=dict(fields.risk),
        review=ReviewRule(fields.review),
    )  # fmt: skip
    if within is not None:
        silent = [key for key in _INHERITED if key not in fields.model_fields_set]
        policy = replace(policy, **{key: getattr(within, key) for key in silent})
    resolved = canonical(resolved_form(fields, policy))
    told = tuple(_warnings(fields, policy, source))
    return replace(policy, resolved=resolved, digest=digest_of(resolved), warnings=told)


def _validated(source: Source) -> PolicyFields:
    if not isinstance(source.value, dict):
        hint = "a policy begins with `version: 1` and `agents:`; `runner init` writes one to start from"
        message = "the policy is empty" if source.value is None else f"the policy cannot be {shown(source.value)}"
        refuse([Problem(message, source.place(()), hint)])
    try:
        return PolicyFields.model_validate(source.value)
    except ValidationError as error:
        problems = []
        for one in error.errors(include_url=False):
            path = tuple(part for part in one["loc"] if part != "[key]")
            problems.append(translate(one, source.place(path), tuple(keys_at(path[:-1])), _MANDATORY))
        refuse(problems)


def _limits(fields: LimitsFields, unwritten: Limits) -> Limits:
    written = {_LIMITS[key]: value for key, value in fields if value is not None}
    limits = replace(unwritten, **written)
    if fields.frame is not None:
        return limits
    return replace(limits, frame_bytes=min(limits.frame_bytes, limits.bytes_in, limits.bytes_out))


def _contradictions(fields: PolicyFields, limits: Limits, source: Source) -> Iterator[Problem]:
    for key, most in (("bytes_in", limits.bytes_in), ("bytes_out", limits.bytes_out)):
        if limits.frame_bytes > most:
            path: Path = ("limits", "frame") if fields.limits.frame is not None else ("limits", key)
            message = f"limits: frame allows {limits.frame_bytes:,} bytes, and {key} only {most:,} for the whole run"
            yield Problem(message, source.place(path), f"lower frame to {most:,}, or raise {key}")
    backoff = fields.limits.backoff
    if backoff is not None and backoff > limits.wall_seconds:
        wall = show_seconds(limits.wall_seconds)
        message = f"limits: backoff allows a wait of {show_seconds(backoff)}; the whole run may take {wall} (wall)"
        yield Problem(message, source.place(("limits", "backoff")), f"lower backoff to {wall}, or raise wall")
    if fields.sandbox.runtime and fields.sandbox.demand != "docker":
        place = source.place(("sandbox", "runtime"))
        yield Problem('sandbox: runtime is docker\'s, and demand is "process"', place, "write `demand: docker`")
    if not fields.agents:
        hint = "name each agent that scripts may spawn, with a backend, `input` and `output`"
        if "agents" not in (source.value or {}):
            yield Problem('the policy has no "agents"', source.place(()), hint)


def _imports(written: list[str] | None, source: Source, problems: list[Problem]) -> frozenset[str] | None:
    if written is None:
        return None
    # RestrictedPython is only needed to know the modules' names.
    from runner.guest.dialect import MODULES

    for n, module in enumerate(written):
        if module not in MODULES:
            hint = meant(module, MODULES) or f"known: {', '.join(sorted(MODULES))}"
            problems.append(
                Problem(f"imports: the dialect has no module {shown(module)}", source.place(("imports", n)), hint)
            )
    return frozenset(written)


class _Entry:
    """One agent on its way from fields to an entry."""

    def __init__(
        self, name: str, fields: AgentFields, source: Source, limits: Limits, read_file: ReadFile,
        problems: list[Problem],
    ) -> None:  # fmt: skip
        self._name = name
        self._fields = fields
        self._source = source
        self._limits = limits
        self._read_file = read_file
        self._problems = problems
        self._file = source.place(("agents", name)).file

    def resolved(self) -> AgentEntry:
        """Return the entry; it is used only if no problem was found."""
        fields = self._fields
        backend, options = self._backend()
        rule, limit = BACKENDS[backend], self._limits.parallel_spawns
        timeout, max_timeout = self._timeouts()
        self._check_scopes()
        effects = Effects(fields.effects)
        isolation = self._isolation(backend)
        harmless = effects in (Effects.NONE, Effects.READ)
        return AgentEntry(
            name=self._name,
            description=fields.description,
            backend=backend,
            options=options,
            input_schema=self._schema("input"),
            output_schema=self._schema("output"),
            scopes=frozenset(fields.scopes),
            default_scopes=tuple(fields.default_scopes),
            timeout_seconds=timeout,
            max_timeout_seconds=max_timeout,
            parallel=fields.parallel or min(parallel_unless_written(backend, isolation) or limit, limit),
            effects=effects,
            idempotent=harmless if fields.idempotent is None else fields.idempotent,
            max_retries=fields.retries,
            unsafe_retry_unknown=fields.unsafe_retry_unknown,
            isolation=isolation,
            unsafe_same_uid=fields.unsafe_same_uid,
            unsafe_raw_token=fields.unsafe_raw_token,
            cost_usd=self._cost(),
            price=None if fields.price is None else Price(fields.price.input, fields.price.output),
            call_tokens=self._call_tokens(backend),
            rate=None if fields.rate is None else _rate(fields.rate),
            provider=fields.provider or ("" if "base_url" in options else rule.provider),
            trusted=fields.trusted,
            line=self._source.place(("agents", self._name)).line,
            file=self._file,
        )

    def _backend(self) -> tuple[str, dict[str, Any]]:
        fields = self._fields
        named = [name for name in BACKENDS if getattr(fields, name) is not None]
        if len(named) > 1:
            told = f"{', '.join(named[:-1])} and {named[-1]}"
            count = "two" if len(named) == 2 else str(len(named))
            self._wrong(f"has {count} backends, {told}", named[1], hint="keep one; make two agents of it")
        if not named:
            hint = 'add `python: "module:function"` or `command: [program, argument]`'
            self._wrong("has no backend", hint=f"{hint}, or one of {', '.join(list(BACKENDS)[2:])}")
        if fields.env is not None and fields.command is None:
            hint = "read the value in the python function itself"
            if fields.mcp is not None:
                hint = "write it under `mcp:`"
            self._wrong('has "env", which only a command has', "env", hint=hint)
        if fields.command is not None:
            return "command", {"argv": list(fields.command), "env": dict(fields.env or {})}
        written = getattr(fields, named[0]) if named else None
        if isinstance(written, BackendFields):
            return named[0], written.options()
        return "python", {"call": fields.python}

    def _isolation(self, backend: str) -> str:
        written, rule, keys = self._fields.isolation, BACKENDS[backend], getattr(self._fields, backend)
        fixed = keys.isolation() if isinstance(keys, BackendFields) else None
        isolation, may_be = (rule.isolation, rule.may_be) if fixed is None else (fixed, (fixed,))
        if written is None:
            return isolation
        # A command that says "none" has always been taken for one that says nothing.
        if written not in may_be and backend != "command":
            message = f'has isolation "{written}"; the backend {backend} has "{isolation}"'
            self._wrong(message, "isolation", hint="leave it out")
        return written

    def _call_tokens(self, backend: str) -> int | None:
        """Return how many model tokens one call may use at most. A budget needs to know before the call."""
        fields, limits = self._fields, self._limits
        written = getattr(fields, backend)
        most: int | None = fields.model_tokens
        if most is None and isinstance(written, BackendFields):
            most = written.most_tokens()
        is_model = backend in ("anthropic", "openai", "claude")
        if is_model and most is None and limits.model_tokens is not None:
            message = "may use any number of model tokens; limits has model_tokens, which is reserved before a call"
            self._wrong(message, hint="add `model_tokens:`, the most that one call may use")
        unpriced = self._cost() is None and (fields.price is None or most is None)
        if is_model and unpriced and limits.cost_usd is not None:
            message = "may cost anything; limits has cost_usd, which is reserved before a call"
            self._wrong(message, hint="add `cost:`, dollars of one call at most, or `price: {input: 3, output: 15}`")
        return most

    def _cost(self) -> float | None:
        """Return what one call may cost at most: as written, or as a claude's own budget holds it."""
        fields = self._fields
        return fields.cost if fields.cost is not None or fields.claude is None else fields.claude.budget_usd

    def _timeouts(self) -> tuple[float, float]:
        fields, wall = self._fields, self._limits.wall_seconds
        timeout = fields.timeout if fields.timeout is not None else min(DEFAULT_TIMEOUT_SECONDS, wall)
        if fields.timeout is None and fields.max_timeout is not None:
            timeout = min(timeout, fields.max_timeout)
        max_timeout = fields.max_timeout if fields.max_timeout is not None else timeout
        for key, seconds in (("timeout", fields.timeout), ("max_timeout", fields.max_timeout)):
            if seconds is not None and seconds > wall:
                message = (
                    f"may take {show_seconds(seconds)} ({key}); the whole run may take {show_seconds(wall)} (wall)"
                )
                self._wrong(message, key, hint=f"lower {key} to {show_seconds(wall)}, or raise wall")
        if timeout > max_timeout:
            message = f"has a timeout of {show_seconds(timeout)} above its max_timeout of {show_seconds(max_timeout)}"
            self._wrong(message, "timeout", hint=f"lower timeout to {show_seconds(max_timeout)}, or raise max_timeout")
        return timeout, max_timeout

    def _check_scopes(self) -> None:
        for key in ("scopes", "default_scopes"):
            written = getattr(self._fields, key)
            for n, scope in enumerate(written):
                if scope in written[:n]:
                    self._wrong(f'names scope "{scope}" twice in {key}', key, n, hint="name it once")
        for n, scope in enumerate(self._fields.default_scopes):
            if scope not in self._fields.scopes:
                message = f'gives scope "{scope}" by default; its scopes are {listed(self._fields.scopes)}'
                hint = meant(scope, self._fields.scopes) or f'add "{scope}" to scopes'
                self._wrong(message, "default_scopes", n, hint=hint)

    def _schema(self, key: str) -> Json:
        written = getattr(self._fields, key)
        if key == "output" and self._fields.unsafe_any_output:
            if written is not None:
                hint = "remove one of them"
                self._wrong("has an output schema and unsafe_any_output", "unsafe_any_output", hint=hint)
            return None
        if written is None:
            hint = f"add `{key}:` with a JSON Schema, inline or as the path of a file"
            self._wrong(f'has no "{key}"', hint=hint)
            return None
        try:
            return resolve_schema(written, self._read, inputs=key == "input")
        except SchemaRefused as error:
            at = f' of "{written}"' if isinstance(written, str) else ""
            hint = error.hint or "see json-schema.org, draft 2020-12"
            self._wrong(f"{key}{at}: {error}", key, *error.path, hint=hint)
        except PolicyError as error:
            # What this line asked for in vain needs no second place; what is wrong inside of a file keeps its own.
            message = error.message.removeprefix(f"{self._file}: ")
            self._wrong(f"{key}: {message}", key, hint=error.hint)
        return None

    def _read(self, path: str, file: str) -> tuple[str, Json]:
        return self._read_file(path, file or self._file)

    def _wrong(self, message: str, *path: str | int, hint: str) -> None:
        place = self._source.place(("agents", self._name, *path))
        self._problems.append(Problem(f'agent "{self._name}" {message}', place, hint))


def _rate(fields: RateFields) -> RateRule:
    return RateRule(fields.requests, fields.tokens)


def _warnings(fields: PolicyFields, policy: Policy, source: Source) -> Iterator[str]:
    for path, value in _texts(source.value, ()):
        # Randomness alone says little outside of a command and its environment: schemas hold patterns and digests.
        close_look = path[:1] == ("agents",) and bool({"env", "command", "headers"} & set(path[2:4]))
        if looks_like_key(value) if close_look else has_key_prefix(value):
            hint = "keep it elsewhere, and write env:NAME, file:PATH or {command: [...]}"
            yield _told(source, path, f"{where(path)} looks like a key; {hint}")
    if fields.sandbox.unsafe_unverified_lock:
        message = "sandbox: unsafe_unverified_lock runs scripts in guests whose lock nobody has seen"
        yield _told(source, ("sandbox", "unsafe_unverified_lock"), message)
    for name, agent in fields.agents.items():
        if agent.unsafe_any_output:
            message = f'agent "{name}": unsafe_any_output lets everything that it returns into the script'
            yield _told(source, ("agents", name, "unsafe_any_output"), message)
        if agent.unsafe_retry_unknown:
            does = "lets scripts try again what may have happened already"
            if policy.agents[name].idempotent:
                does = "does nothing here: the agent is idempotent, so no outcome of it is unknown"
            message = f'agent "{name}": unsafe_retry_unknown {does}'
            yield _told(source, ("agents", name, "unsafe_retry_unknown"), message)
    for path, message in (*resource_entries.warnings(policy, fields.agents), *served.warnings(policy, fields.agents)):
        yield _told(source, path, message)


def _told(source: Source, path: Path, message: str) -> str:
    place = source.place(path)
    return f"{place.file}:{place.line}: {message}"


def _texts(value: Json, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for n, item in enumerate(value):
            yield from _texts(item, (*path, n))
