"""The gateway's connections to resources: to the address that was looked at, over TLS where the URL says so.

A host name is resolved once for a connection; the addresses that may not be are left out, and the connection goes to
one of the rest. Proxy variables are ignored, redirects are not followed here.

Not here: which request may leave (door), what goes on it (account).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections.abc import Iterable

import httpcore2

CONNECT_SECONDS = 10.0
# Of one host of a policy; a hundred attempts at once share them.
MOST_CONNECTIONS = 100
KEEPALIVE_SECONDS = 15.0

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# At DEBUG it logs the headers of answers, in which a server may repeat a credential.
logging.getLogger("httpcore2").setLevel(logging.INFO)


class AddressRefused(OSError):
    """A host name leads to private addresses only, and the policy lists none of them. Nothing was sent."""


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
            found = self._pools[key] = httpcore2.AsyncConnectionPool(
                ssl_context=ssl.create_default_context(cafile=ca or None),
                max_connections=MOST_CONNECTIONS,
                max_keepalive_connections=MOST_CONNECTIONS,
                keepalive_expiry=KEEPALIVE_SECONDS,
                network_backend=_Pinned(private),
            )
        return found

    async def close(self) -> None:
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.aclose()


class _Pinned(httpcore2.AsyncNetworkBackend):
    """Connects to an address that was resolved and looked at here, not to a name that is resolved again."""

    def __init__(self, private: Iterable[str]) -> None:
        self._private = [ipaddress.ip_network(network) for network in private]
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await self._resolved(host, port)
        failure: Exception | None = None
        for address in addresses:
            try:
                # Without TCP_NODELAY a small request waits 40 ms for an acknowledgement.
                return await self._backend.connect_tcp(
                    str(address), port, timeout, local_address, [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure

    async def _resolved(self, host: str, port: int) -> list[Address]:
        """Return the addresses that may be connected to. Raises AddressRefused, httpcore2.ConnectError."""
        try:
            found: list[Address] = [ipaddress.ip_address(host.strip("[]"))]
        except ValueError:
            try:
                infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except OSError as error:
                raise httpcore2.ConnectError(f"cannot resolve: {error.strerror or error}") from None
            # A link-local address has its interface behind a percent sign.
            found = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in infos]
        allowed = [address for address in dict.fromkeys(found) if may_reach(address, self._private)]
        if not allowed:
            raise AddressRefused("its host leads to private addresses that the policy does not list")
        return allowed

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        raise AddressRefused("a resource is no unix socket")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def may_reach(address: Address, private: Iterable[Network]) -> bool:
    """Say whether an address is public, or of a network that is listed. IPv6 forms of IPv4 count as that."""
    plain = _unwrapped(address)
    if any(one in network for network in private for one in (address, plain) if one.version == network.version):
        return True
    if plain in _RELAYS or (plain.version == 6 and plain.is_site_local):
        return False
    return plain.is_global and not plain.is_multicast and not plain.is_reserved


def _unwrapped(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


# RFC 7526: relays of 6to4, which lead wherever their address says.
_RELAYS = ipaddress.IPv4Network("192.88.99.0/24")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
