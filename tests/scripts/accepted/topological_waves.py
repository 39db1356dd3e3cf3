"""Run tasks wave by wave (Kahn's algorithm)."""
from collections import defaultdict

needs = {name: set(deps) for name, deps in inputs["needs"].items()}
waves = []
done: set[str] = set()
while len(done) < len(needs):
    ready = sorted(name for name, deps in needs.items() if name not in done and deps <= done)
    if not ready:
        raise ValueError(f"cycle among {sorted(set(needs) - done)}")
    gather([spawn("flaky", {"task": name, "fails": 1}, retry=2, label=name) for name in ready])
    done.update(ready)
    waves.append(ready)

dependents = defaultdict(list)
for name, deps in needs.items():
    for dep in deps:
        dependents[dep].append(name)
result = {"waves": waves, "dependents": {k: sorted(v) for k, v in sorted(dependents.items())}}
