"""Only take findings that are confident enough; a weak one counts as invalid output and goes to the deep agent."""
good_enough = {"type": "object", "properties": {"confidence": {"type": "number", "minimum": 0.6}}}
handles = [
    spawn("research", {"topic": t}, accept=good_enough, retry=0, fallback="deep_research", label=t) for t in inputs["topics"]
]
result = {h.label: {"confidence": h.result()["confidence"], "deep": "sources" in h.result()} for h in handles}
