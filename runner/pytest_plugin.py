"""A fixture for pytest: rehearse a script in a plain test, in milliseconds.

    def test_nothing_is_published_when_research_fails(rehearse):
        report = rehearse("brief.py", policy="runner.yaml", inputs={"vendors": ["acme"]},
                          mocks={"research": [{"fail": "rate limited"}]})

        assert report.state == "failed"
        assert [one.agent for one in report.spawns] == ["research"]

One Runner, with a guest that waits, serves the whole session, in a thread of its own: the fixture works in plain and
in async tests. Loaded by pytest in every project that has runner installed, so nothing of it is imported before a test
asks for the fixture.

Not here: rehearsing (engine).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import asyncio

    from runner.engine import Runner
    from runner.models import Script
    from runner.policy.model import Policy
    from runner.rehearsal.report import RehearsalReport

WAITING_GUESTS = 1


class Stage:
    """One Runner in a thread of its own, from the first rehearsal to the end of the session."""

    def __init__(self, home: Callable[[], Path]) -> None:
        """`home` makes the folder of a store that nobody keeps: the user's own is not touched."""
        self._home = home
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runner: Runner | None = None
        self._thread: threading.Thread | None = None

    def rehearse(self, **asked: Any) -> RehearsalReport:
        import asyncio

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="runner-rehearsals", daemon=True)
            self._thread.start()
        rehearsing = asyncio.run_coroutine_threadsafe(self._rehearsed(asked), self._loop)
        try:
            return rehearsing.result()
        except KeyboardInterrupt:
            rehearsing.cancel()
            raise

    async def _rehearsed(self, asked: dict[str, Any]) -> RehearsalReport:
        from runner.engine import Runner

        if self._runner is None:
            self._runner = await Runner(
                home=self._home(), sandbox="process", waiting_guests=WAITING_GUESTS
            ).__aenter__()
        return await self._runner.rehearse(**asked)

    def close(self) -> None:
        if self._loop is None or self._thread is None:
            return
        import asyncio

        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Rehearse:
    """What the fixture gives. Paths are relative to the test's folder, else to the root of the tests."""

    def __init__(self, stage: Stage, folders: Sequence[Path]) -> None:
        self._stage = stage
        self._folders = folders

    def __call__(
        self,
        script: str | Path | Script,
        *,
        policy: str | Path | Policy,
        inputs: Any = None,
        mocks: Any = None,
        expect: str | Path | Mapping[str, Any] | None = None,
        seed: int | None = None,
        edge: bool = False,
    ) -> RehearsalReport:
        """Rehearse a script; return what it did. A text of several lines is the script itself.

        `mocks` is a file, answers by agent as in a file, functions of the inputs by agent, a function of agent and
        inputs, or several of these in a list; the rest is drawn from schemas. Raises AssertionError where an
        expectation is not met, UsageError where it cannot be rehearsed at all.
        """
        __tracebackhide__ = True
        report = self._stage.rehearse(
            script=self._script(script), policy=self._found(policy), inputs=inputs, mocks=self._mocks(mocks),
            expect=self._found(expect), seed=seed, edge=edge,
        )  # fmt: skip
        if report.failures:
            raise AssertionError("\n".join(map(str, report.failures)))
        return report

    def _script(self, script: Any) -> Any:
        from runner.models import Script

        if isinstance(script, str) and "\n" in script:
            return Script("script", script.encode())
        return self._found(script)

    def _mocks(self, mocks: Any) -> Any:
        return [self._found(one) for one in mocks] if isinstance(mocks, (list, tuple)) else self._found(mocks)

    def _found(self, path: Any) -> Any:
        if not isinstance(path, (str, Path)):
            return path
        places = [folder / path for folder in self._folders]
        return next((place for place in places if place.exists()), places[0])


@pytest.fixture(scope="session")
def _rehearsal_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    def home() -> Path:
        folder = tmp_path_factory.mktemp("rehearsals")
        folder.chmod(0o700)
        return folder

    stage = Stage(home)
    yield stage
    stage.close()


@pytest.fixture
def rehearse(request: pytest.FixtureRequest, _rehearsal_stage: Stage) -> Rehearse:
    """Rehearse scripts against mock agents: `rehearse("script.py", policy="runner.yaml", mocks={...})`."""
    return Rehearse(_rehearsal_stage, (request.path.parent, request.config.rootpath))
