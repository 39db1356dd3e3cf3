# Which subject line wins? Every judge picks among all of them; two batches so early losers drop out.
from collections import Counter

candidates = [spawn("draft", {"topic": f"Email subject line: {inputs['campaign']}", "notes": tone}) for tone in inputs["tones"]]
subjects = {d["text"].strip().splitlines()[0][:80]: tone for d, tone in zip(gather(candidates), inputs["tones"])}


def poll(options, judges):
    ballots = gather([
        spawn("classify", {"text": f"Campaign: {inputs['campaign']}. Which subject would you open?", "labels": options, "judge": j})
        for j in judges
    ], on_error="none")
    return Counter(b["label"] for b in ballots if b)


first = poll(list(subjects), range(10))
finalists = [s for s, _ in first.most_common(2)]
final = poll(finalists, range(10, 25)) if len(finalists) == 2 else first
winner, votes = final.most_common(1)[0]
total = sum(final.values())

result = {
    "winner": winner,
    "tone": subjects[winner],
    "share": round(votes / total, 2),
    "first_round": {s: first[s] for s in subjects},
    "final": dict(final),
    "clear": votes / total > 0.6,
}
