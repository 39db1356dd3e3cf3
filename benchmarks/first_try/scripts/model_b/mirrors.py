report = first_ok([spawn("read_page", {"url": url}, label=url) for url in inputs["mirrors"]])
result = report["text"]
