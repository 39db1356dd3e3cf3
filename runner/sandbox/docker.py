"""Start guests in Docker containers, one each.

On the way to a running guest stand four requests on kept connections: create, attach, start, inspect;
attached before the start, because nothing of a container's output is kept. Removal waits in the
background and is finished by `close`.

Measured on two idle cores: create to start 95 ms (nearly all of it runc), until the guest is ready 75 ms more, kill
2 ms, removal 45 ms behind the scenes; `docker run --rm --network none` of an empty Python program: 245 ms.

Not here: what a container may be (container), the talk with a running one (docker_channel).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Sequence
from typing import Any

from runner.errors import SandboxUnavailable
from runner.models import Limits, SandboxFacts
from runner.policy.model import SandboxRule
from runner.sandbox.container import HARDENING, container_config, labels_of
from runner.sandbox.docker_channel import DockerChannel, remove_container
from runner.sandbox.engine_api import Connection, Engine, EngineRefused, container_path
from runner.sandbox.guest_process import GuestProcess
from runner.sandbox.image import COMMAND, ImageFacts, Progress, ensure_image
from runner.sandbox.images import absent, image_of_run
from runner.sandbox.machine import require_verified

NAME_PREFIX = "runner-"


class DockerSandbox:
    """Containers of the engine that answers, from the image of this interpreter or an older one of ours.

    Implements `seams.Sandbox`.
    """

    kind = "docker"

    def __init__(
        self,
        *,
        store: str,
        host: str,
        rule: SandboxRule | None = None,
        image: str = "",
        command: Sequence[str] = COMMAND,
        progress: Progress | None = None,
    ) -> None:
        """`store` and `host` become labels, by which `reaper` knows whose a container was.

        `image` is the id of an older image of ours, which a journal names; without it the current one is used, and
        made where it is missing. `command` stands in for its guest. Nothing is started.
        """
        self._rule = rule or SandboxRule()
        self._labels = labels_of(store, host)
        self._image_given = image
        self._command = tuple(command)
        self._progress = progress
        self._opening = asyncio.Lock()
        self._opened: tuple[Engine, ImageFacts] | None = None
        self._channels: set[DockerChannel] = set()
        self._background: set[asyncio.Task[None]] = set()

    async def start(self, limits: Limits) -> DockerChannel:
        """Start a guest under these limits. Raises SandboxUnavailable: nothing is left of it."""
        engine, image = await self._open()
        try:
            container = await self._create(engine, image, limits)
        except EngineRefused as refusal:
            if refusal.status != 404 or self._image_given:
                raise _explained(refusal, image.id) from refusal
            # The image was removed since it was last seen: made again, once.
            self._opened = None
            engine, image = await self._open()
            container = await self._create(engine, image, limits)
        try:
            return await self._begin(engine, image, container)
        except BaseException:
            self._later(remove_container(engine, container))
            raise

    async def close(self) -> None:
        """Kill every guest that is left, remove every container, and close the connections."""
        await asyncio.gather(*(channel.kill() for channel in list(self._channels)), return_exceptions=True)
        while self._background:
            await asyncio.gather(*self._background, return_exceptions=True)
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None

    async def _open(self) -> tuple[Engine, ImageFacts]:
        async with self._opening:
            if self._opened is None:
                require_verified(self.kind)
                engine = await Engine.find()
                try:
                    image = await self._image(engine)
                except BaseException:
                    engine.close()
                    raise
                self._opened = (engine, image)
            return self._opened

    async def _image(self, engine: Engine) -> ImageFacts:
        if self._image_given:
            return await image_of_run(engine, self._image_given)
        return await ensure_image(engine, self._progress)

    async def _create(self, engine: Engine, image: ImageFacts, limits: Limits) -> str:
        config = container_config(
            image=image.id, command=self._command, limits=limits, labels=self._labels, runtime=self._rule.runtime
        )
        name = NAME_PREFIX + secrets.token_hex(8)
        answer = await engine.call("POST", "/containers/create", query={"name": name}, body=config)
        return str(answer.json()["Id"])

    async def _begin(self, engine: Engine, image: ImageFacts, container: str) -> DockerChannel:
        stream = await engine.hijack(container_path(container, "/attach?stream=1&stdin=1&stdout=1&stderr=1"))
        try:
            await engine.call("POST", container_path(container, "/start"))
            found = (await engine.call("GET", container_path(container, "/json"))).json()
        except EngineRefused as refusal:
            stream.close()
            raise _explained(refusal, image.id) from refusal
        except BaseException:
            stream.close()
            raise
        return self._channel(engine, image, container, stream, int(found["State"]["Pid"]))

    def _channel(
        self, engine: Engine, image: ImageFacts, container: str, stream: Connection, pid: int
    ) -> DockerChannel:
        process = None if self._rule.runtime else GuestProcess.find(pid, container)
        facts = SandboxFacts(
            kind=self.kind,
            pid=pid,
            python=image.python,
            bundle=image.bundle,
            image=image.id,
            container=container,
            hardening=(*HARDENING, "seccomp-lock") if process else HARDENING,
            missing=() if process else ("a lock that can be seen from outside",),
        )
        channel = DockerChannel(
            engine=engine,
            stream=stream,
            facts=facts,
            process=process,
            unsafe_unverified_lock=self._rule.unsafe_unverified_lock,
            on_end=self._ended,
        )
        self._channels.add(channel)
        return channel

    def _ended(self, channel: DockerChannel, clean_up: Coroutine[Any, Any, None]) -> None:
        # Until it is gone `close` kills it: where no process can be seen, the end is only waited for.
        self._later(clean_up).add_done_callback(lambda _: self._channels.discard(channel))

    def _later(self, clean_up: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(clean_up)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


def _explained(refusal: EngineRefused, image: str) -> SandboxUnavailable:
    if refusal.status == 404 and "image" in refusal.message.lower():
        return absent(image)
    hint = "runner doctor shows what the engine can do"
    if "runtime" in refusal.message.lower() and "unknown" in refusal.message.lower():
        hint = "install that OCI runtime, or leave `runtime` out of the policy's sandbox"
    return SandboxUnavailable(refusal.message, hint=refusal.hint or hint)
