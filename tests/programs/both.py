"""Run one program in plain CPython and under the dialect, with the same agents, and keep what each shows.

The agents are functions of their inputs, and they keep a list of what was asked for. Handles here can wait and no more:
what a program of the grammar does with them, it does in both worlds alike.
"""

from __future__ import annotations

import functools
import random
import re
import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from runner.guest.dialect import compile_script, namespace
from tests.scripts.escapes.inside import NOW, Ended


@dataclass(slots=True)
class Shown:
    """What a program let be seen."""

    result: str = "None"
    printed: list[str] = field(default_factory=list)
    error: str | None = None
    spawns: list[str] = field(default_factory=list)


class SpawnError(Exception):
    """A spawn did not end well."""


class SpawnTimedOut(SpawnError):
    """It took too long; here nothing does."""


class Cancelled(SpawnError):
    """It was cancelled; here nothing is."""


class Handle:
    """What `spawn` returns; its agent has answered already."""

    __slots__ = ("_error", "_value", "agent")

    def __init__(self, agent: str, value: Any, error: Exception | None) -> None:
        self.agent, self._value, self._error = agent, value, error

    @property
    def ok(self) -> bool:
        return self._error is None

    @property
    def error(self) -> Exception | None:
        return self._error

    def __getitem__(self, key: Any) -> Handle:
        return Handle(self.agent, self.result()[key], None)

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value


def api(spawns: list[str]) -> dict[str, Any]:
    """Return the names of an API whose agents answer from their inputs alone."""

    def spawn(agent: str, inputs: Any = None, *, label: str | None = None) -> Handle:
        inputs = filled(inputs)
        spawns.append(f"{agent} {inputs!r} {label}")
        if agent == "echo":
            return Handle(agent, inputs, None)
        return Handle(agent, None, SpawnError(f"{agent} failed on {inputs!r}"))

    def gather(*things: Any, on_error: str = "raise", return_exceptions: bool = False, timeout: Any = None) -> Any:
        shape = things[0] if len(things) == 1 and type(things[0]) is not Handle else list(things)
        return filled(shape, "return" if return_exceptions else on_error)

    def as_completed(handles: Any) -> Any:
        return iter(list(handles))

    return {
        "spawn": spawn,
        "gather": gather,
        "as_completed": as_completed,
        "sleep": lambda seconds: None,
        "Handle": Handle,
        "SpawnError": SpawnError,
        "SpawnTimedOut": SpawnTimedOut,
        "Cancelled": Cancelled,
        "inputs": {"n": 3},
    }


def filled(shape: Any, on_error: str = "raise") -> Any:
    """Return the structure with what each handle stands for."""
    if type(shape) is Handle:
        return shape.result() if shape.ok or on_error == "raise" else None if on_error == "none" else shape.error
    if isinstance(shape, dict):
        return {key: filled(value, on_error) for key, value in shape.items()}
    if isinstance(shape, tuple):
        return tuple(filled(one, on_error) for one in shape)
    if shape is None or isinstance(shape, (str, int, float)):
        return shape
    if isinstance(shape, Iterable):
        return [filled(one, on_error) for one in shape]
    raise TypeError(f"a {type(shape).__name__} is no JSON")


@functools.cache
def _plain_code(source: str) -> types.CodeType:
    return compile(source, "<script>", "exec", dont_inherit=True)


@functools.cache
def _dialect_code(source: str) -> types.CodeType:
    code = compile_script(source).code
    assert code is not None
    return code


class _Return(BaseException):
    """Stands in for a top-level `return`, which CPython does not have."""


def plainly(source: str, prelude: str = "") -> Shown:
    """Run in CPython, after the prelude, which is compiled once. A line `return x  # top` ends the program."""
    shown = Shown()

    def write(*values: object, sep: str = " ", end: str = "\n", flush: bool = False) -> None:
        shown.printed.append(sep.join(map(str, values)) + end)

    write.__name__ = "print"
    space = {"__name__": "__main__", "__doc__": None, "print": write, "_Return": _Return, **api(shown.spawns)}
    source = re.sub(r"^( *)return (.*)  # top$", r"\1result = \2; raise _Return", source, flags=re.MULTILINE)
    code = compile(source, "<script>", "exec", dont_inherit=True)
    if prelude:
        exec(_plain_code(prelude), space)
    return _ended(shown, code, space)


def dialectally(source: str, prelude: str = "") -> Shown:
    """Run under the dialect, after the prelude."""
    shown = Shown()
    compiled = compile_script(source)
    if compiled.code is None:
        shown.error = f"refused: {compiled.remarks[0]}"
        return shown

    def fatal(error: BaseException) -> Any:
        shown.error = f"fatal {type(error).__name__}"
        raise Ended

    space: dict[str, Any] = namespace(
        api(shown.spawns), clock=lambda: NOW, randomness=random.Random, fatal=fatal, emit=shown.printed.append
    )
    if prelude:
        exec(_dialect_code(prelude), space)
    return _ended(shown, compiled.code, space)


def _ended(shown: Shown, code: types.CodeType, space: dict[str, Any]) -> Shown:
    try:
        exec(code, space)
    except (Ended, _Return):
        pass
    except (MemoryError, RecursionError) as error:
        shown.error = f"fatal {type(error).__name__}"
    except Exception as error:
        shown.error = f"{type(error).__name__}: {error}"
    shown.result = repr(space.get("result"))
    return shown
