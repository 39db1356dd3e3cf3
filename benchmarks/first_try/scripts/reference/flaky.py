handles = {vendor: spawn("research", {"vendor": vendor}, retry=2) for vendor in inputs["vendors"]}
result = {vendor: one["confidence"] for vendor, one in gather(handles).items()}
