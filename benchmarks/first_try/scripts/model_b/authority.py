vendor = inputs["vendor"]
people = list(dict.fromkeys(inputs["people"]))  # nobody twice

message = spawn("research", {"vendor": vendor})["confidence"].then(lambda c: f"{vendor}: {c * 100:.0f} %")
message.result()  # without a message there is nothing to send

# No retry: a message that seems to have failed may have been sent.
sent = [
    spawn("notify", {"to": person, "message": message}, scopes=["mail:send"], label=f"tell {person}")
    for person in people
]
for person, h in zip(people, sent):
    if not h.ok:
        log("perhaps not told", person=person, kind=h.error.kind)

result = gather([h["id"] for h in sent], on_error="none")
