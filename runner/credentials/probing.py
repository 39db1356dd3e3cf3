"""Say of issuers and resources whether they could be used, without asking for a token or sending a request to an API.

An issuer's metadata is fetched, as for a token; whether it accepts this host is not proved: that would mint a token.
A resource is connected to, at the addresses that the gateway would take. What is kept elsewhere is read and dropped.

Not here: agents (agents.probing), how it is shown (doctor).
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpcore2

from runner.clock import Clock
from runner.credentials.addresses import NOT_LISTED, AddressRefused, Pinned, may_reach
from runner.credentials.login import BadCredential, Login
from runner.credentials.metadata import MetadataSource, NoMetadata
from runner.credentials.sending import Line
from runner.errors import RunnerError
from runner.policy.model import IssuerEntry, Reference, Resource
from runner.seams import Probe

PROBE_SECONDS = 5.0

Read = Callable[[Reference], str]


async def probe_issuer(entry: IssuerEntry, read: Read, clock: Clock) -> list[Probe]:
    """Return what was found of an external issuer. Raises nothing."""
    found = await asyncio.gather(_metadata(entry, clock), asyncio.to_thread(_login, entry, read))
    subject = [] if entry.subject is None else [await asyncio.to_thread(_readable, entry.subject, read)]
    return [*found, *subject]


async def _metadata(entry: IssuerEntry, clock: Clock) -> Probe:
    line = Line(entry.url, private=entry.private, ca=entry.ca, clock=clock)
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            known = await MetadataSource(entry.url, line, clock).current()
    except TimeoutError:
        return Probe("metadata", False, f"no answer within {PROBE_SECONDS:g} s", "start it, or correct its URL")
    except NoMetadata as error:
        return Probe("metadata", False, str(error), "correct its URL, or look at the server")
    finally:
        await line.close()
    if entry.revoke and not known.revocation:
        fix = "`revoke: false` lets its tokens end by themselves"
        return Probe("metadata", False, "it has no revocation endpoint, and its tokens shall be revoked", fix)
    told = "it can be introspected" if known.introspection else "its tokens cannot be introspected"
    return Probe("metadata", True, f"it names its endpoints; {told}")


def _login(entry: IssuerEntry, read: Read) -> Probe:
    """Sign a request that is not sent: a private key that is none is noticed."""
    what = f"credential {entry.credential}"
    try:
        Login(entry.client_id, entry.auth, read(entry.credential), audience=entry.url).sign("")
    except BadCredential as error:
        return Probe(what, False, str(error), "put a private key there")
    except RunnerError as error:
        return Probe(what, False, error.message, error.hint)
    return Probe(what, True, f"can be read, and used for {entry.auth}; that the server accepts it is not proved")


def _readable(reference: Reference, read: Read) -> Probe:
    what = f"credential {reference}"
    try:
        read(reference)
    except RunnerError as error:
        return Probe(what, False, error.message, error.hint)
    return Probe(what, True, "can be read")


def probe_embedded(home: Path) -> list[Probe]:
    """Say whether this host's own issuer has its keys. None is made, and none is read."""
    folder = home / "keys"
    try:
        names = [path for path in folder.iterdir() if path.suffix == ".json"] if folder.is_dir() else []
    except OSError as error:
        return [Probe("keys", False, f"{folder} cannot be read: {str(error.strerror).lower()}", f"chmod 700 {folder}")]
    return [Probe("keys", True, f"{len(names)} in {folder}" if names else "none yet; the first run makes one")]


async def probe_resource(resource: Resource, read: Read) -> list[Probe]:
    """Return what was found of a resource. Raises nothing."""
    found = [await _connect(resource)]
    if resource.attached is not None:
        found.append(await asyncio.to_thread(_readable, resource.attached.value, read))
    return found


async def _connect(resource: Resource) -> Probe:
    """Connect as the gateway would, and close the connection."""
    parts = urlsplit(resource.url)
    encrypted = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if encrypted else 80)
    place, fix = f"{host}:{port}", "start it, or correct its URL"
    networks = [ipaddress.ip_network(network) for network in resource.private]
    pinned = Pinned(partial(may_reach, private=networks), NOT_LISTED)
    try:
        tls = await asyncio.to_thread(ssl.create_default_context, cafile=resource.ca or None) if encrypted else None
        async with asyncio.timeout(PROBE_SECONDS):
            stream = await pinned.connect_tcp(host, port, PROBE_SECONDS)
            try:
                if tls is not None:
                    stream = await stream.start_tls(tls, host, PROBE_SECONDS)
            finally:
                await stream.aclose()
    except AddressRefused as error:
        return Probe("address", False, f"{place}: {error}", "list its network under `private`, if it is meant")
    except (TimeoutError, httpcore2.TimeoutException):
        return Probe("address", False, f"{place} did not answer within {PROBE_SECONDS:g} s", fix)
    except (httpcore2.NetworkError, ssl.SSLError, OSError) as error:
        certificate = isinstance(error, ssl.SSLError) or "certificate" in str(error).lower()
        why = "no TLS connection can be made, or its certificate is refused" if certificate else "no connection"
        return Probe("address", False, f"{place}: {why}", fix)
    return Probe("address", True, f"{place} takes connections, {'over TLS' if encrypted else 'unencrypted'}")
