"""Best-first search with a priority queue: always expand the node whose parent was worth most."""
import heapq

heap = [(0, inputs["root"])]
visited = []
goal = None
while heap and goal is None:
    _, name = heapq.heappop(heap)
    node = spawn("expand", {"node": name}, label=name).result()
    visited.append(name)
    if node["value"] >= inputs["goal"]:
        goal = name
    for child in node["children"]:
        heapq.heappush(heap, (-node["value"], child))
result = {"goal": goal, "visited": visited}
