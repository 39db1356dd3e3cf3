def pages(items, size):
    it = iter(items)
    while batch := [x for _, x in zip(range(size), it)]:
        yield batch


want = inputs["want"]
limit, hits = 5, []
while True:
    hits = spawn("search", {"topic": inputs["topic"], "limit": limit}, retry=2).result()["hits"]
    if len(hits) >= want or len(hits) < limit:
        break
    limit *= 2

listing = []
for number, batch in enumerate(pages(hits[:want], inputs.get("page_size", 4)), start=1):
    texts = [spawn("read_page", {"url": h["url"]}) for h in batch]
    blurbs = gather([spawn("summarise", {"text": t["text"], "words": 12}) for t in texts], on_error="none")
    listing.append({
        "page": number,
        "items": [
            {"title": h["title"], "url": h["url"], "blurb": b["summary"] if b else "(not available)"}
            for h, b in zip(batch, blurbs)
        ],
    })

total = len(listing)
for p in listing:
    p["of"] = total
    p["next"] = p["page"] + 1 if p["page"] < total else None
result = listing
