"""Data from outside is not always what an agent takes: sort the good rows from the bad ones."""
good, bad = [], []
handles = [(row, spawn("lookup_price", row)) for row in inputs["rows"]]
for row, h in handles:
    try:
        good.append(h.result()["sku"])
    except (InvalidInput, Unauthorised) as e:
        bad.append({"row": row, "attempts": e.attempts, "kind": e.kind})
result = {"good": good, "bad": bad}
