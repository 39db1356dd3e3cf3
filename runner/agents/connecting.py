"""Say whether an address answers and whether a service takes a key, without asking it to do anything.

A connection is made and closed; of a model's vendor the free list of its models is asked, and nothing of the answer
is read but its status. Names are resolved and references read in threads that nobody waits for at the end: a resolver
or a disk that hangs holds a probe for its seconds, and nothing else.

Not here: what a backend needs (probing).
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from runner.seams import Probe

# Of one connection, and of one request that costs a server nothing. What takes longer would hold up calls as well.
PROBE_SECONDS = 5.0

T = TypeVar("T")


async def beside(act: Callable[[], T]) -> T:
    """Return what `act` returns, called in a thread that ends with the process: it may hang for ever."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)

    def call() -> None:
        value, error = None, None
        try:
            value = act()
        except Exception as raised:
            error = raised
        except BaseException as raised:  # Raised into the event loop, an exit would end the process.
            error = RuntimeError(type(raised).__name__)
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:  # Nobody waits any more: the loop is closed.
            return

    threading.Thread(target=call, daemon=True).start()
    return await done


def origin_of(url: str) -> tuple[str, int, bool]:
    """Return host, port and whether TLS is spoken there."""
    parts = urlsplit(url)
    encrypted = parts.scheme == "https"
    return parts.hostname or "", parts.port or (443 if encrypted else 80), encrypted


async def connect(url: str, *, seconds: float = PROBE_SECONDS) -> Probe:
    """Connect to where a URL leads, over TLS where it says so, and close the connection. Nothing is sent."""
    host, port, encrypted = origin_of(url)
    place = f"{host}:{port}"
    fix = "start it, or correct its URL"
    try:
        async with asyncio.timeout(seconds):
            addresses = await beside(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            tls = await beside(ssl.create_default_context) if encrypted else None
            return Probe("address", True, f"{place} {await _greeted(addresses, port, tls, host)}")
    except TimeoutError:
        return Probe("address", False, f"{place} did not answer within {seconds:g} s", fix)
    except (socket.gaierror, UnicodeError):
        return Probe("address", False, f"{host} is no known host name", "correct its URL")
    except ssl.SSLCertVerificationError as error:
        return Probe("address", False, f"{place}: its certificate is refused: {error.verify_message}", "mend it there")
    except OSError as error:
        return Probe("address", False, f"{place}: {why(error)}", fix)


async def _greeted(addresses: list[Any], port: int, tls: ssl.SSLContext | None, host: str) -> str:
    """Connect to the first address that answers. Return what is to be said of it. Raises OSError."""
    failure: OSError = OSError("it has no address")
    for address in dict.fromkeys(str(info[4][0]) for info in addresses):
        try:
            _, writer = await asyncio.open_connection(address, port, ssl=tls, server_hostname=host if tls else None)
        except ssl.SSLError:
            raise
        except OSError as error:
            failure = error
            continue
        spoken = writer.get_extra_info("ssl_object")
        version = spoken.version() if spoken is not None else None
        writer.transport.abort()
        return f"takes connections, {version}" if version else "takes connections, unencrypted"
    raise failure


def why(error: OSError) -> str:
    """Return the reason of a connection that failed, without addresses."""
    if isinstance(error, ssl.SSLError):
        return "no TLS connection can be made"
    return os.strerror(error.errno).lower() if error.errno else "no connection can be made"


async def models_of(url: str, headers: Mapping[str, str], *, seconds: float = PROBE_SECONDS) -> Probe:
    """Ask a vendor for the list of its models, which costs nothing: does it take the key? Only the status is read."""
    import httpx2

    try:
        async with (
            asyncio.timeout(seconds),
            httpx2.AsyncClient(trust_env=False, follow_redirects=False, timeout=seconds) as client,
            client.stream("GET", url, headers=dict(headers)) as answer,
        ):
            status = answer.status_code
    except TimeoutError:
        return Probe("key", False, f"no answer within {seconds:g} s", "try again, or look at the service")
    except UnicodeEncodeError:
        return Probe("key", False, "it has characters that no header can carry", "look at where it is kept")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return Probe("key", False, f"the service could not be asked: {type(error).__name__}", "look at the service")
    return _of_status(status, keyed=bool(headers))


def _of_status(status: int, *, keyed: bool) -> Probe:
    if status == 200:
        return Probe("key", True, "the service takes it" if keyed else "the service asks for none")
    if status in (401, 403):
        fact = "does not take it" if keyed else "asks for one"
        return Probe("key", False, f"the service {fact} (status {status})", "put another key where it is kept")
    if status in (404, 405):
        return Probe("key", True, f"not proved: the service has no list of models (status {status})")
    return Probe("key", True, f"not proved: the service answered with status {status}", "look at the service")
