"""The classic `while pending` loop, with remove and membership tests on handles."""
pending = [spawn("picky", {"n": n}, label=f"n={n}") for n in inputs["ns"]]
original = list(pending)
order = []
while pending:
    done = next(iter(as_completed(pending)))
    assert done in pending
    pending.remove(done)
    order.append(done.label if done.error is None else f"{done.label}!")
result = {"finished": sorted(order), "count": len(order), "known": all(h in original for h in original), "same": original[0] == original[0], "none": original[0] != None}
