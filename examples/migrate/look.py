"""Look at every vendor at once, by one agent that is a graph."""

found = gather([spawn("look_at", {"vendor": v}) for v in inputs["vendors"]])
result = [f["vendor"] for f in found if f["listed"] or f["complaints"] > 10]
