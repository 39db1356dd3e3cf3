searches = [spawn("search", {"topic": t, "limit": 3}) for t in inputs["topics"]]

pages = {}  # url -> handle; a page is read as soon as the first search has found it
for s in as_completed(searches):
    if not s.ok:
        log("search failed", why=str(s.error))
        continue
    for hit in s.result()["hits"]:
        url = hit["url"]
        if url not in pages:
            pages[url] = spawn("read_page", {"url": url})

read = gather(pages, on_error="none")
result = sorted(p["title"] for p in read.values() if p is not None)
