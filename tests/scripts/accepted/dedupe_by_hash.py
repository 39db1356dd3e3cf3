import hashlib


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]


pages = gather([spawn("fetch", {"url": u}) for u in inputs["pages"]])
unique = {}
for page in pages:
    unique.setdefault(digest(page["body"]), page)
result = {"unique": len(unique), "urls": sorted(p["url"] for p in unique.values()), "digests": [len(d) for d in unique]}
