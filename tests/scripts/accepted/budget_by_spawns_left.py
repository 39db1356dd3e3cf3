"""Explore as far as the budget of spawns allows, and say when it ran out."""
frontier, values, stopped = [inputs["root"]], {}, False
while frontier:
    room = limits.spawns_left
    if room == 0:
        stopped = True
        break
    batch, frontier = frontier[:room], frontier[room:]
    for node in gather([spawn("expand", {"node": n}) for n in batch]):
        values[node["node"]] = node["value"]
        frontier += node["children"]
result = {"explored": len(values), "stopped": stopped, "left": limits.spawns_left}
