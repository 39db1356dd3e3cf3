"""The verbs of the issuer: what goes to stdout, what to stderr, and that a service ends when it is told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from runner.cli import issuer
from runner.clock import SystemClock
from runner.credentials.clients import Clients
from runner.credentials.keys import LEAD_SECONDS, KeyFacts, Keys
from runner.errors import UsageError
from runner.listening import listening

NOW = 1_750_000_000


@pytest.fixture(autouse=True)
def no_url_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNNER_ISSUER_URL", raising=False)


def test_show_tells_the_url_and_where_each_key_stands(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = issuer.show(json=True)
    keys = Keys(own_home, SystemClock()).facts()
    told = json.loads(capsys.readouterr().out)

    assert code == 0
    assert told == {
        "version": 1,
        "url": "http://127.0.0.1:8640",
        "keys": [{"kid": keys[0].kid, "signs_at": keys[0].signs_at, "signs": True, "published_until": None}],
    }


def test_a_table_of_keys_says_which_one_signs() -> None:
    keys = (
        KeyFacts("a" * 43, NOW - 90_000, signs=False, published_until=NOW + 60),
        KeyFacts("b" * 43, NOW - 1000, signs=True, published_until=NOW + 7200),
        KeyFacts("c" * 43, NOW + 60, signs=False, published_until=None),
    )
    lines = issuer.key_lines(keys, now=float(NOW))

    assert [line.split()[:2] for line in lines] == [["key", "state"], ["a" * 43, "signed"], ["b" * 43, "signs"], ["c" * 43, "will"]]


def test_rotate_prints_the_new_key_and_says_when_it_signs(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Keys(own_home, SystemClock()).signing  # noqa: B018
    code = issuer.rotate()
    said = capsys.readouterr()
    newest = Keys(own_home, SystemClock()).facts()[-1]

    assert (code, said.out) == (0, f"{newest.kid}\n")
    assert said.err.startswith("it signs from ")
    assert 0 < newest.signs_at - SystemClock().now() <= LEAD_SECONDS


def test_a_clients_credential_is_the_only_thing_on_stdout(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = issuer.client("crm-api", ["https://crm.example"])
    said = capsys.readouterr()
    shown = said.out.rstrip("\n")

    assert code == 0
    assert shown not in said.err
    assert Clients(own_home).known("crm-api", shown) is not None
    with pytest.raises(UsageError, match="registered already"):
        issuer.client("crm-api", ["https://crm.example"])
    with pytest.raises(UsageError, match='"\\*" is no audience'):
        issuer.client("all", ["*"])
    assert issuer.client("all", all_audiences=True) == 0


@pytest.mark.parametrize(
    ("url", "address", "lines"),
    [
        ("http://127.0.0.1:8640", "127.0.0.1", ["issuer http://127.0.0.1:8640: listening on http://127.0.0.1:8640"]),
        ("http://127.0.0.1:8640", "::1", ["issuer http://127.0.0.1:8640: listening on http://[::1]:8640"]),
        (
            "https://issuer.example", "0.0.0.0",
            [
                "issuer https://issuer.example: listening on http://0.0.0.0:8640",
                "warning: runs mint tokens of http://127.0.0.1:8640, which this one does not know: set RUNNER_ISSUER_URL",
                "warning: it is reached unencrypted from other machines: let a proxy with TLS stand before it",
            ],
        ),
    ],
)  # fmt: skip
def test_serve_says_where_it_listens_and_what_may_be_wrong_with_that(url: str, address: str, lines: list[str]) -> None:
    assert issuer.serving_lines(url, address, 8640) == lines


def test_a_port_that_is_taken_is_one_clear_error(own_home: Path) -> None:
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(UsageError, match=f'cannot listen on "127.0.0.1" port {port}: Address already in use'):
            listening("127.0.0.1", port)


PROCESS = """
from pathlib import Path
from runner.cli import issuer
from runner.cli.ends import guarded, terminate_as_interrupt
from runner.clock import SystemClock
from runner.credentials.clients import Clients
from runner.credentials.keys import Keys
from runner.credentials.service import IssuerService
from runner.listening import listening
import os, sys
terminate_as_interrupt()
home = Path(os.environ["RUNNER_HOME"])
def act():
    clock = SystemClock()
    with listening("127.0.0.1", 0) as listener:
        print(listener.getsockname()[1], flush=True)
        service = IssuerService(
            Keys(home, clock), url="http://127.0.0.1:8640", clients=Clients(home), state_of=lambda jti: None,
            revoke=lambda jti, by: None, clock=clock,
        )
        issuer._serve(service, listener)
    print("stopped")
    return 0
sys.exit(guarded(act, []))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_service_ends_in_order_when_it_is_told_to(own_home: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    port = int(process.stdout.readline())
    with httpx2.Client(trust_env=False) as client:
        answer = client.get(f"http://127.0.0.1:{port}/jwks.json")
        process.send_signal(number)
        out, err = process.communicate(timeout=60)

    assert answer.status_code == 200
    assert (process.returncode, out, err) == (0, "stopped\n", "")
