handles = {vendor: spawn("research", {"vendor": vendor}) for vendor in inputs["vendors"]}
outputs = gather(handles, on_error="none", timeout=2)
result = {
    "found": {vendor: one["confidence"] for vendor, one in outputs.items() if one is not None},
    "late": [vendor for vendor, one in outputs.items() if one is None],
}
