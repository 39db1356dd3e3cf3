"""Stop early when there is nothing to do."""
finding = spawn("research", {"topic": inputs["topic"]}).result()
if finding["confidence"] < inputs["minimum"]:
    return {"status": "not enough to go on", "confidence": finding["confidence"]}

summary = spawn("summarise", {"text": finding["summary"]}).result()
return {"status": "ok", "summary": summary["summary"]}
