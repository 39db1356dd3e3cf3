"""What the keys of every backend have in common, and the values that several of them take."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from runner.models import Json
from runner.policy.model import Reference
from runner.policy.values import VALUE_SCHEMA, import_path, kept_elsewhere

# One call may think in several turns; no agent of a script needs more of them than this.
MAX_TURNS = 100
MAX_MODEL_TOKENS = 10_000_000


class Contradiction(ValueError):
    """Keys that do not go together. The text follows the name of the mapping: `has url and command`; then the fix."""


class BackendFields(BaseModel):
    """The keys under a backend's own key."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def options(self) -> dict[str, Any]:
        """Return what the backend needs, as it stands in `AgentEntry.options`: JSON, and references as they are.

        What was not written, and has no meaning of its own, is left out: a key that a later version adds changes no
        digest of a policy that says nothing of it.
        """
        return {name: _plain(value) for name, value in self if value is not None and value != _default(self, name)}

    def most_tokens(self) -> int | None:
        """Return how many model tokens one call may use at most, beside its inputs; None where nobody can say."""
        return None

    def isolation(self) -> str | None:
        """Return the one isolation that these keys have; None where it is the backend's own."""
        return None


def _default(fields: BaseModel, name: str) -> Any:
    return type(fields).model_fields[name].get_default(call_default_factory=True)


def _plain(value: Any) -> Any:
    if isinstance(value, BackendFields):
        return value.options()
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value


def credential(value: Json) -> Reference:
    """Return where a credential is kept. Raises ValueError: it stands in the policy itself."""
    allowed = '"env:NAME", "file:PATH" or {command: [...]}: a credential is kept outside of the policy'
    found = kept_elsewhere(value)
    if not isinstance(found, Reference):
        raise ValueError(allowed)
    return found


def url(value: Json) -> str:
    """Return a URL that a call is sent to. Raises ValueError that says what is allowed."""
    allowed = 'a URL such as "https://agents.example/score"'
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(allowed)
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - it raises for what is no number
    except ValueError:
        raise ValueError(allowed) from None
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.fragment:
        raise ValueError(allowed)
    if "@" in parts.netloc:
        raise ValueError(f"{allowed}, without a user\nput the credential under `headers:` or `api_key:`, by reference")
    return value


Url = Annotated[str, BeforeValidator(url), WithJsonSchema({"type": "string", "format": "uri"})]
Credential = Annotated[Any, BeforeValidator(credential), WithJsonSchema(VALUE_SCHEMA)]
KeptValue = Annotated[Any, BeforeValidator(kept_elsewhere), WithJsonSchema(VALUE_SCHEMA)]
ImportPath = Annotated[
    str, BeforeValidator(import_path), WithJsonSchema({"type": "string", "pattern": "^[^:]+:[^:]+$"})
]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$")]
Headers = dict[HeaderName, KeptValue]
ModelName = Annotated[str, Field(min_length=1, max_length=200)]
SystemText = Annotated[str, Field(max_length=100_000)]
Turns = Annotated[int, Field(ge=1, le=MAX_TURNS)]
ModelTokens = Annotated[int, Field(ge=1, le=MAX_MODEL_TOKENS)]
