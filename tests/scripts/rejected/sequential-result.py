"""Loops in which each round waits for its own spawn."""
found = []
for vendor in inputs["vendors"]:
    found.append(spawn("research", {"vendor": vendor}).result())
briefs = [spawn("summarise", {"text": text}).result() for text in inputs["texts"]]


def ask(text):
    return spawn("summarise", {"text": text}).result()


more = {text: ask(text) for text in inputs["texts"]}
pairs = []
for text in inputs["texts"]:
    short = spawn("summarise", {"text": text, "style": "short"})
    pairs.append({"text": text, "short": short.result()})
votes = []
for n in range(3):
    (vote,) = gather([spawn("mail", {"vote": n})])
    votes.append(vote)

draft = "a first draft"
for attempt in range(3):
    draft = spawn("summarise", {"text": draft}).result()
answer = None
for text in inputs["texts"]:
    answer = spawn("summarise", {"text": text}).result()
    if answer["sure"]:
        break
result = [found, briefs, more, pairs, votes, draft, answer]
