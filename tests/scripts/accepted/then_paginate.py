"""Follow the pages with `then` alone: each page asks for the next."""
ids = []


def collect(page):
    ids.extend(r["id"] for r in page["results"])
    if page["next_page"] is None:
        return {"pages_left": 0}
    return spawn("search", {"query": inputs["query"], "page": page["next_page"]}).then(collect)


last = spawn("search", {"query": inputs["query"]}).then(collect)
result = {"last": last.result(), "ids": len(ids), "first": ids[0], "last_id": ids[-1]}
