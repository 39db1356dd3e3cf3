"""`runner mcp`: serve runner's verbs to MCP clients, over the standard streams or HTTP.

stdout belongs to the protocol; everything else goes to stderr. A client names policies; which there are is said by
the host's trust.yaml, and fewer of them by --policy.

Not here: the tools (mcp_server).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from runner.cli.run import SandboxChoice
from runner.errors import ExitCode, UsageError

# As in mcp_server.http, which the help text need not import.
DEFAULT_PORT = 8641


class Transport(StrEnum):
    STDIO = "stdio"
    HTTP = "http"


def mcp(
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=FILE]",
            help="A policy that clients may name; may be given again. Without: all that trust.yaml lets MCP use.",
        ),
    ] = None,
    transport: Annotated[Transport, typer.Option(help="How a client reaches it.")] = Transport.STDIO,
    host: Annotated[str, typer.Option(help="With http: the address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="With http: the port to listen on; 0 takes a free one.")
    ] = DEFAULT_PORT,
    key: Annotated[
        str,
        typer.Option(metavar="REFERENCE", help="With http: the key that clients must show, as env:NAME or file:PATH."),
    ] = "",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="With http: another name that clients reach it under; may be given again."),
    ] = None,
    unsafe_no_key: Annotated[
        bool, typer.Option("--unsafe-no-key", help="With http: listen for other machines without a key.")
    ] = False,
    sandbox: Annotated[
        SandboxChoice, typer.Option(help="Where scripts run. auto: the best here, never below the policy.")
    ] = SandboxChoice.AUTO,
) -> int:
    """Serve run_script, review_script, get_run and stop_run to MCP clients."""
    from runner.agents.extras import library
    from runner.cli.output import say
    from runner.printable import clean_block

    def told(text: str) -> None:
        say(clean_block(text))

    library("mcp", "mcp", who="runner mcp")
    chosen = policies_of(policy or [])
    if transport is Transport.STDIO:
        from runner.mcp_server.serve import over_stdio

        over_stdio(chosen, sandbox=str(sandbox), say=told)
        return ExitCode.DONE
    from runner.mcp_server.http import Door
    from runner.mcp_server.serve import over_http

    door = Door(host, port, key=key, allowed_hosts=allow_host or (), unsafe_no_key=unsafe_no_key)
    over_http(door, chosen, sandbox=str(sandbox), say=told)
    return ExitCode.DONE


def policies_of(texts: list[str]) -> dict[str, str]:
    """Return name → file of `--policy NAME=FILE`, "" of `--policy NAME`. Raises UsageError."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if equals and not file:
            raise UsageError(f'--policy "{text}" names no file', hint="NAME=FILE, or NAME as trust.yaml has it")
        if name in found:
            raise UsageError(f'--policy "{name}" is given a second time', hint="keep one")
        found[name] = file
    return found
