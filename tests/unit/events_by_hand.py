"""Events as a journal would return them, made by hand: for tests of what is shown of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from runner.events import Event, EventKind
from runner.models import Json, SandboxFacts, Usage

RUN = "20250615-150640-abc123"
# 2025-06-15 15:06:40 UTC.
START = 1_750_000_000.0


class Told:
    """Tells events one after the other; `at` is seconds after the start."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def tell(
        self, kind: EventKind, body: dict[str, Any], value: dict[str, Json] | None = None, *, at: float = 0.0
    ) -> Event:
        text = None if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        event = Event(
            RUN, len(self.events) + 1, kind, int((START + at) * 1e6), body, text, "d" * 64 if text else "", "e" * 64
        )
        self.events.append(event)
        return event

    def submitted(self, source: str = "result = 1\n", inputs: Json = None, *, at: float = 0.0) -> Event:
        body = {
            "script": "vendors", "script_digest": "a" * 64, "policy": "demo", "policy_digest": "b" * 64,
            "inputs_digest": "c" * 64, "runner": "0.1.0", "python": "3.11.7", "trace": "f" * 32, "span": "0" * 16,
            "sandbox": "process",
        }  # fmt: skip
        return self.tell(
            EventKind.RUN_SUBMITTED, body, {"script": source, "policy": "{}", "inputs": inputs or {}}, at=at
        )

    def checked(self, findings: list[dict[str, Json]] | None = None, *, accepted: bool = True) -> Event:
        body = {"accepted": accepted, "errors": 0, "warnings": 0, "dialect": 1, "python": "3.11"}
        return self.tell(EventKind.SCRIPT_CHECKED, body, {"findings": findings or [], "reach": {}})

    def sandboxed(self, **facts: Any) -> Event:
        known = SandboxFacts(**{"kind": "docker", "pid": 7, "python": "3.11", "image": "sha256:1234", **facts})
        return self.tell(EventKind.SANDBOX_STARTED, {**asdict(known), "lock": "verified"})

    def started(self, *, at: float = 0.0) -> Event:
        return self.tell(EventKind.RUN_STARTED, {"seed": 1, "now": START, "dialect": 1}, at=at)

    def spawned(
        self, n: int, agent: str = "research", *, label: str | None = None, needs: tuple[int, ...] = (), at: float = 0.0
    ) -> Event:
        body = {
            "spawn": n, "agent": agent, "scopes": [], "timeout": None, "retry": None, "fallback": [], "line": 3,
            "span": "1" * 16,
        }  # fmt: skip
        parts: list[Json] = [{"part": handle, "path": []} for handle in needs]
        fills: list[Json] = [[["x"], {"text": ["of ", *parts]}]] if parts else []
        value: dict[str, Json] = {"fills": fills, "inputs": {"x": None}, "label": label} if fills else {}
        return self.tell(EventKind.SPAWN_REQUESTED, body, value or {"inputs": {}, "label": label}, at=at)

    def attempted(self, n: int, attempt: int = 1, agent: str = "research", *, at: float = 0.0) -> Event:
        body = {
            "spawn": n, "attempt": attempt, "agent": agent, "inputs_digest": "c" * 64, "timeout": 60.0, "span": "2" * 16
        }  # fmt: skip
        return self.tell(EventKind.ATTEMPT_STARTED, body, at=at)

    def attempt_failed(
        self, n: int, attempt: int = 1, agent: str = "research", *, following: str = "retry", backoff: float = 0.0,
        outcome: str = "failed", message: str = "no", at: float = 0.0,
    ) -> Event:  # fmt: skip
        body = {
            "spawn": n, "attempt": attempt, "agent": agent, "outcome": outcome, "seconds": 1.0, "next": following,
            "backoff": backoff,
        }  # fmt: skip
        return self.tell(EventKind.ATTEMPT_FAILED, body, {"message": message}, at=at)

    def settled(
        self, n: int, outcome: str = "ok", *, message: str = "", agent: str = "research", attempts: int = 1,
        at: float = 0.0,
    ) -> Event:  # fmt: skip
        body = {
            "spawn": n, "agent": agent, "outcome": outcome, "attempts": attempts, "seconds": 1.0, "bytes": 20
        }  # fmt: skip
        return self.tell(
            EventKind.SPAWN_SETTLED, body, {"output": {}} if outcome == "ok" else {"message": message}, at=at
        )

    def waited(
        self, handles: list[int], *, wait: int = 1, group: int = 1, until: float | None = None, at: float = 0.0
    ) -> Event:
        body = {
            "wait": wait, "group": group, "handles": handles, "need": len(handles), "of": "settled", "until": until,
            "rest": "keep", "line": 4,
        }  # fmt: skip
        return self.tell(EventKind.WAIT_OPENED, body, at=at)

    def answered(self, handles: list[int], *, wait: int = 1, at: float = 0.0) -> Event:
        body = {"wait": wait, "handles": handles, "ended": "ready", "now": START + at}
        return self.tell(EventKind.ANSWERED, body, at=at)

    def cancelled(self, n: int, by: str = "script", *, at: float = 0.0) -> Event:
        return self.tell(EventKind.SPAWN_CANCELLED, {"spawn": n, "by": by}, at=at)

    def derived(self, n: int, *of: int, at: float = 0.0) -> Event:
        return self.tell(EventKind.THEN_REQUESTED, {"handle": n, "of": list(of), "line": 5}, at=at)

    def returned(self, n: int, value: Json = None, *, fills: bool = False, at: float = 0.0) -> Event:
        told: dict[str, Json] = {"value": value, **({"fills": [[[], {"part": 1, "path": []}]]} if fills else {})}
        return self.tell(EventKind.THEN_RETURNED, {"handle": n, "outcome": "ok"}, told, at=at)

    def then_settled(self, n: int, outcome: str = "ok", *, message: str = "", at: float = 0.0) -> Event:
        body = {"handle": n, "outcome": outcome, "bytes": 2}
        value: dict[str, Json] = {"output": {}} if outcome == "ok" else {"message": message}
        return self.tell(EventKind.THEN_SETTLED, body, value, at=at)

    def printed(self, text: str, **fields: Json) -> Event:
        return self.tell(EventKind.OUTPUT_WRITTEN, {"line": 2, "bytes": len(text)}, {"text": text, "fields": fields})

    def finished(
        self, state: str = "done", *, result: Json = None, usage: Usage | None = None, at: float = 0.0, **error: Any
    ) -> Event:
        body = {
            "state": state, "kind": error.pop("kind", ""), "line": error.pop("line", 0), "spawns": {},
            "usage": asdict(usage or Usage()),
        }  # fmt: skip
        return self.tell(EventKind.RUN_FINISHED, body, {"result": result} if state == "done" else error, at=at)
