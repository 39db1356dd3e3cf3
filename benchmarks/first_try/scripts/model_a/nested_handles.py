found = [spawn("research", {"vendor": v, "depth": "quick"}) for v in inputs["vendors"]]

draft = spawn("draft", {
    "topic": "market",
    "notes": {"vendors": found, "first": found[0]["text"]},
})

result = draft.result()["words"]
