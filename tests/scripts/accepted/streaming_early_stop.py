"""Collect hits as they arrive and stop once there are enough; later handles are cancelled explicitly."""
handles = [spawn("search", {"query": q}, label=q) for q in inputs["queries"]]
hits = []
used = []
for h in as_completed(handles):
    hits += h.result()["results"]
    used.append(h.label)
    if len(hits) >= inputs["wanted"]:
        break
for h in handles:
    if h.label not in used:
        h.cancel()
result = {"hits": len(hits[: inputs["wanted"]]), "used": sorted(used), "cancelled": sum(h.error is not None for h in handles)}
