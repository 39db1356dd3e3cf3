"""Ask what modules promise to their users, before somebody changes them.

One agent for each module. Its spawn opens that module in the library and no other. One agent more is asked about the
first module, and follows what it reads to another one: the gateway refuses that, and the agent says so.
"""

modules = inputs["modules"]

# "library:notes" looked useful when this was written. Nobody needs it, and the audit says so.
SCOPES = ["library:read", "library:notes"]


def in_short(found):
    """Return what matters to somebody who changes the module: numbers, and one name to begin with."""
    return {
        "promised": found["names"] + found["methods"],
        "silent": len(found["silent"]),
        "examples": found["examples"],
        "platform_choices": found["platform_choices"],
        "changing": [place["name"] for place in found["changing"]],
    }


reading = {name: spawn("read_promises", {"module": name}, scopes=SCOPES, label=name) for name in modules}
further = spawn("follow_leads", {"module": modules[0]}, scopes=["library:read"], label=f"from {modules[0]}")

promises = {name: in_short(found) for name, found in gather(reading, on_error="none").items() if found}
result = {
    "promises": promises,
    "not_told": {name: str(handle.error) for name, handle in reading.items() if not handle.ok},
    "overreach": further.result(),
}
