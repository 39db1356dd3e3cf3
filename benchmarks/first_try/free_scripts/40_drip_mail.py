from string import Template
import uuid

BODY = Template("Dear $name,\n\n$text\n\nYours,\n$sender")


def make_sender(scope):
    sent = 0
    failures = []

    def send(to, message, ref):
        nonlocal sent
        h = spawn("notify", {"to": to, "message": message}, scopes=[scope], label=ref)
        if h.ok:
            sent += 1
            return h.result()["id"]
        failures.append((to, h.error.kind))
        return None

    def stats():
        return {"sent": sent, "failures": failures}

    return send, stats


run_id = str(uuid.uuid4())
people = inputs["people"]
drafts = {p["email"]: spawn("draft", {"topic": inputs["topic"], "notes": {"role": p["role"]}}) for p in people}
reviews = {e: spawn("review", {"text": d["text"]}) for e, d in drafts.items()}
texts, checks = gather([drafts, reviews], on_error="none")

send, stats = make_sender("mail:send")
ids, held = {}, []
for p in people:
    email = p["email"]
    check = checks[email]
    if not check or not check["approved"]:
        held.append({"to": email, "issues": check["issues"] if check else ["not reviewed"]})
        continue
    body = BODY.substitute(name=p["name"].title(), text=texts[email]["text"], sender=inputs.get("sender", "The team"))
    ids[email] = send(email, body, f"{run_id[:8]}:{email}")

result = {"run": run_id, "ids": ids, "held": held, **stats()}
