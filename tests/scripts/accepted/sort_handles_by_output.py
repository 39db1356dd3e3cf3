"""Sort and pick handles by what they gave."""
handles = [spawn("score", {"item": n}, label=n) for n in inputs["names"]]
ranked = sorted(handles, key=lambda h: h.result()["score"], reverse=True)
best = max(handles, key=lambda h: (h.result()["score"], h.label))
assert ranked[0] is best
podium = {place: h.label for place, h in zip(("gold", "silver", "bronze"), ranked)}
all_fair = all(h.result()["score"] >= 33 for h in handles if h.ok)
result = {"podium": podium, "best": best.label, "all_fair": all_fair, "failed": [h.label for h in handles if h.error]}
