"""Structured prompts with json.dumps, and parsing of what comes back."""
import json

prompt = f"""Describe this:
{json.dumps(inputs["spec"], indent=2, sort_keys=True)}
Answer as JSON."""
text = spawn("write", {"instructions": prompt}).result()["text"]
start, end = text.index("{"), text.rindex("}") + 1
try:
    parsed = json.loads(text[start:end])
except json.JSONDecodeError as e:
    parsed = {"error": str(e)}
again = spawn("write", {"instructions": "Check", "context": json.loads(json.dumps(parsed))}).result()
result = {"equal": parsed == inputs["spec"], "lines": prompt.count("\n"), "again": again["text"]}
