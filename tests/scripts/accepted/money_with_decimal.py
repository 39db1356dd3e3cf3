from decimal import ROUND_HALF_UP, Decimal

vat = Decimal(inputs["vat"])
quotes = gather([spawn("lookup_price", {"sku": s, "region": "eu"}) for s in inputs["skus"]])
lines = []
total = Decimal("0")
for q in quotes:
    net = Decimal(q["cents"]) / 100
    gross = (net * (1 + vat)).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
    total += gross
    lines.append(f"{q['sku']:<6} {net:>9.2f} {gross:>9.2f}")
lines.append(f"{'total':<6} {'':>9} {total:>9.2f}")
result = {"lines": lines, "total": str(total)}
