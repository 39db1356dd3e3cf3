def present(things):
    return [t for t in things if t is not None]


titles = [spawn("read_page", {"url": url})["title"] for url in inputs["urls"]]
try:
    result = present(gather(titles, min_ok=0.8))
except TooFewResults as e:
    result = {"error": "too few", "read": len(present(e.results))}
