"""Draft, criticise, revise until the critic approves."""

draft = spawn("write", {"instructions": f"A plan for {inputs['topic']} with goals"}).result()["text"]
rounds = []
approved = False
while not approved and len(rounds) < inputs["max_rounds"]:
    review = spawn("critic", {"draft": draft, "round": len(rounds) + 1}).result()
    approved = review["approved"]
    rounds.append(len(review["issues"]))
    if not approved:
        todo = review["issues"][:2]
        draft = spawn("write", {"instructions": f"{draft}; {', '.join(todo)}"}).result()["text"]
result = {"approved": approved, "rounds": rounds, "draft": draft}
