found = [spawn("research", {"vendor": vendor, "depth": "quick"}) for vendor in inputs["vendors"]]
draft = spawn("draft", {"topic": "market", "notes": {"vendors": found, "first": found[0]["text"]}})
result = draft.result()["words"]
