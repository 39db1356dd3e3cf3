def sources(vendors: list[str]) -> dict[str, str]:
    handles = {
        vendor: spawn("research", {"vendor": vendor}, fallback="archive")
        for vendor in vendors
    }
    return {vendor: out["source"] for vendor, out in gather(handles).items()}


result = sources(inputs["vendors"])
