"""Process in batches of three, with a barrier between the batches."""


def batches(items, size):
    for start in range(0, len(items), size):
        yield items[start : start + size]


totals = []
for batch in batches(inputs["skus"], 3):
    quotes = gather([spawn("lookup_price", {"sku": sku}) for sku in batch])
    totals.append(sum(q["cents"] for q in quotes if q["in_stock"]))
result = {"totals": totals, "sum": sum(totals)}
