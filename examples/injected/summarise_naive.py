"""Summarise each document of a customer, then do what the summaries suggest, for two rounds."""

ROUNDS = 2

customer = inputs["customer_id"]
read = {
    name: spawn("read_document", {"customer_id": customer, "document": name}, scopes=["crm:read"], label=name)
    for name in inputs["documents"]
}
outputs = [output for output in gather(read, on_error="none").values() if output]
result = {"summaries": [output["summary"] for output in outputs], "further": []}

for _ in range(ROUNDS):
    steps = [step for output in outputs for step in output.get("next", [])]
    further = [spawn(step["agent"], step["inputs"], scopes=step["scopes"]) for step in steps]
    outputs = [output for output in gather(further, on_error="none") if output]
    result["further"] += [f"{handle.agent}: {'done' if handle.ok else handle.error.kind}" for handle in further]
