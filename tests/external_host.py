"""A host that only has external tokens, as a process of its own that a test can kill.

    python -m tests.external_host SETTINGS

SETTINGS is JSON: url, home, count (orders at once), seconds (until it ends by itself), child (fork one that holds the
host's descriptors and lives on). It says on stdout, a line of JSON each: {"revoker": pid}, {"child": pid},
{"issued": count}, {"refused": text}.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.clock import SystemClock
from runner.credentials.external import ExternalIssuer, Revoker
from runner.policy.model import IssuerEntry, Reference
from runner.seams import Issued, Issuer, NotIssued, Order, Subject
from tests.authorization_servers import CLIENT, CRM, WORD

HOST = "host-of-a-test"


def entry(url: str, **changes: Any) -> IssuerEntry:
    fields = {
        "name": "idp", "url": url, "client_id": CLIENT, "auth": "client_secret_basic",
        "credential": Reference("env", ("IDP_CREDENTIAL",)), "per_second": 1000.0, **changes,
    }  # fmt: skip
    return IssuerEntry(**fields)


def issuer(url: str, revoker: Revoker, **changes: Any) -> ExternalIssuer:
    more = {name: changes.pop(name) for name in ("subject", "read_reference", "clock") if name in changes}
    settled = {"read_reference": lambda _: WORD, "clock": SystemClock(), **more}
    return ExternalIssuer(entry(url, **changes), revoker=revoker, **settled)


def order(number: int = 1, *, scopes: tuple[str, ...] = ("crm:read",), **changes: Any) -> Order:
    fields = {
        "id": f"{number:032x}", "resource": "crm", "audience": CRM, "scopes": scopes, "details": None,
        "seconds": 60.0, "subject": Subject("run-1", number, 1, "agent", "0" * 64), **changes,
    }  # fmt: skip
    return Order(**fields)


async def issue_many(server: Issuer, count: int) -> list[Issued]:
    return list(await asyncio.gather(*(server.issue(order(number)) for number in range(1, count + 1))))


def say(**said: Any) -> None:
    print(json.dumps(said), flush=True)


async def main(settings: dict[str, Any]) -> None:
    revoker = Revoker(Path(settings["home"]), HOST)
    await revoker.start()
    say(revoker=revoker.pid)
    if settings.get("child"):
        for number in map(int, os.listdir("/proc/self/fd")):
            with suppress(OSError):
                os.set_inheritable(number, True)
        if (child := os.fork()) == 0:
            os.execlp("sleep", "sleep", "60")
        say(child=child)
    try:
        issued = await issue_many(issuer(settings["url"], revoker), settings["count"])
        say(issued=len(issued))
        await asyncio.sleep(settings.get("seconds", 60))
    except NotIssued as error:
        say(refused=str(error))
    await revoker.close()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
