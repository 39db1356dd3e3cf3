"""Self-consistency: ask several voters the same question and take the majority."""
from collections import Counter

question = inputs["question"]
votes = gather([spawn("vote", {"question": question, "voter": i}) for i in range(inputs["voters"])])
tally = Counter(v["answer"] for v in votes)
winner, count = tally.most_common(1)[0]
result = {
    "winner": winner,
    "support": round(count / len(votes), 2),
    "tally": dict(sorted(tally.items())),
}
