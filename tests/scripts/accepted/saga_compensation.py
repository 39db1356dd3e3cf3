"""Do the steps in order; where one fails, undo the earlier ones in reverse."""
done, log_entries = [], []
for name, fails in inputs["steps"]:
    handle = spawn("flaky", {"task": name, "fails": fails}, retry=1, label=name)
    try:
        handle.result()
    except SpawnError as e:
        log_entries.append(f"{name} failed: {e.kind}")
        undo = gather([spawn("flaky", {"task": f"undo {step}", "fails": 0}) for step in reversed(done)])
        log_entries.extend(u["task"] for u in undo)
        break
    done.append(name)
    log_entries.append(f"{name} done")
result = {"done": done, "log": log_entries}
