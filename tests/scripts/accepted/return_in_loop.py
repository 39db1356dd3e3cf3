"""Return from inside a loop, with spawns left open: they are cancelled."""
handles = [spawn("picky", {"n": n}) for n in inputs["ns"]]
spare = spawn("slow", {"task": "spare", "seconds": 500}, timeout=600)
for handle in as_completed(handles):
    if handle.ok:
        return {"first": handle.result()["n"], "spare": spare.label}
return {"first": None}
