"""A timeout for each attempt, and an honest report about what timed out."""
report = {}
for topic, handle in [(t, spawn("research", {"topic": t}, timeout=12.5, retry=1)) for t in inputs["topics"]]:
    try:
        report[topic] = handle.result()["summary"]
    except SpawnTimedOut as e:
        report[topic] = f"gave up after {e.attempts} attempts"
result = report
