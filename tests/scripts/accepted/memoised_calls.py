"""Ask for each distinct topic once."""
from functools import lru_cache


@lru_cache(maxsize=None)
def ask(topic):
    return spawn("research", {"topic": topic}, label=topic)


keys = [t.strip().lower() for t in inputs["topics"]]
handles = [ask(k) for k in keys]
info = ask.cache_info()
distinct = set(handles)
findings = gather(handles)
result = {"distinct": len(distinct), "hits": info.hits, "misses": info.misses, "same": findings[0] == findings[1], "order": [f["topic"] for f in findings]}
