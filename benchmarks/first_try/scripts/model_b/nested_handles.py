research = [spawn("research", {"vendor": v, "depth": "quick"}, label=v) for v in inputs["vendors"]]
draft = spawn("draft", {
    "topic": "market",
    "notes": {"vendors": research, "first": research[0]["text"]},
})
result = draft["words"].result()
