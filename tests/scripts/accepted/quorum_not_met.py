try:
    squares = gather([spawn("picky", {"n": n}) for n in inputs["numbers"]], min_ok=2)
except TooFewResults as e:
    partial = [r["square"] for r in e.results if r is not None]
    result = {"status": "degraded", "partial": partial, "kind": e.kind, "agent": e.agent, "slots": len(e.results)}
else:
    result = {"status": "ok", "squares": [s["square"] for s in squares]}
