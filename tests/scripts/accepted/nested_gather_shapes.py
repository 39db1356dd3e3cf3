"""gather returns the shape that it was given, however deep."""
plan = {
    sku: {
        "prices": [spawn("lookup_price", {"sku": sku, "region": r}) for r in ("eu", "us", "asia")],
        "review": {"score": spawn("score", {"item": sku}), "fixed": "yes"},
        "pair": (spawn("classify", {"text": sku, "labels": ["toy", "tool"]}), 7),
    }
    for sku in inputs["products"]
}
done = gather(plan)
result = {
    sku: {
        "cheapest": min(p["cents"] for p in entry["prices"]),
        "score": entry["review"]["score"]["score"],
        "fixed": entry["review"]["fixed"],
        "kind": entry["pair"][0]["label"],
        "seven": entry["pair"][1],
        "tuple": isinstance(entry["pair"], tuple),
    }
    for sku, entry in done.items()
}
