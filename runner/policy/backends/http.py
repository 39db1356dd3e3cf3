"""The keys of an `http` agent: one request, one answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from runner.models import Json
from runner.policy.backends.base import BackendFields, Contradiction, Headers, url
from runner.policy.templates import check, parse_url

WITH_BODY = ("POST", "PUT", "PATCH")
"""Methods whose request has the inputs as its body unless the policy says otherwise."""
# What runner and HTTP itself say; a policy that says it too would be two voices on one request.
_NOT_FREE = frozenset(
    {
        "host", "content-length", "content-type", "transfer-encoding", "connection", "te", "trailer", "upgrade",
        "expect", "accept-encoding", "cookie", "idempotency-key", "traceparent", "runner-deadline", "runner-key",
    }
)  # fmt: skip


def free_headers(headers: Headers | None) -> None:
    """Raise Contradiction where one of the headers is not a policy's to say, or cannot be sent."""
    seen: set[str] = set()
    for name, value in (headers or {}).items():
        low = name.lower()
        if low in _NOT_FREE or low.startswith("mcp-"):
            raise Contradiction(f"has the header {name}, which runner or the protocol sets\nremove it")
        if low in seen:
            raise Contradiction(f"has the header {name} twice\nremove one of them")
        if isinstance(value, str) and not (value.isascii() and value.isprintable()):
            raise Contradiction(f"has a header {name} that is not printable ASCII\ncorrect it")
        seen.add(low)


def _url(value: Json) -> str:
    text = url(value)
    parse_url(text)
    return text


def _pointer(value: Json) -> str:
    if not isinstance(value, str) or not value.startswith("/"):
        raise ValueError('a JSON pointer (RFC 6901) such as "/data/items"')
    return value


TemplateUrl = Annotated[str, BeforeValidator(_url), WithJsonSchema({"type": "string", "format": "uri-template"})]
Pointer = Annotated[str, BeforeValidator(_pointer), WithJsonSchema({"type": "string", "pattern": "^/"})]
Template = Annotated[Any, BeforeValidator(check), WithJsonSchema({})]


class HttpFields(BackendFields):
    """A service that is sent a spawn's inputs as JSON, and answers with JSON."""

    url: TemplateUrl
    """Where the request goes. `{inputs.name}` is a whole segment of its path."""
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    query: dict[Annotated[str, Field(min_length=1, max_length=200)], Template] | None = None
    """The query: names, and values such as "{inputs.name}"."""
    body: dict[str, Template] | None = None
    """The JSON body, with values such as "{inputs.name}"; the inputs whole unless written, with POST, PUT and PATCH."""
    headers: Headers | None = None
    """Headers of the request, beside those that runner sets; a value may be kept elsewhere (env:NAME)."""
    output_at: Pointer | None = None
    """JSON pointer of the output within the answer; the answer whole unless written."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        free_headers(self.headers)
        if self.method == "GET" and self.body is not None:
            raise Contradiction("has a body, which a GET has not\nwrite it under `query:`")
        if self.query is not None and "?" in self.url:
            raise Contradiction("has a query in its url and one under query\nmove all of it to `query:`")
        return self


def _short(value: Any) -> Any:
    """`http: https://...` says the URL alone."""
    return {"url": value} if isinstance(value, str) else value


Http = Annotated[HttpFields | None, BeforeValidator(_short, json_schema_input_type=HttpFields | str | None)]
