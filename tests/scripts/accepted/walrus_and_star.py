"""Walrus, starred unpacking, chained comparison, conditional expressions."""
first, *middle, last = gather([spawn("research", {"topic": t}) for t in inputs["topics"]])
if (n := len(middle)) > 1:
    note = f"{n} in the middle"
else:
    note = "few"
strong = [c for f in (first, *middle, last) if 0.6 <= (c := f["confidence"]) < 1]
merged = {**{"first": first["topic"]}, **{"last": last["topic"]}}
result = {"note": note, "strong": len(strong), **merged}
