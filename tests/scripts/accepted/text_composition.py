"""All ways of putting an output into a text."""
a = spawn("research", {"topic": inputs["a"]}, label="A")
b = spawn("research", {"topic": inputs["b"]}, label="B")

prompts = [
    f"Compare {a['summary']} with {b['summary']}",
    "Sum up: " + a["summary"],
    a["summary"] + " -- " + b["summary"],
    ", ".join([a["summary"], "and", b["summary"]]),
    "First {}, then {second}".format(a["topic"], second=b["topic"]),
    "\n".join(f"{i}. {h['summary']}" for i, h in enumerate([a, b], 1)),
]
prompt = "Report:\n"
prompt += a["summary"]
prompt += "\n"
prompt += b["summary"]
prompts.append(prompt)
texts = gather([spawn("write", {"instructions": p}) for p in prompts])
result = [t["text"] for t in texts]
