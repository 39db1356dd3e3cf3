texts = inputs["texts"]
labels = ["tea", "other"]

classified = [spawn("classify", {"text": t, "labels": labels}) for t in texts]
position = {h: i for i, h in enumerate(classified)}

# Route each text the moment its own label is known.
followups = [None] * len(texts)
for h in as_completed(classified):
    i = position[h]
    if h.result()["label"] == "tea":
        followups[i] = ("text", spawn("translate", {"text": texts[i], "to": "fr"}))
    else:
        followups[i] = ("summary", spawn("summarise", {"text": texts[i], "words": 4}))

outputs = gather([h for _, h in followups])
result = [out[key] for (key, _), out in zip(followups, outputs)]
