pages = [spawn("read_page", {"url": url}) for url in inputs["urls"]]
titles = ", ".join(page["title"] for page in pages)
result = spawn("draft", {"topic": "pages", "notes": titles})["text"].result()
