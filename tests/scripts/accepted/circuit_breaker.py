"""Stop calling a host after two failures in a row."""
import re
from dataclasses import dataclass


@dataclass
class Breaker:
    threshold: int = 2
    failures: int = 0

    @property
    def open(self) -> bool:
        return self.failures >= self.threshold

    def record(self, ok: bool) -> None:
        self.failures = 0 if ok else self.failures + 1


breakers: dict[str, Breaker] = {}
log_: list[str] = []
for url in inputs["urls"]:
    host = re.match(r"https?://([^/]+)", url).group(1)
    breaker = breakers.setdefault(host, Breaker())
    if breaker.open:
        log_.append(f"skip {url}")
        continue
    handle = spawn("fetch", {"url": url})
    breaker.record(handle.ok)
    log_.append(f"{'ok  ' if handle.ok else 'fail'} {url}")
result = {"log": log_, "open": [h for h, b in breakers.items() if b.open]}
