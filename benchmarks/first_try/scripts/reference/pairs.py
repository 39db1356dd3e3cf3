from itertools import combinations

known = {vendor: spawn("research", {"vendor": vendor}) for vendor in inputs["vendors"]}
drafts = [
    spawn("draft", {"topic": f"{a} or {b}", "notes": f"{a}: {known[a]['text']}; {b}: {known[b]['text']}"})
    for a, b in combinations(inputs["vendors"], 2)
]
result = [one["text"] for one in gather(drafts)]
