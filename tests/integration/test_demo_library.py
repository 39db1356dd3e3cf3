"""The demo goes on after its report: agents read through the gateway, and the audit says what each token was for."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from runner import Runner
from runner.agents.imports import load
from runner.clock import SystemClock
from runner.credentials.keys import Keys

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples/demo"
SHOW = [sys.executable, str(DEMO / "show.py"), "--sandbox", "process"]
MODULES = ["re", "enum", "json"]
# How a JWT begins: base64url of '{"'.
TOKEN = "eyJ"


@dataclass(frozen=True)
class Shown:
    """What `make demo` does after its set-up, over three modules."""

    home: Path
    report: dict[str, Any]
    """The envelope of the first run."""
    code: int
    stdout: str
    stderr: str

    def audit(self, *words: str) -> dict[str, Any]:
        """Return what `runner audit RUN` says of the second run."""
        run = next(row.run for row in Runner(home=self.home).runs() if row.script == "promises")
        said = runner(self.home, "audit", run, "--format", "json", *words)
        assert said.returncode == 0, said.stderr
        found: dict[str, Any] = json.loads(said.stdout)
        return found


def runner(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runner", *words], cwd=ROOT, env=own(home), capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=100,
    )  # fmt: skip


def own(home: Path) -> dict[str, str]:
    return {**os.environ, "RUNNER_HOME": str(home)}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Shown:
    home = tmp_path_factory.mktemp("demo")
    home.chmod(0o700)
    (home / "cache").symlink_to(shared_cache)
    inputs = json.dumps({"modules": MODULES, "top": len(MODULES)})
    words = ["run", str(DEMO / "hardest_modules.py"), "--policy", str(ROOT / "policies/demo.yaml"), "--json"]
    first = runner(home, *words, "--sandbox", "process", "--inputs", inputs)
    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)
    assert len(report["result"]["hardest"]) == len(MODULES), first.stderr
    second = subprocess.run(SHOW, env=own(home), input=first.stdout, capture_output=True, text=True, timeout=100)
    return Shown(home, report, second.returncode, second.stdout, second.stderr)


# --- what a person sees ------------------------------------------------------------------------


def test_demo_goes_on_after_its_report_and_ends_with_the_audit(shown: Shown) -> None:
    assert (shown.code, shown.stderr) == (0, "")
    places = [
        shown.stdout.find(text)
        for text in (
            "Hardest modules to change", "what do they promise to their users?", "which answers 401 without a token",
            "Audit: each attempt had a token of its own", "Asked for and never used: library:notes, 3 times by read_promises",
            "Refused by the gateway: follow_leads", "The server's own record: the same 4 requests", "Four things to try next",
        )
    ]  # fmt: skip
    assert -1 not in places
    assert places == sorted(places)
    assert f"runner audit {shown.audit()['tokens'][0]['run']} --uses" in shown.stdout


def test_every_module_is_told_of_in_one_line_of_eighty_columns(shown: Shown) -> None:
    between = shown.stdout.partition("what do they promise")[2].partition("Four things")[0]

    assert max(map(len, between.splitlines())) <= 80
    for module in MODULES:
        assert sum(line.startswith(f"{module} ") for line in between.splitlines()) == 1


# --- what the record says ----------------------------------------------------------------------


def test_there_is_one_token_for_each_attempt_bound_to_its_module_and_closed_with_it(shown: Shown) -> None:
    tokens = shown.audit()["tokens"]

    modules = [entry["module"] for entry in shown.report["result"]["hardest"]]
    read = [[f"GET /modules/{module}/notes", f"GET /modules/{module}/promises"] for module in modules]
    assert [token["opens"] for token in tokens] == [*read, [f"GET /modules/{modules[0]}/promises"]]
    assert [token["agent"] for token in tokens] == ["read_promises"] * 3 + ["follow_leads"]
    assert {(token["state"], token["used"], token["uses"], token["attempt"]) for token in tokens} == {
        ("closed", True, 1, 1)
    }


def test_the_audit_names_the_one_scope_that_nobody_used(shown: Shown) -> None:
    assert shown.audit("--unused")["over_asked"] == [
        {"agent": "read_promises", "scope": "library:notes", "tokens": 3, "runs": 1}
    ]


def test_exactly_one_request_was_refused_and_it_was_not_sent(shown: Shown) -> None:
    uses = shown.audit("--uses")["uses"]

    (refused,) = [use for use in uses if use["refused"]]
    assert (refused["agent"], refused["refused"], refused["sent"]) == ("follow_leads", "not-opened", False)
    first = shown.report["result"]["hardest"][0]["module"]
    assert refused["path"].startswith("/modules/")
    assert refused["path"] != f"/modules/{first}/promises"
    assert [use["status"] for use in uses if use["sent"]] == [200] * 4


def test_no_token_is_in_what_was_said_or_in_the_store(shown: Shown) -> None:
    assert TOKEN not in shown.stdout + shown.stderr + json.dumps(shown.audit())
    files = [file for file in shown.home.rglob("*") if file.is_file()]
    assert any(file.name.startswith("store.db") for file in files)
    assert [file for file in files if TOKEN.encode() in file.read_bytes()] == []


# --- both sides --------------------------------------------------------------------------------


def second_half() -> ModuleType:
    return sys.modules[load("library_visit:visit", str(DEMO)).__module__]


async def test_the_server_saw_exactly_what_the_audit_says_was_sent(own_home: Path) -> None:
    half = second_half()

    found = await half.visit(["enum", "json"], sandbox="process")

    assert found.ran.state == "done"
    assert half.deviations(found, ["enum", "json"]) == []
    without, *with_token = sorted(found.served, key=lambda one: one["token"] or "")
    assert without == {
        "method": "GET", "path": "/modules/enum/promises", "status": 401, "token": None, "agent": None, "spawn": None,
    }  # fmt: skip
    sent = [use for use in found.audit.uses if not use.refused]
    assert [one["token"] for one in with_token] == sorted(use.token for use in sent)
    assert len(sent) == 3
    assert found.ran.result["overreach"]["message"].startswith("scope library:read opens GET /modules/enum/promises")


async def test_what_is_not_as_promised_is_told(own_home: Path) -> None:
    half = second_half()
    found = await half.visit(["enum"], sandbox="process")
    spoilt = replace(found, without_token=200, served=found.served[:-1])

    assert half.deviations(spoilt, ["enum"]) == [
        "a request without a token was answered 200", "the server's record is not what the audit says",
    ]  # fmt: skip
    assert half.deviations(found, ["enum", "json"]) == [
        "not every module was told of: {}", "there were 2 tokens for 2 attempts",
    ]  # fmt: skip


async def test_where_its_port_is_taken_the_server_takes_another_one(own_home: Path) -> None:
    half = second_half()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # Where something has it already, it is taken too.
            other.bind(("127.0.0.1", 8650))
            other.listen()
        async with half.library_server(Keys(own_home, SystemClock()).jwks()) as (url, _):
            status = await half.status_without_token(f"{url}/modules/this/promises")

    assert url != "http://127.0.0.1:8650"
    assert half.policy_for(url).resources["library"].audience == url
    assert status == 401


# --- its end -----------------------------------------------------------------------------------


def test_where_the_first_run_ended_badly_there_is_no_second(own_home: Path) -> None:
    said = subprocess.run(SHOW, input='{"state": "limit", "exit_code": 5}', capture_output=True, text=True, timeout=60)

    assert (said.returncode, said.stdout, said.stderr) == (5, "", "")
    assert list(Runner(home=own_home).runs()) == []


@pytest.mark.parametrize(
    ("sent", "code", "processes"),
    # One is the server alone, at its start; with four the agents are at work.
    [(signal.SIGINT, 130, 1), (signal.SIGINT, 130, 4), (signal.SIGTERM, -15, 1), (signal.SIGKILL, -9, 4)],
)
def test_nothing_is_left_of_it_whenever_it_is_ended(
    shown: Shown, own_home: Path, sent: signal.Signals, code: int, processes: int
) -> None:
    demo = subprocess.Popen(
        SHOW, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert demo.stdin is not None
    demo.stdin.write(json.dumps(shown.report))
    demo.stdin.close()
    started = started_by(demo, processes)
    demo.send_signal(sent)

    assert demo.wait(60) == code
    assert psutil.wait_procs(started, timeout=60)[1] == []
    assert demo.stderr is not None
    assert demo.stderr.read() == ""


def started_by(demo: subprocess.Popen[str], processes: int) -> list[psutil.Process]:
    """Return what it started, once there are so many."""
    began = time.monotonic()
    while time.monotonic() - began < 60:
        assert demo.poll() is None, "it ended before it had started so many processes"
        found: list[psutil.Process] = psutil.Process(demo.pid).children(recursive=True)
        if len(found) >= processes:
            return found
        time.sleep(0.01)
    raise AssertionError("it started too few processes")
