THRESHOLD = 0.6
vendors = inputs["vendors"]

first = gather({v: spawn("research", {"vendor": v, "depth": "quick"}) for v in vendors})

unsure = [v for v, r in first.items() if r["confidence"] < THRESHOLD]
log("researching again", vendors=unsure)
second = gather({v: spawn("research", {"vendor": v, "depth": "thorough"}) for v in unsure})

last = {**first, **second}
result = {v: last[v]["confidence"] for v in vendors}
