"""YAML to `Policy` and back: resolve, digest, explain what is wrong where.

Loading a policy imports no backend, starts no command and opens no connection: reviewing one must not execute it.

    source      text → values and lines        fields     what may be written where
    load        files, includes                resolve    fields → Policy, contradictions, digest
    schemas     agents' JSON Schemas           references values that are kept elsewhere, read at use
"""

from __future__ import annotations

from runner.policy.fields import policy_schema
from runner.policy.load import find_policy, load_policy, load_policy_text

__all__ = ["find_policy", "load_policy", "load_policy_text", "policy_schema"]
