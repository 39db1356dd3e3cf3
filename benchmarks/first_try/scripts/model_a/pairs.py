from itertools import combinations

vendors = inputs["vendors"]
research = {v: spawn("research", {"vendor": v}) for v in vendors}

# Handles are passed on unresolved, so each draft starts as soon as its own two are there.
drafts = [
    spawn("draft", {
        "topic": f"{a} or {b}",
        "notes": f"{a}: {research[a]['text']}; {b}: {research[b]['text']}",
    })
    for a, b in combinations(vendors, 2)
]

result = [d["text"] for d in gather(drafts)]
