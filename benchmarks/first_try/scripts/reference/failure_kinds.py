def told(url, outcome):
    if isinstance(outcome, SpawnError):
        return {"url": url, "kind": outcome.kind}
    return {"url": url, "title": outcome["title"]}


pages = gather([spawn("read_page", {"url": url}) for url in inputs["urls"]], on_error="return")
result = [told(url, outcome) for url, outcome in zip(inputs["urls"], pages)]
