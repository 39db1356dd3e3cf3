"""Build a long prompt out of outputs that are not there yet, piece by piece."""
handles = {n: spawn("answer", {"question": f"What does {n} want?"}) for n in inputs["names"]}

lines = ["# Wishes", ""]
for name, handle in handles.items():
    lines.append("- **" + name.title() + "**: " + handle["answer"])
lines.append("")
prompt = "\n".join(lines)
prompt += "Sum up the wishes of " + ", ".join(handles) + "."
header = "Dear {name},\n\n{body}\n\nYours, {0}"
letter = header.format("the team", name="all", body=prompt)
result = spawn("write", {"instructions": letter}).result()["text"].split("\n")
