seen = {inputs["start"]}
pending = [spawn("read_page", {"url": inputs["start"]})]
titles = []
for handle in as_completed(pending):
    if not handle.ok:
        continue
    page = handle.result()
    titles.append(page["title"])
    for url in page["links"]:
        if url not in seen:
            seen.add(url)
            pending.append(spawn("read_page", {"url": url}))
result = sorted(titles)
