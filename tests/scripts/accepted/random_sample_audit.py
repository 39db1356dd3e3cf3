"""Audit a random sample of the orders."""
import random

sample = random.sample(inputs["orders"], inputs["k"])
shuffled = list(inputs["orders"])
random.shuffle(shuffled)
checks = gather({sku: spawn("lookup_price", {"sku": sku}) for sku in sample})
result = {
    "checked": len(checks),
    "all_known": all(sku in inputs["orders"] for sku in checks),
    "shuffle_keeps": sorted(shuffled) == inputs["orders"],
    "coin": random.choice(["heads", "tails"]) in ("heads", "tails"),
    "dice": 1 <= random.randint(1, 6) <= 6,
}
