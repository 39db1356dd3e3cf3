"""Prefer the live web; fall back to the archive where that does not work."""
handles = [
    spawn("research", {"topic": topic}, timeout=20, retry=1, fallback=Fallback("archive", scopes=["docs:read"]), label=topic)
    for topic in inputs["topics"]
]
findings = gather(handles)
result = [{"topic": f["topic"], "live": bool(f["hits"]), "confidence": f["confidence"]} for f in findings]
