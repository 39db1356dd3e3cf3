"""The keys of an `http` agent: one request, one answer."""

from __future__ import annotations

from typing import Literal

from runner.policy.backends.base import BackendFields, Headers, Url


class HttpFields(BackendFields):
    """A service that is sent a spawn's inputs as JSON, and answers with JSON."""

    url: Url
    """Where the request goes."""
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: Headers | None = None
    """Headers of the request, beside those that runner sets; a value may be kept elsewhere (env:NAME)."""
