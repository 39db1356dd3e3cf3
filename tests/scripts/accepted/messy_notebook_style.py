# --- setup ---
import json, re
from collections import OrderedDict

TOPIC = inputs.get("topic", "lakes")
DEBUG = True
def dbg(*args):
    if DEBUG: print("[debug]", *args)

# --- step 1: research ---
r = spawn("research", {"topic": TOPIC, "depth": 2})
dbg("spawned", r)
res = r.result()
dbg(json.dumps(res)[:80])

# --- step 2: score all hits in parallel ---
hs = []
for hit in res["hits"]:
    hs.append(spawn("score", {"item": {"title": hit["title"], "n": hit["score"]}}, label=hit["title"]))
scores = gather(hs)
tbl = OrderedDict()
for (h, s) in zip(hs, scores): tbl[h.label] = s["score"]

# --- step 3: output ---
best = max(tbl.items(), key=lambda x: x[1])
m = re.search(r"(\d+)$", best[0])
result = {"best": best[0], "number": int(m.group(1)) if m else None, "n": len(tbl)}
