handles = []
skipped = []
for i in range(inputs["n"]):
    try:
        handles.append(spawn("score", {"item": f"item-{i}"}))
    except LimitReached as e:
        skipped.append(i)
        log(f"budget used up: {e}", item=i)
scores = gather(handles)
result = {"scored": len(scores), "skipped": skipped}
