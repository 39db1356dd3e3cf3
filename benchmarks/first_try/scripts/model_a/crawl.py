"""Crawl everything reachable from inputs["start"], each page once."""


def crawl(start: str) -> list[str]:
    seen: set[str] = {start}
    queue: list[Handle] = [spawn("read_page", {"url": start})]
    titles: list[str] = []

    for h in as_completed(queue):  # pages appended below are seen too
        if not h.ok:
            log("skipped", why=str(h.error))
            continue
        page = h.result()
        titles.append(page["title"])
        for link in page["links"]:
            if link in seen:
                continue
            if limits.spawns_left <= 0:
                log("no calls left", link=link)
                break
            seen.add(link)
            queue.append(spawn("read_page", {"url": link}))

    return sorted(titles)


result = crawl(inputs["start"])
