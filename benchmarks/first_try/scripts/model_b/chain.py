def german_digest(url: str) -> Handle:
    page = spawn("read_page", {"url": url}, label=f"read {url}")
    summary = spawn("summarise", {"text": page["text"], "words": 6}, label=f"summarise {url}")
    return spawn("translate", {"text": summary["summary"], "to": "de"}, label=f"translate {url}")["text"]


result = gather({url: german_digest(url) for url in inputs["urls"]})
