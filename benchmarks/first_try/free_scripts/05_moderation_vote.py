from collections import Counter

LABELS = ["ok", "spam", "abuse"]
JUDGES = range(1, inputs.get("judges", 5) + 1)

votes = gather(
    {
        post["id"]: [spawn("classify", {"text": post["text"], "labels": LABELS, "judge": j}) for j in JUDGES]
        for post in inputs["posts"]
    },
    on_error="none",
)

result = []
for post_id, ballots in votes.items():
    valid = [b for b in ballots if b is not None]
    tally = Counter(b["label"] for b in valid)
    if not tally:
        result.append({"id": post_id, "decision": "manual", "reason": "no votes"})
        continue
    (winner, n), *rest = tally.most_common()
    tie = bool(rest) and rest[0][1] == n
    certainty = sum(b["score"] for b in valid if b["label"] == winner) / n
    result.append(
        {
            "id": post_id,
            "decision": "manual" if tie or n <= len(valid) / 2 else winner,
            "tally": dict(tally),
            "certainty": round(certainty, 2),
        }
    )
