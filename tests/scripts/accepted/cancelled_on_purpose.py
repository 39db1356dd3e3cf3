"""Cancel by hand and handle Cancelled like any other failure."""
handles = {t: spawn("research", {"topic": t}, label=t, timeout=100) for t in inputs["topics"]}
first = next(as_completed(handles.values()))
handles["stuck lane"].cancel()

outcomes = {}
for topic, handle in handles.items():
    try:
        outcomes[topic] = len(handle.result()["hits"])
    except Cancelled as e:
        outcomes[topic] = f"cancelled ({e.agent}, {e.attempts} attempts)" if e.attempts > 99 else "cancelled"
    except SpawnError as e:
        outcomes[topic] = e.kind
result = {"first_is_ok": first.ok, "outcomes": outcomes}
