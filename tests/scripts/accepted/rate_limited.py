"""At most two calls in each window of ten seconds."""
import time

t0 = time.time()
handles, offsets = [], []
for i, topic in enumerate(inputs["topics"]):
    if i and i % inputs["per_window"] == 0:
        sleep(inputs["window"])
    offsets.append(time.time() - t0)
    handles.append(spawn("research", {"topic": topic}))
findings = gather(handles)
result = {"offsets": offsets, "n": len(findings)}
