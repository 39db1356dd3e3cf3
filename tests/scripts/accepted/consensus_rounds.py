"""Ask again, with the tally of the last round, until four of five agree."""
from collections import Counter

tallies = []
question = inputs["question"]
for round_no in range(inputs["max_rounds"]):
    ballots = [spawn("vote", {"question": question, "voter": v}) for v in range(inputs["voters"])]
    tally = Counter(b["answer"] for b in gather(ballots))
    tallies.append(dict(tally.most_common()))
    answer, n = tally.most_common(1)[0]
    if n >= 4:
        break
    question = f"{inputs['question']} Last round: {', '.join(f'{k} {v}' for k, v in sorted(tally.items()))}"
else:
    answer = None
result = {"answer": answer, "rounds": len(tallies), "last": dict(sorted(tallies[-1].items()))}
