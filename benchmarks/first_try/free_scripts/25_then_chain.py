# For every topic: search, read the hits, summarise each, join, summarise again. No waiting until the very end.
def read_all(found):
    pages = [spawn("read_page", {"url": hit["url"]}, fallback=None) for hit in found["hits"][:3]]
    return [spawn("summarise", {"text": p["text"], "words": 30})["summary"] for p in pages]


def digest(topic):
    summaries = spawn("search", {"topic": topic, "limit": 3}).then(read_all)
    joined = summaries.then(lambda ss: "\n".join(f"{i}. {s}" for i, s in enumerate(ss, 1)))
    return {
        "points": summaries,
        "digest": spawn("summarise", {"text": f"About {topic}:\n{joined}", "words": 50})["summary"],
    }


result = gather({t: digest(t) for t in inputs["topics"]}, on_error="none")
