def german(url):
    page = spawn("read_page", {"url": url})
    short = spawn("summarise", {"text": page["text"], "words": 6})
    return spawn("translate", {"text": short["summary"], "to": "de"})


result = {url: one["text"] for url, one in gather({url: german(url) for url in inputs["urls"]}).items()}
