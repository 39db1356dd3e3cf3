"""Spawns that nobody waits for."""
spawn("mail", {"to": "a@example.org"})
sent = spawn("mail", {"to": "b@example.org"})
outbox = []
for to in inputs["to"]:
    outbox.append(spawn("mail", {"to": to}))
by_name = {}
by_name["c"] = spawn("mail", {"to": "c@example.org"})
spawn("summarise", {"text": "hello"}).then(lambda text: print(text))
[spawn("mail", {"to": to}) for to in inputs["to"]]
result = "sent"
