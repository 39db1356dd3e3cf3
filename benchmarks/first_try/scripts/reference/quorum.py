try:
    pages = gather([spawn("read_page", {"url": url}) for url in inputs["urls"]], min_ok=0.8)
    result = [page["title"] for page in pages if page is not None]
except TooFewResults as error:
    result = {"error": "too few", "read": sum(page is not None for page in error.results)}
