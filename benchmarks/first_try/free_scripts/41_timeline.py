import re
from datetime import datetime
from itertools import groupby

MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
PATTERN = re.compile(
    rf"""
    (?P<iso>\d{{4}}-\d{{2}}-\d{{2}})
    | (?P<long>\d{{1,2}}\ (?:{MONTHS})\ \d{{4}})
    | (?P<year>\b(?:19|20)\d{{2}}\b)
    """,
    re.VERBOSE,
)


def parse(m):
    try:
        if m["iso"]:
            return datetime.strptime(m["iso"], "%Y-%m-%d")
        if m["long"]:
            return datetime.strptime(m["long"], "%d %B %Y")
        return datetime(int(m["year"]), 1, 1)
    except ValueError:
        return None


def sentences(text):
    yield from (s.strip() for s in re.split(r"(?<=[.!?])\s+", text) if s.strip())


def events(url, text):
    for s in sentences(text):
        for m in PATTERN.finditer(s):
            if (when := parse(m)) is not None:
                yield when, url, s
                break


hits = spawn("search", {"topic": inputs["topic"], "limit": inputs.get("limit", 6)}).result()["hits"]
pages = gather({h["url"]: spawn("read_page", {"url": h["url"]}) for h in hits}, on_error="none")
found = sorted(e for u, p in pages.items() if p for e in events(u, p["text"] + " " + inputs.get("extra", "")))

short = [spawn("summarise", {"text": s, "words": 12})["summary"] for _, _, s in found[:40]]
lines = gather(short)
timeline = [{"year": year, "events": [{"date": w.date().isoformat(), "what": l, "from": u} for (w, u, _), l in group]}
            for year, group in groupby(zip(found, lines), key=lambda x: x[0][0].year)]
result = {"topic": inputs["topic"], "timeline": timeline, "dates": len(found), "span": f"{found[0][0]:%Y}-{found[-1][0]:%Y}" if found else None}
