from collections import Counter, deque

status = {}
queue = deque(inputs["start"])
hops = 0
while queue and hops < inputs.get("hops", 2):
    wave = []
    while queue:
        u = queue.popleft()
        if u not in status:
            status[u] = "pending"
            wave.append(u)
    wave = wave[: limits.spawns_left - 10]
    outcome = gather({u: spawn("read_page", {"url": u}, timeout=8) for u in wave}, on_error="return")
    for u, page in outcome.items():
        if isinstance(page, SpawnTimedOut):
            status[u] = "slow"
        elif isinstance(page, Exception):
            status[u] = f"broken ({page.kind})"
        else:
            status[u] = "ok" if page["text"].strip() else "empty"
            queue.extend(page["links"])
    hops += 1

kinds = Counter(s.split()[0] for s in status.values())
width = max(len(u) for u in status)
result = {
    "table": [f"{u.ljust(width)}  {s}" for u, s in sorted(status.items(), key=lambda x: (x[1], x[0]))],
    "counts": dict(kinds),
    "health": "%.1f%%" % (100 * kinds["ok"] / len(status)),
}
