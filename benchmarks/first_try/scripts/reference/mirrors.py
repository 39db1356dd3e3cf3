result = first_ok([spawn("read_page", {"url": url}) for url in inputs["mirrors"]])["text"]
