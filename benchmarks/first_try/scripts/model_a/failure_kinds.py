urls = inputs["urls"]
handles = [spawn("read_page", {"url": url}) for url in urls]

rows = []
for url, h in zip(urls, handles):
    if h.ok:
        rows.append({"url": url, "title": h.result()["title"]})
    else:
        rows.append({"url": url, "kind": h.error.kind})

result = rows
