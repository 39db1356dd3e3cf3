"""Some spawns are not waited for: they are cancelled at the end."""
main = spawn("research", {"topic": inputs["main"]})
extras = [spawn("deep_research", {"topic": t}, label=t) for t in inputs["extras"]]
done = [h.label for h in extras if limits.seconds_left < 0]
result = {"main": main.result()["topic"], "extras_asked": len(extras), "done": done}
