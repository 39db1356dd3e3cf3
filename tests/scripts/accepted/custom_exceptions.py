class ResearchError(Exception):
    """Raised when no usable finding could be had."""

    def __init__(self, topic, reason):
        super().__init__(f"no finding for {topic}")
        self.topic = topic
        self.reason = reason


class NoConfidence(ResearchError):
    pass


def find(topic, threshold=0.5):
    try:
        finding = spawn("research", {"topic": topic}).result()
    except SpawnError as e:
        raise ResearchError(topic, e.kind) from e
    if finding["confidence"] < threshold:
        raise NoConfidence(topic, "unsure")
    return finding


outcome = {}
for topic in (inputs["topic"], "hazy window", "clean window"):
    try:
        outcome[topic] = find(topic)["summary"]
    except NoConfidence as e:
        outcome[topic] = f"{type(e).__name__}: {e.reason}"
    except ResearchError as e:
        outcome[topic] = f"{e} ({e.reason}), caused by {type(e.__cause__).__name__}"
result = outcome
