"""Say whether a literal looks like a key: a credential that belongs outside of the policy.

Two signs: the prefix that an issuer gives its keys so that they can be found in files, and randomness that no word,
path or name has. It errs on the side of a warning; nothing is refused because of it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise

# Prefixes as their issuers document them for scanning: OpenAI and Anthropic (sk-), Stripe (sk_live_, rk_live_),
# GitHub, GitLab, AWS access keys, Slack, Google, npm, PyPI, Hugging Face, DigitalOcean, SendGrid; a JWT's header.
_PREFIXED = re.compile(
    r"(?<![A-Za-z0-9])(?:sk-[A-Za-z0-9_-]{16,}|[sr]k_(?:live|test)_[A-Za-z0-9]{10,}|gh[pousr]_[A-Za-z0-9]{20,}"
    r"|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|A(?:KIA|SIA)[A-Z0-9]{12,}|xox[abeoprs]-[A-Za-z0-9-]{10,}"
    r"|AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{30,}"
    r"|hf_[A-Za-z0-9]{30,}|dop_v1_[a-f0-9]{40,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY|://[^/\s:@]+:[^/\s@]{3,}@"
)
_TOKEN = re.compile(r"[A-Za-z0-9+/_=.-]{20,}")

_SEPARATOR = re.compile(r"[/._=-]")

# Random letters and digits have 3.9 bits a character at length 16 and 4.5 at 32, random hex 3.4 to 3.9. Long camel-case
# names reach 3.9 too, but change between capital, small letter and digit at 3 of 10 places; random text at 6 of 10.
_RANDOM_BITS = 3.5
_RANDOM_CHANGES = 0.45
_RANDOM_HEX_BITS = 3.2
_HEX = re.compile(r"[0-9a-f]{32,}|[0-9A-F]{32,}")


def has_key_prefix(text: str) -> bool:
    """Say whether something in the text begins as well-known keys do."""
    return _PREFIXED.search(text) is not None


def looks_like_key(text: str) -> bool:
    """Say whether something in the text has a key's prefix or a key's randomness."""
    return has_key_prefix(text) or any(_random(found[0]) for found in _TOKEN.finditer(text[:10_000]))


def _random(token: str) -> bool:
    if _HEX.fullmatch(token):
        return _bits(token) > _RANDOM_HEX_BITS
    # Words in a path or a dotted name are not random, however long the whole is.
    part = max(_SEPARATOR.split(token), key=len)
    if len(part) < 16 or _bits(part) < _RANDOM_BITS:
        return False
    kinds = ["0" if letter.isdigit() else "A" if letter.isupper() else "a" for letter in part]
    changes = sum(one != other for one, other in pairwise(kinds))
    return len(set(kinds)) == 3 and changes > _RANDOM_CHANGES * (len(part) - 1)


def _bits(token: str) -> float:
    """Return the Shannon entropy of a token, in bits a character."""
    counts = Counter(token).values()
    return -sum(count / len(token) * math.log2(count / len(token)) for count in counts)
