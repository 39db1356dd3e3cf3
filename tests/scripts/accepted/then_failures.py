"""A callback that raises fails its own handle; one whose source fails is never called."""
called = []


def to_number(output):
    called.append(output["summary"])
    return int(output["summary"])


handles = [spawn("summarise", {"text": item}, label=item).then(to_number) for item in inputs["items"]]
report = []
for h in handles:
    if h.error is None:
        report.append(h.result())
    else:
        report.append([h.label, h.error.kind])
result = {"report": report, "called": sorted(called)}
