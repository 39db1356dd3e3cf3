"""What the crash tests run: scripts in which every kind of event occurs, and whose result no crash may change.

An agent that is not idempotent may come to an unknown outcome when its host dies: the scripts then ask one that is, which
says the same. What depends on time is decided beforehand: only what hangs is waited for with a timeout.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from runner import Script
from runner.policy import load_policy_text
from runner.policy.model import Policy
from tests.authorization_servers import CLIENT, CRM
from tests.runs import ANY_OBJECT

FOLDER = Path(__file__).parent
ONCE = ("write", "send")
"""Agents that are not idempotent."""


def _agent(name: str, **more: Any) -> dict[str, Any]:
    entry = {
        "description": name, "python": f"agents:{name}", "input": ANY_OBJECT, "output": ANY_OBJECT, "effects": "read",
        "idempotent": True,
    }  # fmt: skip
    return {**entry, **more}


AGENTS = {
    **{name: _agent(name) for name in ("find", "fails", "look", "hang", "shape")},
    "write": _agent("write", effects="write", idempotent=False),
    "stubborn": _agent("stubborn", timeout="0.05s"),
}
SCOPED = {
    "fetch": _agent("fetch", scopes=["crm:read", "crm:odd"]),
    "send": _agent("send", scopes=["crm:write"], effects="write", idempotent=False),
}

FAN = b"""
def note_of(output):
    return {"who": output["who"], "more": spawn("find", {"who": output["who"] + "!"})}

def breaks(output):
    return output["nothing"]

def once(agent, handles):
    "The outputs of an agent that is not idempotent: what nobody knows is looked up."
    found = gather(handles, on_error="none")
    looked = [spawn("look", {"n": n}) if one is None else None for n, one in enumerate(found)]
    return [one if one is not None else look.result() for one, look in zip(found, looked)]

print("begins")
log("with fields", n=1)
found = [spawn("find", {"who": w, "fails": n % 3}, retry=Retry(attempts=2, backoff=0.01)) for n, w in enumerate(inputs["names"])]
written = [spawn("write", {"n": n, "after": f["who"]}, label=f"write {n}") for n, f in enumerate(found)]
plain = [f.then(lambda output: output["size"] + 1) for f in found]
filled = [f.then(note_of) for f in found[:2]]
broken = found[0].then(breaks)
after_broken = spawn("find", {"who": broken})
denied = spawn("find", {"who": "x"}, scopes=inputs["beyond"])
refused = spawn("find", {"who": "x"}, accept={"type": "object", "properties": {"who": {"const": "y"}}})
fallen = spawn("fails", {"who": "fallen"}, retry=Retry(attempts=1, backoff=0.01), fallback="find")
shaped = spawn("shape", {"who": f"{found[0]} and {found[1]['who']}"})
gone = spawn("hang")
read = [spawn("fetch", {"customer": n}, scopes=["crm:read"]) for n in (1, 2)]
sent = [spawn("send", {"customer": 3 + n}, scopes=["crm:write"]) for n in range(2)]
first = gather(found)
gone.cancel()
late = gather([spawn("hang"), spawn("hang")], timeout=0.02, on_error="return")
beaten = [spawn("hang"), spawn("hang")]
quick = first_ok([*beaten, spawn("find", {"who": "quick"})])
beaten = [one.error.kind for one in beaten]
sleep(0.01)
order = sorted(handle.result()["who"] for handle in as_completed([spawn("find", {"who": w}) for w in "xyz"]))
print("between", order)
kinds = [h.error.kind for h in (denied, refused, after_broken, broken, gone)] + [one.kind for one in late]
left_open = spawn("hang")
result = {
    "first": first, "written": once("write", written), "plain": gather(plain), "filled": gather(filled), "kinds": kinds,
    "fallen": fallen.result(), "shaped": shaped.result()["size"], "quick": quick, "beaten": beaten, "order": order,
    "read": gather(read), "sent": len(once("send", sent)),
}
"""

LINGERS = b"""
lingers = spawn("stubborn")
found = gather([lingers, spawn("find", {"who": "a"})], on_error="none")
sleep(0.15)
result = [one and one["who"] for one in found]
"""

EXTERNAL = b"""
read = [spawn("fetch", {"customer": n}, scopes=["crm:read"]) for n in (1, 2)]
odd = spawn("fetch", {"customer": 3, "who": "odd"}, scopes=["crm:odd"], fallback=Fallback("find", scopes=[]))
result = {"read": gather(read), "odd": odd.result()}
"""

REUSE = b"""
found = [spawn("find", {"who": w}) for w in inputs["names"]]
written = [spawn("write", {"n": w, "after": f["who"]}) for w, f in zip(inputs["names"], found)]
known = gather(written, on_error="none")
looked = [spawn("look", {"n": w}) if one is None else None for w, one in zip(inputs["names"], known)]
result = [gather(found), [one if one is not None else look.result() for one, look in zip(known, looked)]]
"""

STOPPED = b"""
first = spawn("find", {"who": "a"}).result()
written = gather([spawn("write", {"n": 1})], on_error="none")
result = spawn("hang").result()
"""


REVIEWED = b"""
result = [one["who"] for one in gather([spawn("find", {"who": w}) for w in "ab"])]
"""


NESTED = b"""
result = gather([spawn("within", {"names": names}) for names in ("ab", "c")])
"""
WITHIN = {
    "description": "A script in this one.", "script": {"file": "within.py", "policy": "within.yaml"}, "input": ANY_OBJECT,
    "output": ANY_OBJECT, "effects": "read",
}  # fmt: skip


@dataclass(frozen=True)
class Workload:
    name: str
    source: bytes
    kinds: tuple[str, ...]
    """Kinds of events that it is the one to die at."""
    external: bool = False
    stop: bool = False
    """It is stopped once its last agent was called."""
    review: str = "none"
    """Its policy's review rule; nothing of the script is flagged."""
    names: str = "abcd"
    """How wide it fans out."""
    origin_names: str = ""
    """How wide the run before it fanned out, whose outcomes it reuses; "" for none."""

    def inputs(self, names: str = "") -> Any:
        return {"beyond": ["root"], "names": names or self.names}

    @property
    def script(self) -> Script:
        return Script(self.name, self.source)

    def policy(self, crm_url: str, server_url: str = "") -> Policy:
        """Return its policy. `crm_url`: of the resource server; `server_url`: of the authorization server."""
        agents, more = dict(AGENTS), {}
        if self.name == "nested":
            agents["within"] = WITHIN
        if crm_url:
            agents |= SCOPED
            crm: dict[str, Any] = {
                "url": crm_url,
                "scopes": {
                    "crm:read": "GET /customers/{inputs.customer}", "crm:write": "POST /customers/{inputs.customer}/notes",
                    "crm:odd": "GET /odd",
                },
            }  # fmt: skip
            if self.external:
                crm |= {"audience": CRM, "issuer": "idp"}
                more["issuers"] = {
                    "idp": {"url": server_url, "client_id": CLIENT, "credential": "env:IDP_WORD", "per_second": 1000}
                }
            more["resources"] = {"crm": crm}
        written = {"version": 1, "sandbox": "process", "limits": {"wall": "60s"}, "agents": agents, **more}
        written["review"] = self.review
        return load_policy_text(yaml.safe_dump(written), folder=FOLDER, name="crash")


WORKLOADS = {
    one.name: one
    for one in (
        Workload(
            "fan", FAN,
            (
                "run_submitted", "script_checked", "sandbox_started", "agent_reached", "run_started", "run_resumed", "spawn_requested",
                "spawn_denied", "attempt_started", "attempt_failed", "token_issued", "token_closed", "gateway_used",
                "gateway_answered", "gateway_refused", "spawn_cancelled", "spawn_settled", "then_requested",
                "then_returned", "then_settled", "wait_opened", "answered", "output_written", "run_finished",
            ),
        ),
        Workload("lingers", LINGERS, ("agent_lingered",)),
        Workload(
            "external", EXTERNAL, ("token_intent", "token_refused", "token_revoked", "token_unrevoked"), external=True
        ),
        Workload("stopped", STOPPED, ("stop_requested",), stop=True),
        Workload("reuses", REUSE, ("spawn_reused",), origin_names="ab"),
        Workload("reviewed", REVIEWED, ("review_decided",), review="when_flagged"),
        Workload("nested", NESTED, ("run_nested",)),
        Workload("wide", FAN, (), names="abcdefghijklmnopqrstuvwxyz"),
    )
}  # fmt: skip
KINDS = {kind: one.name for one in WORKLOADS.values() for kind in one.kinds}
"""Kind of event → the workload that is killed at it."""
