"""Nested structures all the way down, with an empty branch."""


def quote_region(skus):
    def quote(sku):
        return {"sku": sku, "eu": spawn("lookup_price", {"sku": sku}), "stock": spawn("lookup_price", {"sku": sku})["in_stock"]}

    return [quote(sku) for sku in skus]


plan = {region: quote_region(skus) for region, skus in inputs["regions"].items()}
quotes = gather(plan)
totals = {region: sum(q["eu"]["cents"] for q in rows) for region, rows in quotes.items()}
result = {"totals": totals, "in_stock": sum(q["stock"] for rows in quotes.values() for q in rows)}
