"""Follow the pages of a search; the dict tells which query each handle belongs to."""
from collections import defaultdict

owner = {spawn("search", {"query": q}): q for q in inputs["queries"]}
found = defaultdict(list)
for handle in as_completed(owner):
    query = owner[handle]
    page = handle.result()
    found[query].extend(r["id"] for r in page["results"])
    if page["next_page"]:
        owner[spawn("search", {"query": query, "page": page["next_page"]})] = query
result = {"found": {q: len(ids) for q, ids in sorted(found.items())}, "calls": len(owner)}
