# Compare prices across regions and print an aligned table.
quotes = {
    sku: {region: spawn("lookup_price", {"sku": sku, "region": region}) for region in inputs["regions"]}
    for sku in inputs["skus"]
}
table = gather(quotes, on_error="none")

header = f"{'sku':<8}" + "".join(f"{region:>10}" for region in inputs["regions"])
lines = [header, "-" * len(header)]
for sku, row in table.items():
    cells = []
    for region in inputs["regions"]:
        quote = row[region]
        cells.append(f"{quote['cents'] / 100:>10.2f}" if quote else f"{'n/a':>10}")
    lines.append(f"{sku:<8}" + "".join(cells))

report = "\n".join(lines)
print(report)
result = {"report": report, "rows": len(table)}
