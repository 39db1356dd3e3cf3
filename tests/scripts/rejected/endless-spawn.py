"""Loops that nothing in the text ends."""
import itertools

text = inputs["text"]
while True:
    text = spawn("summarise", {"text": text}).result()
    if text["done"]:
        break

approved = False
while not approved:
    approved = spawn("mail", {"ask": text}).result()["approved"]

for n in itertools.count():
    if spawn("mail", {"n": n}).result()["last"]:
        break

rounds = 0
while True:
    text = spawn("summarise", {"text": text}).result()
    rounds += 1
    if rounds >= 5 or text["done"]:
        break
queue = [inputs["text"]]
while queue:
    queue.extend(spawn("summarise", {"text": queue.pop()}).result()["more"])
open_calls = [spawn("mail", {"n": 1})]
for call in as_completed(open_calls):
    print(call.label)
    open_calls.append(spawn("mail", {"n": 2}))
growing = [spawn("mail", {"n": 1})]
for call in as_completed(growing):
    if call.ok and call.result()["more"]:
        growing.append(spawn("mail", {"n": 2}))
while limits.spawns_left > 10:
    spawn("mail", {"n": 1}).result()
result = text
