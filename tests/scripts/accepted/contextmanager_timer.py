"""Measure phases with a context manager."""
import time
from contextlib import contextmanager

phases = {}


@contextmanager
def phase(name):
    start = time.monotonic()
    try:
        yield
    finally:
        phases[name] = time.monotonic() - start


with phase("research"):
    findings = gather([spawn("research", {"topic": t}) for t in inputs["topics"]])
with phase("write"):
    text = spawn("write", {"instructions": "Sum up", "context": [f["summary"] for f in findings]}).result()["text"]
with phase("think"):
    longest = max(phases, key=phases.get)

result = {"text": text, "phases": list(phases), "think": phases["think"], "positive": all(v > 0 for k, v in phases.items() if k != "think"), "longest": longest}
