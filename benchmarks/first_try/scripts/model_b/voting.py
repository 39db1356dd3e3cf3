from collections import Counter

JUDGES = range(5)

ballots = gather([
    spawn("classify", {"text": inputs["text"], "labels": inputs["labels"], "judge": judge}, label=f"judge {judge}")["label"]
    for judge in JUDGES
])
[(label, votes)] = Counter(ballots).most_common(1)
result = {"label": label, "votes": votes}
