searches = [spawn("search", {"topic": t, "limit": 3}, label=t) for t in inputs["topics"]]

# A page is asked for as soon as the first search has found it.
titles: dict[str, Handle] = {}
for search in as_completed(searches):
    for hit in search.result()["hits"]:
        if (url := hit["url"]) not in titles:
            titles[url] = spawn("read_page", {"url": url}, label=url)["title"]

result = sorted(gather(list(titles.values())))
