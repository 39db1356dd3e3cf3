"""Credentials: one scoped, short-lived token for each attempt, used through a gateway, every use accounted for.

    keys       the signing keys of the embedded issuer, in the home
    issuer     the embedded issuer: ES256 `at+jwt` (RFC 9068)
    exchange   a client of external authorization servers (RFC 6749, 7009, 7662, 8414, 8693, 9396)
    revoker    the process that holds live external tokens, and revokes them when the host dies
    addresses  where a credential may be sent to
    ledger     what becomes of each token of a run: intent, issue, uses, close
    selection  which tokens somebody wants to be revoked
    gateway    the door through which an agent reaches a resource
    service    what `runner issuer serve` serves to resource servers
    verify     for resource servers that validate tokens themselves

Importing this module loads none of them.

Not here: what a policy grants (policy.grants), what the record says (events.tokens), when an attempt starts (broker).
"""
