"""Wait for a part, and ask a part whether it is there."""
good = spawn("research", {"topic": inputs["topic"]})
bad = spawn("research", {"topic": inputs["other"]})
title = good["hits"][0]["title"]
author = good["hits"][0]["author"]
lost = bad["summary"]
result = {
    "title": title.result(),
    "again": title.result(),
    "author": author.error.kind,
    "lost": lost.ok,
    "last_urls": [u.rsplit("/", 1)[-1] for u in good["hits"][-2:].result()[0].values() if isinstance(u, str)],
}
