from functools import partial

SURE = 0.6


def dig_if_unsure(vendor: str, first: dict):
    if first["confidence"] >= SURE:
        return first
    log("unsure, again", vendor=vendor, confidence=first["confidence"])
    return spawn("research", {"vendor": vendor, "depth": "thorough"}, label=f"{vendor}, thorough")


def last_research(vendor: str) -> Handle:
    quick = spawn("research", {"vendor": vendor, "depth": "quick"}, label=f"{vendor}, quick")
    return quick.then(partial(dig_if_unsure, vendor))


result = gather({v: last_research(v)["confidence"] for v in inputs["vendors"]})
