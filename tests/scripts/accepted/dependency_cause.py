"""Follow a failure to where it began."""
out = {}
for topic in inputs["topics"]:
    a = spawn("research", {"topic": topic}, label=f"find {topic}")
    b = spawn("summarise", {"text": a["summary"]}, label="shorten")
    c = spawn("translate", {"text": b["summary"], "language": "fr"}, label="translate")
    out[topic] = c

report = {}
for topic, handle in out.items():
    try:
        report[topic] = handle.result()["text"]
    except DependencyFailed as e:
        root = e.cause
        report[topic] = f"{e.label} needed {root.label}, which {root.kind}: {root.message}"
result = report
