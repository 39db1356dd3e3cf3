"""Escalate: a cheap look first, then a closer one, then tell a person."""
answer = None
tried = []
for level in ["research", "deep_research"]:
    tried.append(level)
    outcome = spawn(level, {"topic": inputs["ticket"]}, label=f"level-{len(tried)}").result()
    if outcome["confidence"] >= 0.8:
        answer = outcome["summary"]
        break
if answer is None:
    spawn("notify", {"channel": "team", "message": f"No answer for {inputs['ticket']}"}, scopes=["chat:send"]).result()
result = {"answer": answer, "tried": tried}
