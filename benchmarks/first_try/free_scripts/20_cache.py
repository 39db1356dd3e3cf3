from functools import lru_cache, wraps


def counted(fn):
    @wraps(fn)
    def wrapper(*args, **kwargs):
        wrapper.calls += 1
        return fn(*args, **kwargs)
    wrapper.calls = 0
    return wrapper


@lru_cache(maxsize=None)
def read(url):
    return spawn("read_page", {"url": url}, retry=1, timeout=10)


@lru_cache(maxsize=None)
def short(url, words):
    return spawn("summarise", {"text": read(url)["text"], "words": words})["summary"]


@counted
def card(entry):
    return {
        "section": entry["section"],
        "title": read(entry["url"])["title"],
        "blurb": short(entry["url"], entry.get("words", 15)),
    }


cards = gather([card(e) for e in inputs["entries"]], on_error="none")
info_read, info_short = read.cache_info(), short.cache_info()
log("cache", read=info_read.hits, short=info_short.hits)
result = {
    "cards": cards,
    "stats": {
        "cards": card.calls,
        "pages_read": info_read.misses,
        "pages_from_cache": info_read.hits,
        "summaries_made": info_short.misses,
        "summaries_from_cache": info_short.hits,
        "hit_rate": f"{(info_read.hits + info_short.hits) / max(1, info_read.hits + info_read.misses + info_short.hits + info_short.misses):.1%}",
    },
}
