"""The callback spawns a variable number of calls and returns them in a structure."""


def read_top(page):
    top = sorted(page["results"], key=lambda r: -r["relevance"])[:2]
    return {
        "total": page["total"],
        "pages": [spawn("fetch", {"url": f"https://lib.example.org/{r['id']}"})["title"] for r in top],
    }


found = {q: spawn("search", {"query": q}, label=q).then(read_top) for q in inputs["queries"]}
labels = [h.label for h in found.values()]
result = {"found": gather(found), "labels": labels}
