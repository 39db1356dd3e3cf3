"""A crawler with a growing set of pending fetches."""
pending = {spawn("fetch", {"url": url}) for url in inputs["seeds"]}
visited = set(inputs["seeds"])
titles = []
for handle in as_completed(pending):
    page = handle.result()
    titles.append(page["title"])
    for link in page["links"]:
        if link not in visited and len(visited) < inputs["max_pages"]:
            visited.add(link)
            pending.add(spawn("fetch", {"url": link}))
    pending.discard(handle)
result = {"pages": len(titles), "visited": sorted(visited), "left": len(pending)}
