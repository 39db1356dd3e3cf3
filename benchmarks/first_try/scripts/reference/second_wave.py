vendors = inputs["vendors"]
first = gather({vendor: spawn("research", {"vendor": vendor, "depth": "quick"}) for vendor in vendors})
unsure = [vendor for vendor in vendors if first[vendor]["confidence"] < 0.6]
second = gather({vendor: spawn("research", {"vendor": vendor, "depth": "thorough"}) for vendor in unsure})
result = {vendor: second.get(vendor, first[vendor])["confidence"] for vendor in vendors}
