"""Pass parts of an output on, without ever waiting for the whole of it."""
finding = spawn("research", {"topic": inputs["topic"], "depth": 3})
top = finding["hits"][0]
last = finding["hits"][-1]
two = finding["hits"][:2]

merged = spawn("merge", {"parts": [top["title"], last["url"], finding["hits"][1]["score"]]})
listed = spawn("merge", {"parts": two, "separator": "\n"})
page = spawn("answer", {"question": "Which source is best?", "context": {"sources": finding["hits"][1:3], "summary": finding["summary"]}})
first_letters = spawn("summarise", {"text": finding["summary"][:11]})

a, b, c, d = gather(merged, listed, page, first_letters)
result = {"merged": a["text"], "lines": b["text"].count("\n") + 1, "used": c["used_context"], "start": d["summary"]}
