"""Breadth-first tree search, one wave at a time, keeping the best nodes seen."""
from collections import deque

frontier = deque([inputs["root"]])
seen = {}
while frontier and len(seen) < inputs["limit"]:
    wave = [frontier.popleft() for _ in range(len(frontier))][: inputs["limit"] - len(seen)]
    for node in gather([spawn("expand", {"node": name}, label=name) for name in wave]):
        seen[node["node"]] = node["value"]
        frontier.extend(node["children"])

best = max(seen, key=seen.get)
result = {"best": best, "value": seen[best], "explored": len(seen), "left": len(frontier)}
