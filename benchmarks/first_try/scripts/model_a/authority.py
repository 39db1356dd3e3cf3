vendor = inputs["vendor"]
confidence = spawn("research", {"vendor": vendor}).result()["confidence"]
message = f"{vendor}: {confidence * 100:.0f} %"

# Each person once, and no retry: a message cannot be undone.
people = list(dict.fromkeys(inputs["people"]))
sent = gather(
    [spawn("notify", {"to": p, "message": message}, scopes=["mail:send"], retry=0) for p in people],
    on_error="none",
)

for person, s in zip(people, sent):
    if s is None:
        log("not known to be told", person=person)

result = [s["id"] for s in sent if s is not None]
