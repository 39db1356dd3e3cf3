"""Be defensive: every call may fail, and the report says what did."""

results = []
errors = []
handles = {n: spawn("picky", {"n": n}, label=f"item {n}") for n in inputs["items"]}

for n, handle in handles.items():
    try:
        output = handle.result()
    except SpawnTimedOut as e:
        errors.append({"item": n, "error": "timeout", "attempts": e.attempts})
    except SpawnFailed as e:
        errors.append({"item": n, "error": e.message, "kind": e.kind, "agent": e.agent, "label": e.label})
    except SpawnError as e:
        errors.append({"item": n, "error": type(e).__name__})
    else:
        results.append(output["square"])
    finally:
        print(f"finished item {n}")

result = {"squares": results, "errors": errors, "success_rate": f"{len(results) / len(handles):.0%}"}
