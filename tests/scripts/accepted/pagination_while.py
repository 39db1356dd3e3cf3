page_number = 1
items = []
while page_number:
    page = spawn("search", {"query": inputs["query"], "page": page_number}).result()
    items.extend(page["results"])
    page_number = page["next_page"]
items.sort(key=lambda item: (-item["relevance"], item["id"]))
result = [item["id"] for item in items]
