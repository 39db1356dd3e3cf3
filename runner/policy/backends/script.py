"""The keys of a `script` agent: a run within this one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runner.policy.backends.base import BackendFields


class ScriptFields(BackendFields):
    """Another script, run under a policy that gives nothing which this one does not give."""

    file: Annotated[str, Field(min_length=1, max_length=1000)]
    """The script; relative to the policy's folder."""
    policy: Annotated[str, Field(min_length=1, max_length=1000)]
    """Its policy; relative to the policy's folder."""
