"""Manual retry with exponential backoff, the way one would with a flaky HTTP API."""
import time

MAX_TRIES = 4
delay = 1.0
started = time.time()
log_lines = []
outcome = None
for attempt in range(1, MAX_TRIES + 1):
    h = spawn("flaky", {"task": inputs["task"], "fails": inputs["fails"] - attempt + 1 if attempt <= inputs["fails"] else 0})
    try:
        outcome = h.result()
        break
    except SpawnFailed as exc:
        log_lines.append(f"attempt {attempt}: {exc}")
        time.sleep(delay)
        delay *= 2
elapsed = time.time() - started
result = {"outcome": outcome, "log": log_lines, "slept_enough": elapsed >= 3.0}
