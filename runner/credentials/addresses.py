"""Where the host may connect to with a credential, and a connection that goes to the address that was looked at.

A name is resolved once for a connection; the addresses that may not be are left out, and the connection goes to one
of the rest. Proxy variables are not looked at.

Not here: requests (gateway.passage, sending).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable

import httpcore2

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NOT_LISTED = "its host leads to private addresses that the policy does not list"


class AddressRefused(OSError):
    """A host leads to no address that may be connected to. Nothing was sent."""


class Pinned(httpcore2.AsyncNetworkBackend):
    """Connects to an address that was resolved and looked at here, not to a name that is resolved again."""

    def __init__(self, may: Callable[[Address], bool], why_not: str) -> None:
        """`may` says of an address whether it may be connected to; `why_not` is told where none may."""
        self._may = may
        self._why_not = why_not
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        failure: Exception = httpcore2.ConnectError("it has no address")
        for address in await self._resolved(host, port):
            try:
                # Without TCP_NODELAY a small request waits 40 ms for an acknowledgement.
                return await self._backend.connect_tcp(
                    str(address), port, timeout, local_address, [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _resolved(self, host: str, port: int) -> list[Address]:
        """Return the addresses that may be connected to. Raises AddressRefused, httpcore2.ConnectError."""
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise httpcore2.ConnectError("its host name is not known") from None
        # A link-local address has its interface behind a percent sign.
        found = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in infos]
        allowed = [address for address in dict.fromkeys(found) if self._may(address)]
        if not allowed:
            raise AddressRefused(self._why_not)
        return allowed

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        raise AddressRefused("it is a unix socket")

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
