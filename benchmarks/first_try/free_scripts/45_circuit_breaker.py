import time
from collections import deque


class CircuitOpen(RuntimeError):
    pass


class Breaker:
    def __init__(self, limit=3, cooldown=2.0):
        self.limit, self.cooldown = limit, cooldown
        self.failures = 0
        self.opened_at = None
        self.log = []

    @property
    def state(self):
        if self.opened_at is None:
            return "closed"
        return "half-open" if time.monotonic() - self.opened_at >= self.cooldown else "open"

    def guard(self):
        if self.state == "open":
            raise CircuitOpen(f"open after {self.failures} failures")

    def success(self):
        if self.opened_at is not None:
            self.log.append("closed again")
        self.failures, self.opened_at = 0, None

    def failure(self):
        self.failures += 1
        if self.failures >= self.limit:
            self.opened_at = time.monotonic()
            self.log.append(f"opened at failure {self.failures}")


breaker = Breaker(**inputs.get("breaker", {}))
todo = deque(inputs["vendors"])
answers, from_archive = {}, []
batch_size = inputs.get("batch", 3)

while todo:
    batch = [todo.popleft() for _ in range(min(batch_size, len(todo)))]
    try:
        breaker.guard()
    except CircuitOpen as e:
        log("circuit open", reason=str(e), vendors=batch)
        for v, a in gather({v: spawn("archive", {"vendor": v}) for v in batch}).items():
            answers[v] = a
            from_archive.append(v)
        continue
    hs = {v: spawn("research", {"vendor": v, "depth": "quick"}, timeout=10) for v in batch}
    for v, h in hs.items():
        if h.error is None:
            breaker.success()
            answers[v] = h.result()
        else:
            breaker.failure()
            todo.append(v) if v not in from_archive and breaker.failures < 2 * breaker.limit else from_archive.append(v)

left = [v for v in from_archive if v not in answers]
answers.update(gather({v: spawn("archive", {"vendor": v}) for v in left}))
result = {"answers": {v: {"confidence": a["confidence"], "source": a["source"]} for v, a in answers.items()},
          "archive": from_archive, "breaker": breaker.log, "state": breaker.state}
