"""The default: the first failure is raised, and the others are cancelled."""
handles = [spawn("picky", {"n": n}, label=str(n)) for n in inputs["ns"]] + [
    spawn("slow", {"task": "long", "seconds": 50}, label="long")
]
try:
    gather(handles)
    outcome = "all fine"
except SpawnError as e:
    outcome = f"{e.agent} {e.label}: {e.kind}"
ended = [h.error.kind if h.error is not None else "ok" for h in handles]
result = {"outcome": outcome, "long": ended[-1], "failed": ended.count("failed")}
