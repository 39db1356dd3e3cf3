texts = inputs["texts"]
chosen = texts[:limits.spawns_left]
made = gather([spawn("summarise", {"text": text, "words": 3}) for text in chosen])
result = {"summaries": [one["summary"] for one in made], "left": len(texts) - len(chosen)}
