def process(url: str) -> Handle:
    """Start the whole chain for one URL; nothing here waits."""
    page = spawn("read_page", {"url": url}, label=f"read {url}")
    short = spawn("summarise", {"text": page["text"], "words": 6}, label=f"summarise {url}")
    return spawn("translate", {"text": short["summary"], "to": "de"}, label=f"translate {url}")


def main() -> dict:
    done = gather({url: process(url) for url in inputs["urls"]})
    return {url: out["text"] for url, out in done.items()}


result = main()
