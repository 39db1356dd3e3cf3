"""The gateway's connections to resources: to the address that was looked at, over TLS where the URL says so.

Redirects are not followed here.

Not here: which address may be (addresses), which request may leave (checks), what goes on it (account).
"""

from __future__ import annotations

import ipaddress
import logging
import ssl
from functools import partial

import httpcore2

from runner.credentials.addresses import NOT_LISTED, Pinned, may_reach

CONNECT_SECONDS = 10.0
# Of one host of a policy; a hundred attempts at once share them.
MOST_CONNECTIONS = 100
KEEPALIVE_SECONDS = 15.0

# At DEBUG it logs the headers of answers, in which a server may repeat a credential.
logging.getLogger("httpcore2").setLevel(logging.INFO)


class Upstreams:
    """Connections that are kept, by what a resource demands of them. One event loop."""

    def __init__(self) -> None:
        self._pools: dict[tuple[str, str, tuple[str, ...]], httpcore2.AsyncConnectionPool] = {}

    def pool(self, origin: str, ca: str, private: tuple[str, ...]) -> httpcore2.AsyncConnectionPool:
        """Return the connections to an origin, in these private networks (CIDR), its certificate of these authorities.

        One for each: a resource that answers nobody must not take the connections of others. Raises OSError,
        ssl.SSLError: the authorities' file cannot be used.
        """
        key = (origin, ca, private)
        found = self._pools.get(key)
        if found is None:
            networks = [ipaddress.ip_network(network) for network in private]
            found = self._pools[key] = httpcore2.AsyncConnectionPool(
                ssl_context=ssl.create_default_context(cafile=ca or None),
                max_connections=MOST_CONNECTIONS,
                max_keepalive_connections=MOST_CONNECTIONS,
                keepalive_expiry=KEEPALIVE_SECONDS,
                network_backend=Pinned(partial(may_reach, private=networks), NOT_LISTED),
            )
        return found

    async def close(self) -> None:
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.aclose()
