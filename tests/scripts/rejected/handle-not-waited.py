"""What only an output has is asked of a handle."""
handles = [spawn("research", {"vendor": vendor}) for vendor in inputs["vendors"]]
best = spawn("summarise", {"text": "hello"})
if best:
    print("yes")
for handle in handles:
    if handle["score"] > 5 and not handle:
        print(len(handle), handle + 1, handle.strip())
    for hit in handle["hits"]:
        print(hit)
if best == "done" or "x" in best:
    print("compared")
total = sum(best["scores"])
best["seen"] = best.status
print(best.output, best.confidence, best.wait())
line = f"the best: {best}"
first = line[:20]
same = best is None or best == handles[0]
result = gather(handles)
