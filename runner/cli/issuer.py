"""`runner issuer ...`: serve what resource servers ask, show and rotate the signing keys, register who may ask.

Minting needs none of it: a run signs its tokens itself, with the keys of the home.

Not here: the answers (credentials.service), the keys (credentials.keys), which tokens are active (engine).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.runs import opened
from runner.errors import ExitCode
from runner.listening import listening

if TYPE_CHECKING:
    import socket

    from runner.credentials.asgi import App
    from runner.credentials.keys import KeyFacts, Keys

DEFAULT_PORT = 8640
# What resource servers ask at once is far below; without a bound a stuck one could hold every file number.
MOST_REQUESTS = 256
# How long answers that are under way may still take after Ctrl-C.
LEAVE_SECONDS = 5


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = DEFAULT_PORT,
    url: Annotated[
        str | None, typer.Option(help="The issuer's URL, as tokens name it; else RUNNER_ISSUER_URL.", metavar="URL")
    ] = None,
) -> int:
    """Serve the embedded issuer's keys, introspection and revocation to resource servers."""
    from runner.cli.output import say
    from runner.clock import SystemClock
    from runner.credentials.clients import Clients
    from runner.credentials.issuer import checked_url, issuer_url
    from runner.credentials.keys import Keys
    from runner.credentials.service import IssuerService

    chosen = issuer_url() if url is None else checked_url(url)
    with opened() as runner, listening(host, port) as listener:
        clock = SystemClock()
        keys = Keys(runner.store.home, clock)
        keys.jwks()  # What is wrong with the keys is said now, not with the first request.
        service = IssuerService(
            keys,
            url=chosen,
            clients=Clients(runner.store.home),
            state_of=runner.token_active,
            revoke=lambda jti, by: runner.revoke_token(jti, by=by),
            clock=clock,
        )
        for line in serving_lines(chosen, *listener.getsockname()[:2]):
            say(line)
        _serve(service, listener)
    say("stopped")
    return ExitCode.DONE


def serving_lines(url: str, address: str, port: int) -> list[str]:
    """Return where it listens, and what may be wrong with that."""
    from ipaddress import ip_address

    from runner.credentials.issuer import issuer_url

    shown = f"[{address}]" if ":" in address else address
    lines = [f"issuer {url}: listening on http://{shown}:{port}"]
    if url != (minted := issuer_url()):
        lines.append(f"warning: runs mint tokens of {minted}, which this one does not know: set RUNNER_ISSUER_URL")
    if not ip_address(address.partition("%")[0]).is_loopback:
        lines.append("warning: it is reached unencrypted from other machines: let a proxy with TLS stand before it")
    return lines


def show(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Show the embedded issuer's URL and its signing keys."""
    import time
    from dataclasses import asdict

    from runner.cli.output import put, put_json
    from runner.credentials.issuer import issuer_url

    url = issuer_url()
    found = _keys(_home()).facts()
    if json:
        put_json({"version": 1, "url": url, "keys": [asdict(key) for key in found]})
    else:
        put("\n".join([f"issuer {url}", *key_lines(found, now=time.time())]))
    return ExitCode.DONE


def key_lines(keys: tuple[KeyFacts, ...], *, now: float) -> list[str]:
    """Return the keys as lines of a table, the oldest first."""
    from runner.cli.text import columns, moment

    rows = []
    for key in keys:
        state = "signs" if key.signs else "will sign" if key.signs_at > now else "signed"
        until = "" if key.published_until is None else moment(key.published_until, now=now)
        rows.append((key.kid, state, moment(key.signs_at, now=now), until))
    return columns(rows, head=("key", "state", "since or from", "published until"))


def rotate() -> int:
    """Make a new signing key; the old one stays published until its last token has expired."""
    from runner.cli.output import put, say
    from runner.cli.text import moment

    keys = _keys(_home())
    kid = keys.rotate()
    put(kid)
    for key in keys.facts():
        if key.kid == kid:
            say(f"it signs from {moment(key.signs_at)}; resource servers find it in the key set from now on")
    return ExitCode.DONE


def client(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the record calls it.")],
    audience: Annotated[
        list[str] | None, typer.Option(metavar="AUDIENCE", help="Whose tokens it may ask about; repeat it for more.")
    ] = None,
    all_audiences: Annotated[bool, typer.Option("--all-audiences", help="It may ask about every token.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Register it anew: what it showed before is then worth nothing.")
    ] = False,
) -> int:
    """Register a resource server that may introspect and revoke tokens, and print its credential once."""
    from runner.cli.output import put, say
    from runner.credentials.clients import Clients

    shown = Clients(_home()).add(name, audience or (), all_audiences=all_audiences, replace=replace)
    say(f'client "{name}" is registered; its credential is not kept here and not shown again:')
    put(shown)
    return ExitCode.DONE


def _home() -> Path:
    with opened() as runner:
        return runner.store.home


def _keys(home: Path) -> Keys:
    from runner.clock import SystemClock
    from runner.credentials.keys import Keys

    return Keys(home, SystemClock())


def _serve(app: App, listener: socket.socket) -> None:
    """Serve until Ctrl-C, SIGTERM or SIGHUP, then finish what is under way."""
    import signal

    import uvicorn

    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        lifespan="off",
        server_header=False,
        limit_concurrency=MOST_REQUESTS,
        timeout_graceful_shutdown=LEAVE_SECONDS,
        ws="none",
    )
    server = uvicorn.Server(config)
    # uvicorn minds the other two. This one, as an exception amid a request, would be an error of that request alone.
    before = signal.getsignal(signal.SIGHUP)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, server.handle_exit)
    try:
        # It ends in order, and hands the signal on.
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    finally:
        signal.signal(signal.SIGHUP, before)
