"""Signatures of policies: a file beside a policy that says that a key's owner stands for it as it is now.

The file "POLICY.signature" is one signed statement (runner.signing): kind ("runner policy"), version, policy (its
name), digest (of its resolved form). It is made anew when the policy changes.

Not here: whose signature lets a policy be used (trust).
"""

from __future__ import annotations

import json
from pathlib import Path

from runner.errors import RecordBroken
from runner.guest.wire import canonical
from runner.policy.model import Policy
from runner.review.keys import ReviewerKey
from runner.signing import unsealed

SUFFIX = ".signature"
KIND = "runner policy"
MAX_BYTES = 16 * 1024


def sign_policy(policy: Policy, key: ReviewerKey) -> str:
    """Return the signature file of a policy."""
    said = {"kind": KIND, "version": 1, "policy": policy.name, "digest": policy.digest}
    return key.key.seal(canonical(said))


def signers(policy: Policy) -> frozenset[str]:
    """Return the fingerprints of the keys that have signed a policy as it is: one at most, none where it has no file.

    A signature that is broken, or of another policy, is none: what it would have allowed stays refused.
    """
    if not policy.file:
        return frozenset()
    try:
        with Path(policy.file + SUFFIX).open("rb") as file:
            sealed = unsealed(file.read(MAX_BYTES))
        fingerprint = sealed.signer()
        said = json.loads(sealed.statement)
    except (OSError, ValueError, RecordBroken, RecursionError):
        return frozenset()
    good = isinstance(said, dict) and said.get("kind") == KIND and said.get("version") == 1
    return frozenset({fingerprint}) if good and said.get("digest") == policy.digest else frozenset()
