"""Breadth-first crawl with a page budget and a depth limit; stays on the seed hosts."""
from collections import defaultdict
from urllib.parse import urlparse, urldefrag

MAX_PAGES = inputs.get("max_pages", 30)
MAX_DEPTH = inputs.get("max_depth", 2)

seeds = inputs["seeds"]
allowed = {urlparse(u).netloc for u in seeds}
seen = set(seeds)
info = {spawn("read_page", {"url": u}, timeout=10, retry=1, label=u): (u, 0) for u in seeds}

pages, broken = {}, []
inbound = defaultdict(set)

for h in as_completed(info):
    url, depth = info[h]
    if not h.ok:
        broken.append({"url": url, "why": h.error.kind, "linked_from": sorted(inbound[url])})
        continue
    page = h.result()
    pages[url] = {"title": page["title"], "depth": depth, "words": len(page["text"].split())}
    for link in page["links"]:
        link, _fragment = urldefrag(link)
        inbound[link].add(url)
        if link in seen or depth >= MAX_DEPTH or len(seen) >= MAX_PAGES:
            continue
        if urlparse(link).netloc not in allowed:
            continue
        seen.add(link)
        info[spawn("read_page", {"url": link}, timeout=10, retry=1, label=link)] = (link, depth + 1)

top = sorted(((len(src), u) for u, src in inbound.items() if u in pages), reverse=True)[:5]
result = {
    "crawled": len(pages),
    "pages": pages,
    "broken": broken,
    "most_linked": [{"url": u, "inbound": n} for n, u in top],
    "total_words": sum(p["words"] for p in pages.values()),
}
