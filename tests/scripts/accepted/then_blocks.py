"""A callback may not wait: the mistake fails its handle, and the script goes on in the right way."""


def wrong(finding):
    return spawn("summarise", {"text": finding["summary"]}).result()


def right(finding):
    return spawn("summarise", {"text": finding["summary"]})


a = spawn("research", {"topic": inputs["topic"]}).then(wrong)
b = spawn("research", {"topic": inputs["topic"]}).then(right)
outcomes = gather(a, b, return_exceptions=True)
result = [o.kind if isinstance(o, SpawnError) else o["words"] for o in outcomes]
