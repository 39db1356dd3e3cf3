"""Race: stop everything else as soon as a square above 20 is found."""
handles = [spawn("picky", {"n": n}, label=str(n)) for n in inputs["numbers"]]
found = None
for h in as_completed(handles):
    if h.ok and h.result()["square"] > 20:
        found = h.result()
        for other in handles:
            if other is not h:
                other.cancel()
        break
states = {h.label: "ok" if h.ok else h.error.kind for h in handles}
result = {"found": found["n"], "ok": sum(s == "ok" for s in states.values()), "states": states}
