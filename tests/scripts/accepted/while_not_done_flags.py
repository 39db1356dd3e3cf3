"""An agent loop in the plain style: state dict, flags, a step limit."""
state = {"found": [], "step": 0, "done": False}
while not state["done"]:
    state["step"] += 1
    page = spawn("search", {"query": f"query {state['step']}"}).result()
    strong = [r["id"] for r in page["results"] if r["relevance"] > 50]
    state["found"] += strong[: inputs["goal"] - len(state["found"])]
    if len(state["found"]) >= inputs["goal"] or state["step"] >= 10:
        state["done"] = True
result = state
