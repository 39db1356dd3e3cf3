"""What every test gets: a store of its own, and the Docker engine if one answers."""

from __future__ import annotations

import asyncio
import functools
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

from runner.errors import RunnerError
from tests import nurseries, token_watch
from tests.token_watch import WATCH


def pytest_configure(config: pytest.Config) -> None:
    token_watch.install()
    nurseries.install()
    # A shell starts what it puts into the background with SIGINT ignored, nohup what it starts with SIGHUP, and what is
    # ignored is inherited: a command that a test starts would not hear what the test sends.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guest's bundle is written once for all tests: 100 ms each would add up."""
    folder = tmp_path_factory.mktemp("cache")
    folder.chmod(0o700)
    return folder


@pytest.fixture(autouse=True)
def own_home(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, shared_cache: Path
) -> Path:
    """No test sees another's store, or the user's."""
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    (home / "cache").symlink_to(shared_cache)
    monkeypatch.setenv("RUNNER_HOME", str(home))
    monkeypatch.delenv("RUNNER_POLICY", raising=False)
    return home


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    WATCH.begin()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test after which a token's bytes stand anywhere has failed."""
    report = yield
    if report.when == "teardown" and report.passed and item.get_closest_marker("writes_tokens") is None:
        used = getattr(item, "funcargs", {})
        folders = [used[name] for name in ("own_home", "tmp_path") if name in used]
        said = "\n".join(text for name, text in report.sections)
        if places := list(WATCH.places(said, folders)):
            report.outcome = "failed"
            report.longrepr = f"bytes of an access token stand in {', '.join(places)}"
    return report


@functools.cache
def engine_refusal() -> str:
    """Return why no Docker engine can be used here; "" when one answers."""
    from runner.sandbox.engine_api import Engine

    async def find() -> None:
        (await Engine.find()).close()

    try:
        asyncio.run(find())
    except RunnerError as error:
        return error.message
    return ""


@pytest.fixture
def docker_engine() -> None:
    """Skips the test where no engine answers; `pytest_terminal_summary` counts those."""
    if refusal := engine_refusal():
        pytest.skip(f"no engine: {refusal}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    nurseries.SHELF.open = item.get_closest_marker("own_nursery") is None
    if item.get_closest_marker("docker") is not None and (refusal := engine_refusal()):
        pytest.skip(f"no engine: {refusal}")


def pytest_sessionfinish() -> None:
    nurseries.SHELF.clear()


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if "no engine:" in str(report.longrepr)]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} tests had no Docker engine and did not run")
    else:
        terminalreporter.write_line("0 tests had no Docker engine")
    without = [report for report in terminalreporter.stats.get("skipped", []) if "no browser:" in str(report.longrepr)]
    if without:
        terminalreporter.write_line(f"{len(without)} tests had no browser and did not run")
