"""Handles inside the result."""
handles = {vendor: spawn("research", {"vendor": vendor}) for vendor in inputs["vendors"]}
best = spawn("summarise", {"text": "hello"})
result = {
    "all": handles,
    "best": best["text"],
    "line": f"best: {best}",
    "list": [spawn("summarise", {"text": text}) for text in inputs["texts"]],
    "fine": gather(handles),
}
