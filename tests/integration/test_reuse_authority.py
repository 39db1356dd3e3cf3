"""An outcome of another run is taken only where today's spawn could have had it: same agent, no more authority then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.engine.submission import Reuse
from tests.runs import ANY_OBJECT, agent, policy_of, run_script

DEFAULT = "result = spawn('a', {'said': 1}).result()"
ASKED = "result = spawn('a', {'said': 1}, scopes=['crm:read']).result()"
FELL_BACK = "result = spawn('liar', {'said': 1}, fallback=Fallback('a', scopes=['crm:read'])).result()"
READ, WRITE = ["GET /customers/**"], ["POST /customers/**"]


def resources(**more: Any) -> dict[str, Any]:
    return {"crm": {"url": "https://crm.example", "scopes": {"crm:read": READ, "crm:write": WRITE}, **more}}


def policy(defaults: list[str] | None = None, *, resource: dict[str, Any] | None = None, **more: Any) -> Any:
    asked = {"scopes": ["crm:read", "crm:write"], "default_scopes": defaults or []}
    said = agent("echo", **asked, **more)
    return policy_of(
        agents={"a": said, "liar": agent("liar")},
        **({"resources": resource} if resource else {}),
    )  # fmt: skip


async def reused(home: Path, script: str, before: Any, now: Any) -> int:
    ran = await run_script(home, script, policy=before)
    again = await run_script(home, script, policy=now, reuse=Reuse(ran.result.run))

    assert again.result.result == ran.result.result
    return again.result.usage.reused


@pytest.mark.parametrize(
    ("before", "now", "count"),
    [
        (["crm:read"], ["crm:read"], 1), (["crm:read"], ["crm:write", "crm:read"], 1),
        (["crm:read", "crm:write"], ["crm:read"], 0), (["crm:read"], [], 0), ([], ["crm:read"], 1),
    ],
)  # fmt: skip
async def test_a_default_that_was_narrowed_gets_nothing_that_was_had_with_more(
    tmp_path: Path, before: list[str], now: list[str], count: int
) -> None:  # fmt: skip
    assert await reused(tmp_path, DEFAULT, policy(before), policy(now)) == count


async def test_a_fallback_gets_nothing_that_it_had_with_more(tmp_path: Path) -> None:
    ran = await run_script(tmp_path, FELL_BACK, policy=policy())
    same = await run_script(tmp_path, FELL_BACK, policy=policy(), reuse=Reuse(ran.result.run))
    less = FELL_BACK.replace("['crm:read']", "[]")
    other = await run_script(tmp_path, less, policy=policy(), reuse=Reuse(ran.result.run))

    assert (same.result.usage.reused, other.result.usage.reused) == (1, 0)


@pytest.mark.parametrize(
    ("now", "count"),
    [
        (resources(), 1), (resources(scopes={"crm:read": READ, "crm:write": [*WRITE, "PUT /customers/*"]}), 1),
        (resources(scopes={"crm:read": ["GET /customers/*"], "crm:write": WRITE}), 0),
        (resources(url="https://other.example"), 0),
    ],
)
async def test_a_scope_that_opens_something_else_today_gets_nothing_of_before(
    tmp_path: Path, now: dict[str, Any], count: int
) -> None:  # fmt: skip
    assert await reused(tmp_path, ASKED, policy(resource=resources()), policy(resource=now)) == count


async def test_what_a_command_was_given_in_its_environment_is_a_part_of_what_it_is(tmp_path: Path) -> None:
    def tenant(name: str) -> Any:
        entry = {"description": "x", "input": ANY_OBJECT, "output": ANY_OBJECT, "effects": "none", "unsafe_same_uid": True,
                 "command": ["/bin/sh", "-c", 'echo "{\\"tenant\\": \\"$TENANT\\"}"'], "env": {"TENANT": name}}  # fmt: skip
        return policy_of(agents={"a": entry})

    ran = await run_script(tmp_path, DEFAULT, policy=tenant("acme"))
    same = await run_script(tmp_path, DEFAULT, policy=tenant("acme"), reuse=Reuse(ran.result.run))
    other = await run_script(tmp_path, DEFAULT, policy=tenant("umbrella"), reuse=Reuse(ran.result.run))

    assert (same.result.usage.reused, same.result.result) == (1, {"tenant": "acme"})
    assert (other.result.usage.reused, other.result.result) == (0, {"tenant": "umbrella"})
