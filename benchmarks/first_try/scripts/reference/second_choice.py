handles = {vendor: spawn("research", {"vendor": vendor}, fallback="archive") for vendor in inputs["vendors"]}
result = {vendor: one["source"] for vendor, one in gather(handles).items()}
