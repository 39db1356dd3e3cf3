pages = [spawn("read_page", {"url": url}) for url in inputs["urls"]]
draft = spawn("draft", {"topic": "pages", "notes": ", ".join(page["title"] for page in pages)})
result = draft.result()["text"]
