"""Run one script under the dialect inside this process, and tell what came of it."""

from __future__ import annotations

import random
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from runner.guest.dialect import Compiled, EndOfRun, compile_script, namespace

NOW = 1_700_000_000.0


class Ended(EndOfRun):
    """Stands for the end of the process: `fatal` raises it."""


@dataclass(slots=True)
class Ran:
    """What a script left behind."""

    compiled: Compiled
    names: dict[str, object] = field(default_factory=dict)
    printed: list[str] = field(default_factory=list)
    error: BaseException | None = None
    fatal: list[BaseException] = field(default_factory=list)

    @property
    def result(self) -> object:
        return self.names.get("result")

    @property
    def output(self) -> str:
        return "".join(self.printed)

    @property
    def rules(self) -> list[str]:
        return [one.rule for one in self.compiled.remarks]


def run(source: str, api: Mapping[str, object] | None = None, *, imports: frozenset[str] | None = None) -> Ran:
    """Compile and run; an exception of the script is kept, not raised."""
    ran = Ran(compile_script(source, imports=imports))
    if ran.compiled.code is not None:
        execute(ran, ran.compiled.code, api or {}, imports)
    return ran


def execute(ran: Ran, code: types.CodeType, api: Mapping[str, object], imports: frozenset[str] | None = None) -> None:
    def fatal(error: BaseException) -> NoReturn:
        ran.fatal.append(error)
        raise Ended

    ran.names = namespace(
        api,
        clock=lambda: NOW,
        randomness=lambda name: random.Random(f"seed {name}"),
        fatal=fatal,
        emit=ran.printed.append,
        imports=imports,
    )
    frames = sys.getrecursionlimit()
    try:
        exec(code, ran.names)
    except Ended:
        pass
    except BaseException as error:
        ran.error = error
    finally:
        # What ends a run raises it for its last words; in a guest the process ends then.
        sys.setrecursionlimit(frames)
