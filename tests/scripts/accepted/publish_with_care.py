"""Publishing is not idempotent: where the outcome is unknown, do not try again but tell a person."""


def publish(title):
    body = spawn("write", {"instructions": f"Write about {title.split()[-1]}"})
    return spawn("publish", {"title": title, "body": body["text"]}, scopes=["docs:write"], retry=2, label=title)


published, unclear = [], []
for handle in as_completed([publish(inputs["title"]), publish(inputs["stuck_title"])]):
    try:
        published.append(handle.result()["title"])
    except OutcomeUnknown as e:
        unclear.append({"title": e.label, "attempts": e.attempts})
        spawn("notify", {"channel": "pager", "message": f"Look whether {e.label!r} was published"}, scopes=["chat:send"]).result()

result = {"published": published, "unclear": unclear}
