"""The keys of a `script` agent: a run within this one."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from runner.models import Json
from runner.policy.backends.base import BackendFields

MAX_PATH_CHARS = 1000


def relative_file(value: Json) -> str:
    """Return the path of a file below the policy's folder. Raises ValueError that says what is allowed."""
    allowed = 'the path of a file, relative to the policy\'s folder, such as "summarise.py"'
    if not isinstance(value, str) or not 0 < len(value) <= MAX_PATH_CHARS or not value.isprintable():
        raise ValueError(allowed)
    return value


_File = Annotated[
    str,
    BeforeValidator(relative_file),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_PATH_CHARS}),
]


class ScriptFields(BackendFields):
    """Another script, run under a policy that gives nothing which this one does not give."""

    file: _File
    """The script; relative to the policy's folder."""
    policy: _File
    """Its policy; relative to the policy's folder. What it does not say of limits, sandbox, imports, review, risk and
    providers is as in this one."""
