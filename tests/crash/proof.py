"""What must hold after a host died and another one went on: asked of the store, of the agents' own count, of the world.

`World` is what is outside of the hosts that die: the forge, a resource server, an authorization server.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner import Runner
from runner.events import Event, RunView, fold
from runner.journal.schema import rebuild
from runner.models import RunState
from tests.authorization_servers import WORD, Answer, Asked, ChosenServer
from tests.crash.workloads import ONCE, WORKLOADS
from tests.resource_server import Received, ResourceServer, Said
from tests.runs import TESTS

SHORT_POINTS = 12
POINTS = int(os.environ.get("RUNNER_CRASH_POINTS", SHORT_POINTS))
"""How many random moments; with more than the short form's, every named point and every event as well."""
LONG = POINTS > SHORT_POINTS
At = tuple[str, int, str]
"""Kind of event, which one of that kind, and "before", "durable" or "effect"."""
_ONCE = {
    "spawn_requested", "attempt_started", "attempt_failed", "spawn_settled", "then_requested", "then_returned",
    "then_settled", "wait_opened", "answered", "run_finished", "script_checked", "run_started", "spawn_cancelled",
}  # fmt: skip
# Far beyond the longest pause between two revocations of a revoker that is alone.
REVOKED_SECONDS = 60.0


class World:
    """What does not die. One per process of the suite; not for two cases at once."""

    def __init__(self, folder: Path) -> None:
        """`folder` is for the runs that nobody disturbs."""
        self.folder = folder
        self._forge: subprocess.Popen[str] | None = None
        self._resource: ResourceServer | None = None
        self._server: ChosenServer | None = None
        self.references: dict[tuple[str, str], Reference] = {}

    @property
    def crm(self) -> ResourceServer:
        if self._resource is None:
            self._resource = ResourceServer(_answer)
        return self._resource

    @property
    def server(self) -> ChosenServer:
        """An authorization server at which each token can be revoked only at the third try."""
        if self._server is None:
            server = self._server = ChosenServer()
            tries: Counter[str] = Counter()
            lock = threading.Lock()

            def revoke(asked: Asked) -> Answer:
                with lock:
                    tries[asked.fields["token"]] += 1
                    if tries[asked.fields["token"]] < 3:
                        return Answer({"error": "temporarily_unavailable"}, 503)
                    server.tokens[asked.fields["token"]] = {"active": False}
                return Answer()

            def issue(asked: Asked) -> Answer:
                if "crm:odd" in asked.fields["scope"]:
                    return Answer({"error": "invalid_scope"}, 400)
                return Answer(server.issue(asked))

            server.on = {"/revoke": revoke, "/token": issue}
        return self._server

    def close(self) -> None:
        if self._forge is not None:
            self._forge.kill()
            self._forge.communicate()
        if self._resource is not None:
            self._resource.close()
        if self._server is not None:
            self._server.close()

    def order(self, **order: Any) -> dict[str, Any]:
        """Have the forge make one host; return its report."""
        if self._forge is None:
            self._forge = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.forge"], cwd=TESTS.parent, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True, env={**os.environ, "IDP_WORD": WORD},
            )  # fmt: skip
        assert self._forge.stdin is not None and self._forge.stdout is not None
        self._forge.stdin.write(json.dumps(order) + "\n")
        self._forge.stdin.flush()
        line = self._forge.stdout.readline()
        assert line, f"the forge ended: {self._forge.poll()}"
        told: dict[str, Any] = json.loads(line)
        return told


def _answer(got: Received) -> Said:
    return Said()


@dataclass(frozen=True)
class Reference:
    """A run that nobody disturbed."""

    told: dict[str, Any]
    kinds: Counter[str]
    home: Path
    run: str


@dataclass
class Case:
    """One run and the hosts that served it, one after the other."""

    world: World
    name: str
    home: Path
    sandbox: str = "process"
    run: str = ""
    reports: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def workload(self) -> Any:
        return WORKLOADS[self.name]

    @property
    def calls_file(self) -> Path:
        return self.home.with_name(self.home.name + ".calls")

    def host(self, do: str, **more: Any) -> dict[str, Any]:
        """Let one host run or resume the workload."""
        world = self.world
        told = world.order(
            do=do, home=str(self.home), workload=self.name, calls=str(self.calls_file), run=self.run, crm=world.crm.url,
            server=world.server.url if self.workload.external else "", sandbox=self.sandbox, **more,
        )  # fmt: skip
        self.run = told.get("run", self.run)
        self.reports.append(told)
        assert told["orphans"] == [], f"outlived its host: {told['orphans']}"
        return told

    def start(self, **more: Any) -> dict[str, Any]:
        """Let a host run the workload; where it reuses another run, that one is made first."""
        if self.workload.origin_names:
            assert self.host("run", names=self.workload.origin_names)["ended"]
            more["reuse"] = self.run
            self.calls_file.unlink()
            self.reports.clear()
        return self.host("run", **more)

    def calls(self) -> Counter[tuple[str, str]]:
        """Count the calls that agents have written down, by agent and idempotency key."""
        lines = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        return Counter((line.split()[0], line.split()[1]) for line in lines)

    def events(self) -> list[Event]:
        store = Runner(home=self.home)
        try:
            return list(store.events(self.run))
        finally:
            store.store.close()

    def submitted(self) -> bool:
        """Whether the run got as far as its first event. If not, nothing of it has happened."""
        if self.run and self.events():
            return True
        assert self.calls() == {}
        return False

    def view(self) -> RunView:
        return fold(self.events())

    # --- what must hold --------------------------------------------------------------------------

    def assert_sound(self, reference: Reference) -> None:
        """The run has ended as the one that nobody disturbed, and nothing of it is left."""
        told = self.reports[-1]
        assert told["ended"], (told, self._stderr())
        # As text: the order of keys is part of a result.
        assert _end(told) == _end(reference.told)
        self.assert_called_once()
        self.assert_said_once()
        self.assert_nothing_left(ended=True)

    def assert_replays(self) -> None:
        """What several hosts have written is one record, which the script says again."""
        replayed = self.host("replay")
        assert replayed.get("divergence", replayed) is None

    def assert_said_once(self) -> None:
        """Nothing settles, fails or is answered twice, and the attempts of a spawn are numbered one by one."""
        said = Counter(
            (event.kind, event.body.get("spawn", event.body.get("handle", event.body.get("wait"))), event.body.get("attempt"))
            for event in self.events()
            if event.kind in _ONCE and not event.body.get("again")
        )  # fmt: skip
        assert [what for what, count in said.items() if count > 1] == []

    def assert_called_once(self) -> None:
        """No attempt of an agent that is not idempotent was called twice, nor any other oftener than there were hosts."""
        calls = self.calls()
        assert [(key, count) for key, count in calls.items() if key[0] in ONCE and count > 1] == []
        assert [(key, count) for key, count in calls.items() if count > len(self.reports)] == []

    def assert_nothing_left(self, *, ended: bool) -> None:
        """The record is whole; no lease, no token that is worth anything."""
        runner = Runner(home=self.home)
        try:
            runner.verify(self.run)
            runner.store.verify_all()
            view = runner.view(self.run)
            assert view.ended if ended else view.state is RunState.INTERRUPTED
            if ended:
                open_spawns = [spawn.n for spawn in view.spawns.values() if not spawn.outcome]
                assert (open_spawns, [then.n for then in view.thens.values() if not then.outcome]) == ([], [])
            assert not runner.store.run_alive(self.run)
        finally:
            runner.store.close()
        with closing(sqlite3.connect(self.home / "store.db")) as store:
            leases = store.execute("SELECT run FROM lease").fetchall()
            derived = store.execute("SELECT * FROM run ORDER BY run").fetchall()
        assert leases == [] or not ended
        rebuild(self.home / "store.db")
        with closing(sqlite3.connect(self.home / "store.db")) as store:
            assert store.execute("SELECT * FROM run ORDER BY run").fetchall() == derived
        self._assert_no_token()

    def _assert_no_token(self) -> None:
        server = self.world.server if self.workload.external else None
        until = time.monotonic() + REVOKED_SECONDS
        while server is not None and any(said["active"] for said in server.tokens.values()):
            assert time.monotonic() < until, "a token is active at its server"
            time.sleep(0.02)
        # The next one who opens the store takes over what revokers have written down.
        runner = Runner(home=self.home)
        try:
            for token in runner.tokens(self.run).tokens.values():
                state = token.state(time.time())
                # What was meant and never told: nobody knows whether a server was asked, and the record says so.
                assert token.open_until(time.time()) is None or (token.external and state == "unknown"), token
                assert runner.token_active(token.id) is not True
        finally:
            runner.store.close()

    def _stderr(self) -> str:
        path = Path(str(self.home) + ".stderr")
        return path.read_text()[-3000:] if path.exists() else ""


def _end(told: dict[str, Any]) -> str:
    return json.dumps([told["state"], told["result"], told["error"]])


def reference(world: World, name: str, sandbox: str = "process") -> Reference:
    """Return a run that nobody disturbed; made once."""
    found = world.references.get((name, sandbox))
    if found is None:
        case = Case(world, name, world.folder / f"{name}-{sandbox}", sandbox)
        told = case.start()
        assert told["ended"], (told, case._stderr())
        case.assert_nothing_left(ended=True)
        kinds = Counter(str(event.kind) for event in case.events())
        found = world.references[name, sandbox] = Reference(told, kinds, case.home, case.run)
    return found
