"""Retry(attempts) by position."""
handles = [spawn("flaky", {"task": t, "fails": 2}, retry=Retry(2, 0.5), label=t) for t in inputs["tasks"]]
result = []
for h in handles:
    result.append({"task": h.label, "attempt": h.result()["attempt"]})
