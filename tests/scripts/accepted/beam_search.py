"""Beam search: expand the best nodes of each level."""
import heapq
from operator import itemgetter

beam = [(0, inputs["start"])]
history = []
for level in range(inputs["depth"]):
    expanded = gather([spawn("expand", {"node": name}) for _, name in beam])
    candidates = []
    for (total, name), node in zip(beam, expanded):
        candidates += [(total + node["value"], child) for child in node["children"]]
    if not candidates:
        break
    beam = heapq.nlargest(inputs["width"], candidates, key=itemgetter(0))
    history.append([name for _, name in beam])
result = {"beam": beam, "history": history}
