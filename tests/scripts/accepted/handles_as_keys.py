"""Handles as keys, in sets and in copies."""
import copy

meta = {}
for rank, topic in enumerate(inputs["topics"]):
    h = spawn("research", {"topic": topic}, label=topic)
    meta[h] = {"rank": rank, "topic": topic}

again = copy.copy(meta)
deep = copy.deepcopy(list(meta))
pending = set(meta)
order = []
while pending:
    for h in as_completed(pending):
        pending.discard(h)
        order.append(meta[h]["rank"])
        break
result = {
    "order": sorted(order),
    "same": all(a is b for a, b in zip(meta, again)) and deep == list(meta),
    "kinds": [isinstance(h, Handle) for h in meta],
    "agents": {h.agent for h in meta} == {"research"},
}
