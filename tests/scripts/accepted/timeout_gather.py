"""Give the whole batch ten seconds; whatever is not there then is dropped."""
handles = [spawn("slow", {"task": f"t{s}", "seconds": s}, label=f"{s}s") for s in inputs["seconds"]]
outcomes = gather(handles, on_error="return", timeout=inputs["deadline"])
done, late = [], []
for handle, outcome in zip(handles, outcomes):
    if isinstance(outcome, SpawnTimedOut):
        late.append(handle.label)
    else:
        done.append(outcome["task"])
result = {"done": done, "late": late, "kinds": [h.error.kind if h.error else "ok" for h in handles]}
