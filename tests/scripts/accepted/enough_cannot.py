"""Three good ones cannot be had: gather says so without waiting for the slow one."""
import time

t0 = time.time()
handles = [spawn("picky", {"n": n}) for n in inputs["ns"]] + [spawn("slow", {"task": "t", "seconds": 40})]
try:
    gather(handles, enough=3)
    outcome = "ok"
except TooFewResults as e:
    outcome = [r if r is None else r["square"] for r in e.results]
result = {"outcome": outcome, "quick": time.time() - t0 < 10}
