from statistics import median

vendors = dict.fromkeys(inputs["vendors"])
confidence = gather({v: spawn("research", {"vendor": v}, label=v)["confidence"] for v in vendors})


def lines():
    for vendor, c in confidence.items():
        yield f"{vendor:<10}{c:>6.2f}"
    yield f"median {median(confidence.values()):.2f}"


result = "\n".join(lines())
