"""Map: summarise each document. Reduce: merge pairwise until one text is left, without waiting in between."""

layer = [spawn("summarise", {"text": doc, "max_words": 4})["summary"] for doc in inputs["documents"]]
depth = 0
while len(layer) > 1:
    depth += 1
    nxt = []
    for i in range(0, len(layer) - 1, 2):
        nxt.append(spawn("merge", {"parts": [layer[i], layer[i + 1]], "separator": " / "})["text"])
    if len(layer) % 2:
        nxt.append(layer[-1])
    layer = nxt

result = {"text": layer[0].result(), "depth": depth}
