"""In a worker: make a function of a crew. CrewAI is imported at once, the policy's module at the first call, when the
variables that the policy gives it are there.

What CrewAI would tell its makers is off before it is imported; what it stores goes into a folder of the attempt.
Whatever the crew calls finds the call of the attempt by `runner.agents.current_call()`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from runner.agents.facts import CallFacts, NoJson, serving, tell_usage
from runner.agents.imports import load
from runner.guest.wire import WireError, loads
from runner.models import Json

# With tracing unset, a first kickoff without a network was seen to take a minute.
SILENT = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_TRACKING": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "OTEL_SDK_DISABLED": "true",
}
STORAGE = "CREWAI_STORAGE_DIR"


def make(path: str, folder: str, options: dict[str, Any]) -> Callable[..., Json]:
    """Return the crew as a function of inputs and call."""
    os.environ.update(SILENT)
    os.chdir(folder)
    import crewai  # noqa: F401 (what takes its time is done before the first attempt)

    factory = cache(lambda: load(path, folder))

    def function(inputs: Json, call: CallFacts) -> Json:
        os.environ[STORAGE] = tempfile.mkdtemp(prefix="crewai-", dir=os.environ.get("HOME"))
        try:
            with serving(call):
                return _kick_off(_crew_of(factory()), inputs, call, as_text=options["output_as"] == "text")
        finally:
            shutil.rmtree(os.environ.pop(STORAGE), ignore_errors=True)

    return function


def _crew_of(factory: Callable[[], Any]) -> Any:
    """Return a new crew. A class in CrewAI's own style (`@CrewBase`) is made, and asked for its crew."""
    made = factory()
    if not hasattr(made, "kickoff") and callable(getattr(made, "crew", None)):
        made = made.crew()
    if not hasattr(made, "kickoff"):
        raise TypeError(f"it returns a {type(made).__name__}, and no crew")
    return made


def _kick_off(crew: Any, inputs: Json, call: CallFacts, *, as_text: bool) -> Json:
    try:
        result = crew.kickoff(inputs=inputs)
    finally:
        _tell(crew, call)
    if as_text:
        return str(result.raw)
    if getattr(result, "json_dict", None) is not None:
        return result.json_dict
    if getattr(result, "pydantic", None) is not None:
        return result.pydantic.model_dump(mode="json")
    try:
        return loads(str(result.raw).strip())
    except WireError as error:
        raise NoJson(f"the last task's text: {error}") from None


def _tell(crew: Any, call: CallFacts) -> None:
    """Tell what the crew's models used, also where it failed. CrewAI may not know."""
    with suppress(Exception):
        used = crew.calculate_usage_metrics()
        if used.prompt_tokens or used.completion_tokens:
            tell_usage(
                call, model=_model_of(crew), input_tokens=int(used.prompt_tokens),
                output_tokens=int(used.completion_tokens),
            )  # fmt: skip


def _model_of(crew: Any) -> str:
    """Return the model of a crew's agents; "" where they have several."""
    models = {str(getattr(getattr(agent, "llm", None), "model", "")) for agent in crew.agents}
    return models.pop() if len(models) == 1 else ""
