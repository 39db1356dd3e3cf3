texts = inputs["texts"]
chosen = texts[:limits.spawns_left]

result = {
    "summaries": gather([spawn("summarise", {"text": t, "words": 3})["summary"] for t in chosen]),
    "left": len(texts) - len(chosen),
}
