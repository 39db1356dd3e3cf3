from dataclasses import dataclass, field


@dataclass
class Crawler:
    seen: set[str] = field(default_factory=set)
    reading: dict[Handle, str] = field(default_factory=dict)

    def follow(self, *urls: str) -> None:
        for url in urls:
            if url not in self.seen:
                self.seen.add(url)
                self.reading[spawn("read_page", {"url": url}, label=url)] = url

    def pages(self, start: str):
        self.follow(start)
        for h in as_completed(self.reading):
            if h.ok:
                page = h.result()
                self.follow(*page["links"])
                yield page
            else:
                log("skipped", url=self.reading[h], kind=h.error.kind)


result = sorted(page["title"] for page in Crawler().pages(inputs["start"]))
