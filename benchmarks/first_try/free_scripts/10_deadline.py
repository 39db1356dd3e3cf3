import time

start = time.monotonic()
deadline = inputs.get("deadline_seconds", 20)

handles = {spawn("research", {"vendor": v, "depth": "thorough"}, timeout=deadline / 2): v for v in inputs["vendors"]}
got, late = {}, []

try:
    answers = gather(list(handles), on_error="return", timeout=min(deadline, limits.seconds_left - 5))
    for (h, vendor), a in zip(handles.items(), answers):
        if isinstance(a, SpawnTimedOut):
            late.append(vendor)
        elif isinstance(a, SpawnError):
            log("failed", vendor=vendor, kind=a.kind)
            late.append(vendor)
        else:
            got[vendor] = a
finally:
    for h in handles:
        h.cancel()

# whatever is late comes from the archive
backfill = gather({v: spawn("archive", {"vendor": v}) for v in late})
result = {
    "elapsed": round(time.monotonic() - start, 1),
    "on_time": sorted(got),
    "late": sorted(late),
    "answers": got | backfill,
}
