"""Ask a planner for steps, then run them as a graph: each starts when what it needs is done."""
from textwrap import dedent

steps = spawn("plan", {"goal": inputs["goal"], "steps": inputs["steps"]}).result()["steps"]

outputs = {}
for step in steps:
    needed = [outputs[name]["text"] for name in step["needs"]]
    prompt = dedent(
        f"""\
        Do step {step['name']}.
        It builds on {len(needed)} earlier steps."""
    )
    outputs[step["name"]] = spawn("write", {"instructions": prompt, "context": needed}, label=step["name"])

texts = gather(outputs)
result = {"order": list(texts), "last": texts[steps[-1]["name"]]["text"], "chars": {k: len(v["text"]) for k, v in texts.items()}}
