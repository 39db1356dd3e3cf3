searches = gather([spawn("search", {"topic": topic, "limit": 3}) for topic in inputs["topics"]])
urls = dict.fromkeys(hit["url"] for search in searches for hit in search["hits"])
pages = gather([spawn("read_page", {"url": url}) for url in urls])
result = sorted(page["title"] for page in pages)
