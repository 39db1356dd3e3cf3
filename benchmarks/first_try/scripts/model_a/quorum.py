urls = inputs["urls"]
pages = gather([spawn("read_page", {"url": u}) for u in urls], on_error="none")
titles = [p["title"] for p in pages if p is not None]

# Compared in whole numbers, so that 80 % is exact.
if len(titles) * 100 >= 80 * len(urls):
    result = titles
else:
    result = {"error": "too few", "read": len(titles)}
