def entry(url: str, outcome) -> dict:
    match outcome:
        case SpawnError(kind=kind):
            log("not read", url=url, kind=kind)
            return {"url": url, "kind": kind}
        case {"title": title}:
            return {"url": url, "title": title}


urls = inputs["urls"]
outcomes = gather([spawn("read_page", {"url": url}) for url in urls], on_error="return")
result = [entry(url, outcome) for url, outcome in zip(urls, outcomes, strict=True)]
