"""A quality gate that is no JSON Schema."""
GATE = {"type": "object", "required": "summary"}
first = spawn("summarise", {"text": "hello"}, accept={"type": "dict", "required": ["summary"]})
second = spawn("summarise", {"text": "hello"}, accept="a good summary")
third = spawn("summarise", {"text": "hello"}, accept=GATE)
result = gather(first, second, third)
