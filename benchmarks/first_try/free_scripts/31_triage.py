def route(kind, score, ticket):
    match kind:
        case "bug" if score >= 0.8:
            return {"queue": "engineering", "reply": spawn("draft", {"topic": "Bug acknowledgement", "notes": ticket})["text"]}
        case "bug":
            return {"queue": "support-l2", "reply": None}
        case "billing":
            reply = spawn("draft", {"topic": "Billing answer", "notes": ticket})
            checked = spawn("review", {"text": reply["text"]})
            return {"queue": "finance", "reply": reply["text"], "approved": checked["approved"]}
        case "praise":
            return {"queue": "marketing", "reply": "Thank you!"}
        case other:
            return {"queue": "manual", "reply": None, "label": other}


routed = {}
for t in inputs["tickets"]:
    judged = spawn("classify", {"text": t["text"], "labels": ["bug", "billing", "praise", "other"]}, retry=1)
    routed[t["id"]] = judged.then(lambda c, t=t: {"label": c["label"], **route(c["label"], c["score"], t["text"])})

outcome = gather(routed, on_error="return")
result = {
    k: {"queue": "manual", "error": f"{type(o).__name__}: {o}"} if isinstance(o, SpawnError) else o
    for k, o in outcome.items()
}
