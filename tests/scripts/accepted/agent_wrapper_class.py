"""A thin wrapper around spawn, as frameworks have it."""


class Agent:
    def __init__(self, name, **defaults):
        self.name = name
        self.defaults = defaults
        self.calls = 0

    def __call__(self, **fields):
        self.calls += 1
        return spawn(self.name, fields, **self.defaults)


researcher = Agent("research", timeout=45, retry=1)
writer = Agent("write", label="writer")

finding = researcher(topic=inputs["topic"], depth=2)
text = writer(instructions=f"Tell about {finding['topic']} with {finding['hits'][0]['title']}")
result = {"text": text.result()["text"], "calls": researcher.calls + writer.calls, "label": text.label}
