"""A running average with a generator that takes values by send."""
import time


def averager():
    total, count, mean = 0.0, 0, None
    while True:
        value = yield mean
        total += value
        count += 1
        mean = total / count


running = averager()
next(running)
trail = []
t0 = time.time()
last_seen = t0
in_order = True
for h in as_completed([spawn("score", {"item": s}, label=s) for s in inputs["sensors"]]):
    in_order = in_order and time.time() >= last_seen
    last_seen = time.time()
    trail.append((h.label, round(running.send(h.result()["score"]), 2)))
running.close()
result = {"trail": trail, "in_order": in_order}
