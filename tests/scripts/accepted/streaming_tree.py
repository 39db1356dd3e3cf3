"""Explore a tree as results stream in: every finished node immediately spawns its children."""

pending = [spawn("expand", {"node": inputs["root"]})]
values = {}
for handle in as_completed(pending):
    node = handle.result()
    values[node["node"]] = node["value"]
    for child in node["children"]:
        pending.append(spawn("expand", {"node": child}))

result = {"nodes": len(values), "total": sum(values.values()), "deepest": max(name.count(".") for name in values)}
