import hashlib
import re
from collections import defaultdict


def fingerprint(text: str) -> str:
    normal = re.sub(r"\W+", " ", text.lower()).strip()
    return hashlib.sha1(normal.encode("utf-8")).hexdigest()[:12]


def shingles(text, k=3):
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i:i + k]) for i in range(max(1, len(words) - k + 1))}


def jaccard(a, b):
    return len(a & b) / len(a | b) if a | b else 1.0


found = gather([spawn("search", {"topic": t, "limit": 5}) for t in inputs["topics"]])
urls = list(dict.fromkeys(hit["url"] for f in found for hit in f["hits"]))
pages = {u: p for u, p in gather({u: spawn("read_page", {"url": u}) for u in urls}, on_error="none").items() if p}

exact = defaultdict(list)
for u, p in pages.items():
    exact[fingerprint(p["text"])].append(u)

unique = {group[0]: shingles(pages[group[0]]["text"]) for group in exact.values()}
clusters = []
for u, s in unique.items():
    for cluster in clusters:
        if jaccard(s, unique[cluster[0]]) >= inputs.get("similarity", 0.6):
            cluster.append(u)
            break
    else:
        clusters.append([u])

summaries = gather([spawn("summarise", {"text": pages[c[0]]["text"], "words": 25}) for c in clusters])
result = {
    "urls": len(urls),
    "readable": len(pages),
    "exact_duplicates": [g for g in exact.values() if len(g) > 1],
    "clusters": [
        {"id": fingerprint(pages[c[0]]["text"]), "lead": c[0], "near": c[1:], "summary": s["summary"]}
        for c, s in zip(clusters, summaries)
    ],
}
