# enough=1 returns once the first mirror has answered and cancels the others.
pages = gather([spawn("read_page", {"url": m}) for m in inputs["mirrors"]], enough=1)
result = next(p["text"] for p in pages if p is not None)
