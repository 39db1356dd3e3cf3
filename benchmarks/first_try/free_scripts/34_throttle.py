from contextlib import contextmanager
import time


class Throttle:
    """Hands out at most `per_second` starts."""

    def __init__(self, per_second):
        self.gap = 1 / per_second
        self.last = None
        self.waited = 0.0

    def __enter__(self):
        now = time.time()
        if self.last is not None and (left := self.gap - (now - self.last)) > 0:
            sleep(left)
            self.waited += left
        self.last = time.time()
        return self

    def __exit__(self, exc_type, exc, tb):
        return False


@contextmanager
def stage(name):
    before = limits.spawns_left
    t0 = time.time()
    log(f"> {name}")
    try:
        yield
    finally:
        log(f"< {name}", seconds=round(time.time() - t0, 2), spawns=before - limits.spawns_left)


throttle = Throttle(inputs.get("per_second", 4))
handles = {}
with stage("research"):
    for v in inputs["vendors"]:
        with throttle:
            handles[v] = spawn("research", {"vendor": v, "depth": "quick"}, fallback="archive")
    facts = gather(handles, on_error="none")

with stage("summaries"):
    lines = gather({v: spawn("summarise", {"text": f["text"]})["summary"] for v, f in facts.items() if f})

result = {"lines": lines, "throttled_seconds": round(throttle.waited, 2)}
