pages = [spawn("read_page", {"url": url}) for url in inputs["urls"]]
titles = ", ".join([p["title"] for p in pages])
result = spawn("draft", {"topic": "pages", "notes": titles}).result()["text"]
