"""A worklist kept in a deque."""
from collections import deque

work = deque(spawn("picky", {"n": n}) for n in inputs["start"])
seen = set(inputs["start"])
squares = []
for handle in as_completed(work):
    output = handle.result()
    squares.append(output["square"])
    nxt = output["n"] * 2 + 2
    if nxt < inputs["limit"] and nxt % 3 and nxt not in seen:
        seen.add(nxt)
        work.append(spawn("picky", {"n": nxt}))
result = {"squares": sorted(squares), "seen": sorted(seen)}
