"""Start the cheap and the expensive way at once; use the cheap one if it is good, else the expensive one."""
cheap = spawn("archive", {"topic": inputs["topic"]}, scopes=["docs:read"], label="cheap")
costly = spawn("deep_research", {"topic": "queue theory"}, label="costly")

if cheap.ok and cheap.result()["confidence"] >= 0.5:
    costly.cancel()
    chosen = cheap
else:
    chosen = costly
result = {"chosen": chosen.label, "agent": chosen.agent, "confidence": chosen.result()["confidence"]}
