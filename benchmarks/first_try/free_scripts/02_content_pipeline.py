from dataclasses import dataclass, field, asdict
from typing import Optional


@dataclass
class Article:
    topic: str
    sources: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    text: str = ""
    words: int = 0
    score: float = 0.0
    approved: bool = False
    error: Optional[str] = None

    def to_json(self):
        d = asdict(self)
        d["score"] = round(self.score, 3)
        return d


MAX_SOURCES = inputs.get("sources_per_topic", 3)
articles = [Article(t) for t in inputs["topics"]]

# 1. search for everything at once
searches = gather(
    [spawn("search", {"topic": a.topic, "limit": MAX_SOURCES}, retry=2) for a in articles],
    on_error="return",
)

# 2. read and summarise the pages, all topics in parallel
pending = []
for article, found in zip(articles, searches):
    if isinstance(found, Exception):
        article.error = f"search failed: {found}"
        pending.append([])
        continue
    article.sources = [hit["url"] for hit in found["hits"]]
    pages = [spawn("read_page", {"url": u}, retry=1) for u in article.sources]
    pending.append([spawn("summarise", {"text": p["text"], "words": 40}) for p in pages])

for article, summaries in zip(articles, gather(pending, on_error="none")):
    article.notes = [s["summary"] for s in summaries if s is not None]
    if not article.notes and article.error is None:
        article.error = "no readable sources"

# 3. draft + review
work = [a for a in articles if a.error is None]
drafts = [spawn("draft", {"topic": a.topic, "notes": a.notes}, retry=1) for a in work]
reviews = [spawn("review", {"text": d["text"]}) for d in drafts]
for article, out in zip(work, gather(list(zip(drafts, reviews)), on_error="return")):
    d, r = out
    if isinstance(d, Exception):
        article.error = str(d)
        continue
    article.text, article.words = d["text"], d["words"]
    if isinstance(r, Exception):
        article.error = f"not reviewed ({r})"
    else:
        article.approved, article.score = r["approved"], r["score"]

articles.sort(key=lambda a: (-a.approved, -a.score, a.topic))
result = [a.to_json() for a in articles]
