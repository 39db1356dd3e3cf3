"""Extract what the text has, then fill the gaps with a second wave of questions."""

fields = inputs["fields"]
first = spawn("extract", {"text": inputs["text"], "fields": fields}).result()
values = dict(first["values"])

gaps = {name: spawn("answer", {"question": f"What is the {name}?", "context": inputs["text"]}) for name in first["missing"]}
for name, reply in gather(gaps, on_error="none").items():
    values[name] = reply["answer"] if reply is not None else "unknown"

result = {"values": values, "asked": sorted(gaps)}
