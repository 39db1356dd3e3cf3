"""Each answer is the context of the next question."""
context = None
chain = []
for hop in range(inputs["hops"]):
    body = {"question": f"{inputs['question']} (hop {hop + 1})"}
    if context is not None:
        body["context"] = context
    context = spawn("answer", body)
    chain.append(context)
answers = gather(chain)
result = {"final": answers[-1]["answer"], "confidences": [a["confidence"] for a in answers], "contexts": [a["used_context"] for a in answers]}
