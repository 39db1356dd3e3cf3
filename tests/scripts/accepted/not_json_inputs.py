"""A set is no JSON: spawn says so at once, and the script corrects itself."""
labels = set(inputs["labels"])
try:
    handle = spawn("classify", {"text": "a thing", "labels": labels})
except InvalidInput as e:
    handle = spawn("classify", {"text": "a thing", "labels": sorted(labels)})
    complaint = e.kind
result = {"label": handle.result()["label"], "complaint": complaint, "spawns": 300 - limits.spawns_left}
