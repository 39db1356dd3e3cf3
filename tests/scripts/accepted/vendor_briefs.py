"""Research each vendor, then look again where the first pass was unsure."""

findings = [spawn("research", {"topic": v}, timeout=60, retry=2, label=v) for v in inputs["vendors"]]
briefs = [spawn("summarise", {"text": f["summary"]}) for f in findings]
first = gather(findings, on_error="none")
short = gather(briefs, on_error="none")

unsure = [v for v, b in zip(inputs["vendors"], first) if b is None or b["confidence"] < 0.6]
second = gather([spawn("deep_research", {"topic": v}) for v in unsure], on_error="none")

result = {
    "briefs": dict(zip(inputs["vendors"], short)),
    "second_pass": [s["summary"] if s else None for s in second],
    "unsure": unsure,
}
