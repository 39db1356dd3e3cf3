"""The same handle may stand in several places."""
h = spawn("research", {"topic": inputs["topic"]})
s = spawn("summarise", {"text": f"{h['summary']} / {h['summary']}", "max_words": 3})
shape = gather([h, [h, s], {"again": h}], min_ok=2)
result = {"same": shape[0] == shape[1][0] == shape[2]["again"], "summary": shape[1][1]["summary"]}
